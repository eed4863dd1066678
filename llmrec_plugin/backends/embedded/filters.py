"""Filters as SQL over the side table: the same statement decides for every leg, so they cannot disagree."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.backends.embedded.schema import Layout
from llmrec_plugin.types import EngineQuery, Filter, Scalar, Terms

Ids = NDArray[np.int64]

_COMPARISONS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}


@dataclass(frozen=True)
class Selection:
    """The items a query is about: those that pass each filter and are not excluded."""

    statements: tuple[tuple[str, tuple[Scalar, ...]], ...]
    """Each gives the ids that pass one filter."""
    excluded: Ids

    @property
    def is_everything(self) -> bool:
        return not self.statements and not len(self.excluded)

    def condition(self, column: str) -> tuple[str, list[Scalar]]:
        """`AND ...` on a column of ids, with its parameters.

        The plus sign keeps SQLite from looking the ids up one by one in the column's own index,
        which takes minutes where that is the text index.
        """
        sql = [f" AND +{column} IN ({statement})" for statement, _ in self.statements]
        parameters = [value for _, values in self.statements for value in values]
        if len(self.excluded):
            sql.append(f" AND +{column} NOT IN (SELECT value FROM json_each(?))")
            parameters.append(as_json(self.excluded))
        return "".join(sql), parameters

    def passing(self, connection: sqlite3.Connection) -> Ids | None:
        """Ids that pass the filters, ascending; None without filters. Excluded ones are not taken out."""
        if not self.statements:
            return None
        each = [_ids(connection, statement, values) for statement, values in self.statements]
        return reduce(lambda left, right: np.intersect1d(left, right, assume_unique=True), each)


def select(connection: sqlite3.Connection, layout: Layout, query: EngineQuery) -> Selection:
    statements = tuple(_statement(item, layout) for item in query.filters)
    return Selection(statements, _ids_of_keys(connection, query.exclude))


def as_json(values: Iterable[object]) -> str:
    """For `json_each`, which takes any number of values as one parameter; exact for integers and text."""
    return json.dumps(values.tolist() if isinstance(values, np.ndarray) else list(values))


def _statement(item: Filter, layout: Layout) -> tuple[str, tuple[Scalar, ...]]:
    number = layout.filter_numbers[item.field]
    if isinstance(item, Terms):
        marks = ", ".join("?" * len(item.values))
        return f"SELECT doc FROM filter WHERE field = {number} AND value IN ({marks})", item.values
    bounds = {sign: getattr(item, name) for name, sign in _COMPARISONS.items()}
    given = {sign: bound for sign, bound in bounds.items() if bound is not None}
    conditions = "".join(f" AND value {sign} ?" for sign in given)
    return f"SELECT doc FROM filter WHERE field = {number}{conditions}", tuple(given.values())


def _ids(connection: sqlite3.Connection, statement: str, parameters: Sequence[Scalar]) -> Ids:
    """One long text is fetched several times as fast as one row per id."""
    (joined,) = connection.execute(f"SELECT group_concat(doc) FROM ({statement})", parameters).fetchone()
    if joined is None:
        return np.empty(0, np.int64)
    return np.unique(np.fromstring(joined, np.int64, sep=","))


def _ids_of_keys(connection: sqlite3.Connection, keys: frozenset[str]) -> Ids:
    if not keys:
        return np.empty(0, np.int64)
    rows = connection.execute(
        "SELECT doc.id FROM json_each(?) AS given CROSS JOIN doc ON doc.key = given.value", (as_json(keys),)
    )
    return np.array([id_ for (id_,) in rows], np.int64)
