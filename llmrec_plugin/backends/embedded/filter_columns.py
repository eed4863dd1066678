"""The values of one filter field in memory: filters, counts and sorting by numpy, exact for every leg.

Asking SQLite for the tens of thousands of ids that pass a wide filter takes longer than the search.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.backends.embedded.lookups import Ids
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.types import Filter, Scalar, Terms

Mask = NDArray[np.bool_]
"""By id."""


@dataclass
class _Keywords:
    """Numbers for the values of a keyword field; grows, never changes."""

    values: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def number_of(self, value: str) -> int:
        number = self.numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


@dataclass(frozen=True)
class Column:
    """Pairs of item and value as of one sequence; it stays as it is while others write and refresh."""

    sequence: int
    ids: Ids
    values: NDArray[Any]
    """Floats, or for keywords their numbers."""
    most: int
    """Values of the item that has the most."""
    keywords: _Keywords | None
    is_boolean: bool

    def passing(self, item: Filter, size: int) -> Mask:
        """Whether each of the ids below `size` has a value that passes."""
        mask = np.zeros(size, np.bool_)
        mask[self.ids[self._matches(item)]] = True
        return mask

    def _matches(self, item: Filter) -> Mask:
        if isinstance(item, Terms):
            return np.isin(self.values, self._numbers(item.values))
        matches = np.ones(len(self.values), np.bool_)
        if item.gte is not None:
            matches &= self.values >= item.gte
        if item.gt is not None:
            matches &= self.values > item.gt
        if item.lte is not None:
            matches &= self.values <= item.lte
        if item.lt is not None:
            matches &= self.values < item.lt
        return matches

    def _numbers(self, values: Iterable[Scalar]) -> NDArray[Any]:
        if self.keywords is None:
            return np.array(list(values), np.float64)
        numbers = self.keywords.numbers
        return np.array([numbers[value] for value in values if value in numbers], np.int64)

    def of(self, ids: Sequence[int]) -> dict[int, tuple[Scalar, ...]]:
        """The values of these items, of those that have any."""
        wanted = np.isin(self.ids, np.array(ids, np.int64))
        found: dict[int, tuple[Scalar, ...]] = {}
        for id_, value in zip(self.ids[wanted].tolist(), self.values[wanted].tolist(), strict=True):
            found[id_] = (*found.get(id_, ()), self._scalar(value))  # few have more than one
        return found

    def counts(self, selected: Mask | None) -> dict[Scalar, int]:
        """How many of the selected items (None: of all) have each value, the most frequent first."""
        values = self.values if selected is None else self.values[selected[self.ids]]
        distinct, counts = np.unique(values, return_counts=True)
        named = {
            self._scalar(value): count
            for value, count in zip(distinct.tolist(), counts.tolist(), strict=True)
        }
        return dict(sorted(named.items(), key=lambda pair: (-pair[1], pair[0])))

    def _scalar(self, value: float) -> Scalar:
        if self.keywords is not None:
            return self.keywords.values[int(value)]
        return bool(value) if self.is_boolean else value

    def first(self, selected: Mask | None, limit: int, *, sign: int) -> tuple[Ids, NDArray[np.float64]]:
        """At least the `limit` items with the least `sign * value`, all ties included, and that value."""
        values, ids = sign * self.values, self.ids
        if selected is not None:
            kept = selected[ids]
            values, ids = values[kept], ids[kept]
        pairs = limit * self.most  # so many pairs belong to at least `limit` items
        if pairs < len(values):
            low = values <= np.partition(values, pairs)[pairs]
            values, ids = values[low], ids[low]
        order = np.argsort(values, kind="stable")
        _, least = np.unique(ids[order], return_index=True)
        return ids[order][least], values[order][least]


def load_column(connection: sqlite3.Connection, layout: Layout, state: State, name: str) -> Column:
    kind = layout.kind_of(name)
    empty = Column(
        sequence=0,
        ids=np.empty(0, np.int64),
        values=np.empty(0, np.int64 if kind == "keyword" else np.float64),
        most=0,
        keywords=_Keywords() if kind == "keyword" else None,
        is_boolean=kind == "boolean",
    )
    rows = connection.execute(
        "SELECT doc, value FROM filter WHERE field = ?", (layout.filter_numbers[name],)
    ).fetchall()
    return _with(empty, rows, state)


def advance_column(
    connection: sqlite3.Connection, layout: Layout, state: State, name: str, column: Column
) -> Column:
    """A column that also has the changes since."""
    rows = connection.execute(
        "SELECT doc.id, filter.value FROM doc LEFT JOIN filter ON filter.doc = doc.id AND filter.field = ?"
        " WHERE doc.sequence > ?",
        (layout.filter_numbers[name], column.sequence),
    ).fetchall()
    return _with(column, rows, state)


def _with(column: Column, rows: list[tuple[int, Any]], state: State) -> Column:
    """The rows stand for all values that their items have now, None for no value."""
    changed = np.zeros(state.next_id, np.bool_)
    changed[[id_ for id_, _ in rows]] = True
    kept = ~changed[column.ids]
    new = [(id_, value) for id_, value in rows if value is not None]
    values = [value if column.keywords is None else column.keywords.number_of(value) for _, value in new]
    ids = np.concatenate([column.ids[kept], np.array([id_ for id_, _ in new], np.int64)])
    return Column(
        sequence=state.sequence,
        ids=ids,
        values=np.concatenate([column.values[kept], np.array(values, column.values.dtype)]),
        most=int(np.bincount(ids).max()) if len(ids) else 0,
        keywords=column.keywords,
        is_boolean=column.is_boolean,
    )
