"""The subcommands by name; each adds its arguments and returns whether all went well."""

from __future__ import annotations

from llmrec_plugin.management.subcommands import indexing, learning, people, querying, transfer
from llmrec_plugin.management.subcommands.base import Subcommand

SUBCOMMANDS: dict[str, Subcommand] = {
    command.name: command
    for module in (indexing, querying, transfer, learning, people)
    for command in module.COMMANDS
}
