"""Answers one query on one snapshot of an index: both legs or a listing, the total and the facets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from llmrec_plugin import monitoring
from llmrec_plugin.backends.embedded.filter_columns import Mask
from llmrec_plugin.backends.embedded.lookups import keys_of
from llmrec_plugin.backends.embedded.retrievers import NO_LEG, Leg, best, start_cosines, text_leg
from llmrec_plugin.backends.embedded.schema import BREADTH
from llmrec_plugin.backends.embedded.snapshot import Selection, Snapshot, select
from llmrec_plugin.backends.embedded.terms import encode_term, starts_expression
from llmrec_plugin.backends.embedded.vocabulary import unknown_words
from llmrec_plugin.backends.spelling import MAX_NEAR
from llmrec_plugin.types import EngineQuery, EngineResult, Hit, Scalar, Spelled

_MAX_NEAR = 20
"""Words that may be meant by one that is typed wrong."""
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
        scoring = start_cosines(snapshot, selection, query.vector, aside=query.text is not None)
    if query.text is not None:
        with monitoring.leg_seconds.time(leg="text"):
            text = text_leg(snapshot, selection, query.text, query.limit)
    cosines: dict[str, float] = {}
    if scoring is not None:
        found = scoring()
        vector = found.leg(snapshot.connection, query.limit, floor=query.floor)
        cosines = found.of(text)
    candidates = dict(zip((*text.ids, *vector.ids), (*text.keys, *vector.keys), strict=True))
    selected = np.zeros(snapshot.state.next_id, np.bool_)
    selected[list(candidates)] = True
    return EngineResult(
        text=_hits(text),
        vector=_hits(vector),
        cosines=cosines,
        total=len(candidates),
        facets=_facets(snapshot, query, selected),
        values=_values(snapshot, query.values, candidates),
        spelling=_spelling(snapshot, query.spelling),
    )


def suggestions(snapshot: Snapshot, starts: Sequence[str], limit: int, *, fuzzy: bool) -> list[str]:
    """Keys of items whose starts go on from all of the given ones, those with the fewest first."""
    tokens = [encode_term(start) for start in starts if start.split() == [start]]
    if not tokens or not limit:
        return []
    near = snapshot.vocabulary("starts").near if fuzzy else None
    expression = starts_expression(
        (token, near(token, limit=_MAX_NEAR) if near is not None else ()) for token in tokens
    )
    rows = snapshot.connection.execute("SELECT rowid FROM starts WHERE starts MATCH ?", (expression,))
    mask = np.zeros(snapshot.state.next_id, np.bool_)
    mask[[id_ for (id_,) in rows]] = True
    ids, breadths = snapshot.column(BREADTH).first(mask, limit, sign=1)
    return list(best(snapshot.connection, ids, -breadths, limit).keys)


def _values(
    snapshot: Snapshot, names: Iterable[str], candidates: Mapping[int, str]
) -> dict[str, dict[str, tuple[Scalar, ...]]]:
    return {
        name: {candidates[id_]: found for id_, found in snapshot.column(name).of(list(candidates)).items()}
        for name in names
    }


def _spelling(snapshot: Snapshot, asked: Sequence[Spelled]) -> dict[str, tuple[str, ...]]:
    unknown = unknown_words(snapshot.connection, asked) if asked else []
    if not unknown:
        return {}
    near = snapshot.vocabulary("exact").near
    return {word.exact: near(word.exact, limit=MAX_NEAR) for word in unknown}


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
