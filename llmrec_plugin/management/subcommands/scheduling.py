"""schedule: what Celery's beat sends, and when."""

from __future__ import annotations

from argparse import ArgumentParser

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import Options, Subcommand


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--write",
        action="store_true",
        help="add the entries that django-celery-beat has no row for; rows that are there stay as they are",
    )


def _schedule(options: Options, output: Output) -> bool:
    from llmrec_plugin import schedule

    entries = schedule.entries()
    for name, entry in entries.items():
        output.line(f"{name}: {entry['schedule']}")
    written: list[str] = []
    if options["write"]:
        if not schedule.uses_database():
            raise InvalidRequest(
                'django-celery-beat is not installed: add "django_celery_beat" to INSTALLED_APPS, or use '
                "`app.conf.beat_schedule.update(beat_schedule())` in your Celery app."
            )
        written = schedule.write_defaults()
        output.line(f"Added {len(written)} of {len(entries)} entries.")
    output.finish(
        {"entries": {name: str(entry["schedule"]) for name, entry in entries.items()}, "written": written}
    )
    return True


COMMANDS = [Subcommand("schedule", "Show what Celery's beat sends, and when.", _arguments, _schedule)]
