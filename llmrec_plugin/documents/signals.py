"""Which filter fields tell what should rank higher, whatever is searched for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmrec_plugin.types import FilterKind


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Names in filter_fields; how much they count, an editor says in the configuration.

    signals = Signals(date="released", available="in_stock", group="brand")
    """

    date: str = ""
    """A date: newer items may rank higher."""
    available: str = ""
    """True or false: what can be had may rank higher."""
    group: str = ""
    """A keyword, such as the brand or the teacher: of which a page may show only so many."""

    def kinds(self) -> Iterator[tuple[str, str, FilterKind]]:
        """(attribute, field, kind that it must be of) of those that are named."""
        wanted: tuple[tuple[str, FilterKind], ...] = (
            ("date", "date"),
            ("available", "boolean"),
            ("group", "keyword"),
        )
        for attribute, kind in wanted:
            if name := getattr(self, attribute):
                yield attribute, name, kind
