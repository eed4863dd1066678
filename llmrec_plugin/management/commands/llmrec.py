"""`manage.py llmrec …`: one word per thing an operator does, each in management/subcommands."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from llmrec_plugin.exceptions import LeaseLost, LlmrecError
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands import SUBCOMMANDS
from llmrec_plugin.services.coordination.locks import IN_USE


class Command(BaseCommand):
    help = "Search and recommendations: build, inspect, query, import, train, promote."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
        for name, subcommand in SUBCOMMANDS.items():
            child = commands.add_parser(name, help=subcommand.help, description=subcommand.help)
            child.add_argument("--json", action="store_true", help="print one JSON value")
            subcommand.add_arguments(child)

    def handle(self, *args: Any, **options: Any) -> None:
        output = Output(self.stdout, as_json=options["json"])
        try:
            succeeded = SUBCOMMANDS[options["subcommand"]].run(options, output)
        except LlmrecError as error:
            output.finish({"error": {"code": error.code, "detail": str(error)}})
            status = IN_USE if isinstance(error, LeaseLost) else 1
            raise CommandError(str(error), returncode=status) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the same command again to go on.", returncode=130) from None
        if not succeeded:
            sys.exit(1)
