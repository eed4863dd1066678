"""What a subcommand is."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.management.output import Output

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Subcommand:
    """A frozen record that declares one word of `manage.py llmrec`; `run` returns False where the exit code
    must not be 0."""

    name: str
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Options, Output], bool]


def no_arguments(parser: ArgumentParser) -> None:
    """Add nothing: for a subcommand that takes no arguments."""


def document_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--document", metavar="LABEL", help="only this document (default: all)")


def chosen_labels(options: Options) -> list[str]:
    """Return the document asked for, or all; raises NotFound where the site declares none."""
    if options["document"]:
        return [registry.get(options["document"]).label]
    labels = list(registry.labels())
    if not labels:
        raise NotFound(
            "No documents are registered. Write a search_documents.py with a @register-ed SearchDocument "
            "in one of the INSTALLED_APPS."
        )
    return labels


def single_label(options: Options) -> str:
    """Return the document asked for, or the only one there is."""
    labels = chosen_labels(options)
    if len(labels) > 1:
        raise InvalidRequest(f"Say which document: --document {' | '.join(labels)}.", parameter="document")
    return labels[0]
