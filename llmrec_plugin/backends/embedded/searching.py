"""Answers one query on one snapshot of an index: both legs or a listing, the total and the facets."""

from __future__ import annotations

import numpy as np

from llmrec_plugin.backends.embedded.columns import Mask
from llmrec_plugin.backends.embedded.legs import NO_LEG, Leg, best, start_cosines, text_leg
from llmrec_plugin.backends.embedded.lookups import keys_of
from llmrec_plugin.backends.embedded.snapshot import Selection, Snapshot, select
from llmrec_plugin.types import EngineQuery, EngineResult, Hit, Scalar

_FEW = 2_000
"""So many keys are sooner sorted than found by going through all in order."""


def answer(snapshot: Snapshot, query: EngineQuery) -> EngineResult:
    """`query` has been checked against the schema. Raises Ahead."""
    selection = select(snapshot, query)
    if query.text is None and query.vector is None:
        return _listing(snapshot, selection, query)
    text = vector = NO_LEG
    scoring = None
    if query.vector is not None and query.limit:
        scoring = start_cosines(snapshot, selection, query.vector)
    if query.text is not None:
        text = text_leg(snapshot, selection, query.text, query.limit)
    cosines: dict[str, float] = {}
    if scoring is not None:
        found = scoring.result()
        vector = found.leg(snapshot.connection, query.limit, floor=query.floor)
        cosines = found.of(text)
    candidates = {*text.ids, *vector.ids}
    selected = np.zeros(snapshot.state.next_id, np.bool_)
    selected[list(candidates)] = True
    return EngineResult(
        text=_hits(text),
        vector=_hits(vector),
        cosines=cosines,
        total=len(candidates),
        facets=_facets(snapshot, query, selected),
    )


def _hits(leg: Leg) -> tuple[Hit, ...]:
    return tuple(map(Hit, leg.keys, leg.scores))


def _facets(snapshot: Snapshot, query: EngineQuery, selected: Mask | None) -> dict[str, dict[Scalar, int]]:
    return {name: snapshot.column(name).counts(selected) for name in query.facets}


def _listing(snapshot: Snapshot, selection: Selection, query: EngineQuery) -> EngineResult:
    keys = (
        _keys_by_value(snapshot, selection, query.sort, query.limit)
        if query.sort
        else _keys_in_order(snapshot, selection, query.limit)
    )
    return EngineResult(
        listing=tuple(Hit(key, float(-place)) for place, key in enumerate(keys)),
        total=selection.count,
        facets=_facets(snapshot, query, selection.mask),
    )


def _keys_by_value(snapshot: Snapshot, selection: Selection, sort: str, limit: int) -> list[str]:
    """By least (descending: greatest) value, ties by key, items without a value last."""
    column = snapshot.column(sort.removeprefix("-"))
    ids, values = column.first(selection.mask, limit, sign=-1 if sort.startswith("-") else 1)
    keys = list(best(snapshot.connection, ids, -values, limit).keys) if limit else []
    if len(keys) == limit:
        return keys
    mask = np.ones(snapshot.state.next_id, np.bool_) if selection.mask is None else selection.mask.copy()
    mask[column.ids] = False
    without = Selection(mask, selection.count - len(keys))
    return keys + _keys_in_order(snapshot, without, limit - len(keys))


def _keys_in_order(snapshot: Snapshot, selection: Selection, limit: int) -> list[str]:
    if selection.mask is not None and selection.count < min(_FEW, snapshot.state.live // 2):
        return sorted(keys_of(snapshot.connection, np.flatnonzero(selection.mask)).values())[:limit]
    rows = snapshot.connection.execute("SELECT key, id FROM doc WHERE deleted IS NULL ORDER BY key")
    keys: list[str] = []
    for key, id_ in rows:
        if len(keys) == limit:
            break
        if selection.mask is None or selection.mask[id_]:
            keys.append(key)
    return keys
