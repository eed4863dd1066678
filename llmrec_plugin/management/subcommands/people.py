"""export-user, erase-user and retention: what is kept about people."""

from __future__ import annotations

from argparse import ArgumentParser

from llmrec_plugin.management.output import Output, jsonable
from llmrec_plugin.management.subcommands.base import Options, Subcommand, no_arguments
from llmrec_plugin.services import privacy
from llmrec_plugin.services.privacy import retention


def _user_argument(parser: ArgumentParser) -> None:
    parser.add_argument("user", metavar="KEY", help="primary key of the user, or an anonymous visitor's key")


def _export(options: Options, output: Output) -> bool:
    exported = privacy.export_user(options["user"])
    people = Output(output.stream, as_json=True)
    people.finish(exported)
    return True


def _erase_arguments(parser: ArgumentParser) -> None:
    _user_argument(parser)
    parser.add_argument("--noinput", action="store_true", help="do not ask")


def _erase(options: Options, output: Output) -> bool:
    if not options["noinput"] and not output.as_json:
        answer = input("Erase everything that is kept about this user? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            output.line("Nothing was erased.")
            return False
    report = privacy.erase_user(options["user"])
    output.line(", ".join(f"{name}: {value}" for name, value in jsonable(report).items()))
    output.finish(report)
    return True


def _retention(options: Options, output: Output) -> bool:
    report = retention.apply_retention()
    output.line(", ".join(f"{name}: {value}" for name, value in jsonable(report).items()))
    output.finish(report)
    return True


COMMANDS = [
    Subcommand("export-user", "Print all that is kept about a user, as JSON.", _user_argument, _export),
    Subcommand("erase-user", "Erase all that is kept about a user.", _erase_arguments, _erase),
    Subcommand("retention", "Delete events and lists past their time.", no_arguments, _retention),
]
