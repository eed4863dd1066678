"""When Celery's beat sends which task, and on which queue: for the Celery app of any site.

    app.conf.beat_schedule.update(beat_schedule())
    app.conf.task_routes = task_routes()

The scheduler of django-celery-beat writes what it finds in `beat_schedule` over its rows at each start, and
with it over what an editor changed. Where that app is installed `beat_schedule` is therefore empty, and
`manage.py llmrec schedule` writes the rows that there are not yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings

from llmrec_plugin import extras
from llmrec_plugin.conf import TIME, get_settings
from llmrec_plugin.exceptions import ConfigurationError

try:
    from celery.schedules import BaseSchedule, ParseException, crontab, schedule
except ImportError as error:
    raise ConfigurationError(extras.missing("celery", "A schedule", error=error)) from error

__all__ = ["beat_schedule", "task_routes"]

PREFIX = "llmrec_plugin."
QUEUES: Mapping[str, str] = {
    "drain_outbox": "index",
    "follow_sources": "index",
    "mend_indexes": "index",
    "refill_lost": "index",
    "refresh_profiles": "index",
    "build_index": "index",
    "audit_index": "index",
    "audit_indexes": "index",
    "reconcile_source": "index",
    "measure_drift": "index",
    "measure_search": "index",
    "suggest_synonyms": "index",
    "fit_model": "train",
    "fit_models": "train",
}
"""Task -> queue: `index` holds an encoder in memory, `train` may take long; all else is `default`."""
LONGEST_WAIT = 3600
"""Seconds after which a message that no worker took is dropped; the schedule sends the next."""


def beat_schedule() -> dict[str, dict[str, Any]]:
    """LLMREC["SCHEDULE"] as Celery's `beat_schedule`; empty where django-celery-beat keeps it."""
    return {} if uses_database() else entries()


def uses_database() -> bool:
    """Whether the schedule is kept in the tables of django-celery-beat."""
    return "django_celery_beat" in django_settings.INSTALLED_APPS


def task_routes() -> dict[str, dict[str, str]]:
    """Celery's `task_routes` for a site whose workers take `index`, `train` and `default`."""
    return {PREFIX + "*": {"queue": "default"}} | {
        PREFIX + task: {"queue": queue} for task, queue in QUEUES.items()
    }


def entries() -> dict[str, dict[str, Any]]:
    """By the name of the entry: the task, its schedule and after how many seconds its message expires."""
    return {
        f"llmrec: {task}": _entry(task, _schedule(task, when))
        for task, when in vars(get_settings().SCHEDULE).items()
        if when is not None
    }


def _entry(task: str, when: BaseSchedule) -> dict[str, Any]:
    every = when.seconds if isinstance(when, schedule) and not isinstance(when, crontab) else LONGEST_WAIT
    return {
        "task": PREFIX + task,
        "schedule": when,
        "options": {"expires": min(max(every, 1), LONGEST_WAIT)},
    }


def _schedule(task: str, when: Any) -> BaseSchedule:
    if isinstance(when, BaseSchedule):
        return when
    if isinstance(when, int | float):
        return schedule(timedelta(seconds=when))
    try:
        return crontab.from_string(str(when))
    except (ParseException, ValueError) as error:
        raise ConfigurationError(
            f'LLMREC["SCHEDULE"]["{task}"] is {when!r}: {error}. It must be {TIME}.'
        ) from error


def write_defaults() -> list[str]:
    """Add the entries that django-celery-beat has no row for, and return their names; what is there, and
    may have been edited or switched off, stays as it is."""
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    written = []
    for name, entry in entries().items():
        if PeriodicTask.objects.filter(name=name).exists():
            continue
        when = entry["schedule"]
        if isinstance(when, crontab):
            row = CrontabSchedule.from_schedule(when)
            field = "crontab"
        else:
            row = IntervalSchedule.from_schedule(when)
            field = "interval"
        if row.pk is None:
            row.save()
        PeriodicTask.objects.create(
            name=name,
            task=entry["task"],
            expire_seconds=int(entry["options"]["expires"]),
            **{field: row},
        )
        written.append(name)
    return written
