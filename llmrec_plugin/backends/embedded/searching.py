"""Answers one query on one snapshot of an index: both legs or a listing, the total and the facets."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from llmrec_plugin.backends.embedded.filters import Selection, as_json, select
from llmrec_plugin.backends.embedded.legs import Found, Snapshot, keys_of, text_leg, vector_leg
from llmrec_plugin.backends.embedded.schema import Layout
from llmrec_plugin.types import EngineQuery, EngineResult, Hit, Scalar


def answer(snapshot: Snapshot, query: EngineQuery) -> EngineResult:
    """`query` has been checked against the schema."""
    selection = select(snapshot.connection, snapshot.layout, query)
    if query.text is None and query.vector is None:
        return _listing(snapshot, selection, query)
    text = [] if query.text is None else text_leg(snapshot, selection, query.text, query.limit)
    vector = vector_leg(snapshot, selection, query)
    candidates = {id_: key for leg in (text, vector) for id_, key, _ in leg}
    return EngineResult(
        text=_hits(text),
        vector=_hits(vector),
        total=len(candidates),
        facets={name: _facet_of(snapshot, name, candidates) for name in query.facets},
    )


def _hits(found: Sequence[Found]) -> tuple[Hit, ...]:
    best_first = sorted(found, key=lambda item: (-item[2], item[1]))
    return tuple(Hit(key, score) for _, key, score in best_first)


def _listing(snapshot: Snapshot, selection: Selection, query: EngineQuery) -> EngineResult:
    field = query.sort.removeprefix("-")
    keys = (
        _keys_by_value(snapshot, selection, field, query.limit, descending=query.sort.startswith("-"))
        if field
        else _keys_in_order(snapshot, selection, query.limit)
    )
    return EngineResult(
        listing=tuple(Hit(key, float(-place)) for place, key in enumerate(keys)),
        total=_count(snapshot, selection),
        facets={name: _facet_of_selection(snapshot, selection, name) for name in query.facets},
    )


def _count(snapshot: Snapshot, selection: Selection) -> int:
    if selection.is_everything:
        return snapshot.state.live
    condition, parameters = selection.condition("id")
    (count,) = snapshot.connection.execute(
        f"SELECT count(*) FROM doc WHERE deleted IS NULL{condition}", parameters
    ).fetchone()
    return int(count)


def _keys_in_order(snapshot: Snapshot, selection: Selection, limit: int, *, without: str = "") -> list[str]:
    """By key; with `without`, only items that have no value of that filter field."""
    condition, parameters = selection.condition("id")
    if without:
        condition += " AND +id NOT IN (SELECT doc FROM filter WHERE field = ?)"
        parameters.append(snapshot.layout.filter_numbers[without])
    rows = snapshot.connection.execute(
        f"SELECT key FROM doc WHERE deleted IS NULL{condition} ORDER BY key LIMIT ?", (*parameters, limit)
    )
    return [key for (key,) in rows]


def _keys_by_value(
    snapshot: Snapshot, selection: Selection, field: str, limit: int, *, descending: bool
) -> list[str]:
    """By least (descending: greatest) value, ties by key, items without a value last."""
    condition, parameters = selection.condition("filter.doc")
    rows = snapshot.connection.execute(
        f"SELECT value, doc FROM filter WHERE field = ?{condition}"
        f" ORDER BY value {'DESC' if descending else 'ASC'}",
        (snapshot.layout.filter_numbers[field], *parameters),
    )
    first: dict[int, float] = {}
    last: float | None = None
    for value, id_ in rows:
        if len(first) >= limit and value != last:
            break
        first.setdefault(id_, value)
        last = value
    names = keys_of(snapshot.connection, np.array(list(first), np.int64))
    sign = -1 if descending else 1
    keys = [names[id_] for id_ in sorted(first, key=lambda id_: (sign * first[id_], names[id_]))][:limit]
    if len(keys) < limit:
        keys += _keys_in_order(snapshot, selection, limit - len(keys), without=field)
    return keys


def _facet_of(snapshot: Snapshot, field: str, candidates: dict[int, str]) -> dict[Scalar, int]:
    rows = snapshot.connection.execute(
        "SELECT filter.value, count(*) AS items FROM json_each(?) AS given"
        " CROSS JOIN filter ON filter.doc = given.value AND filter.field = ?"
        " GROUP BY filter.value ORDER BY items DESC, filter.value",
        (as_json(candidates), snapshot.layout.filter_numbers[field]),
    )
    return _counts(snapshot.layout, field, rows)


def _facet_of_selection(snapshot: Snapshot, selection: Selection, field: str) -> dict[Scalar, int]:
    condition, parameters = selection.condition("filter.doc")
    rows = snapshot.connection.execute(
        f"SELECT value, count(*) AS items FROM filter WHERE field = ?{condition}"
        " GROUP BY value ORDER BY items DESC, value",
        (snapshot.layout.filter_numbers[field], *parameters),
    )
    return _counts(snapshot.layout, field, rows)


def _counts(layout: Layout, field: str, rows: sqlite3.Cursor) -> dict[Scalar, int]:
    """Most frequent value first."""
    is_boolean = layout.schema.filters[field] == "boolean"
    return {bool(value) if is_boolean else value: items for value, items in rows}
