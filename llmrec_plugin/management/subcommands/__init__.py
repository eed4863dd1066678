"""The subcommands by name; each adds its arguments and returns whether all went well."""

from __future__ import annotations

from llmrec_plugin.management.subcommands import (
    evaluating,
    indexing,
    learning,
    people,
    querying,
    scheduling,
    sources,
    transfer,
)
from llmrec_plugin.management.subcommands.base import Subcommand

SUBCOMMANDS: dict[str, Subcommand] = {
    command.name: command
    for module in (indexing, querying, transfer, learning, evaluating, people, scheduling, sources)
    for command in module.COMMANDS
}
