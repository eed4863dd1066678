"""The two legs of a search: BM25 by FTS5, cosines by numpy; each gives the exact best, ties by key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.backends.embedded.lookups import Ids, as_json, keys_of
from llmrec_plugin.backends.embedded.snapshot import Selection, Snapshot
from llmrec_plugin.backends.embedded.terms import (
    MOST_WORDS,
    PRUNED_LEAST,
    encode_words,
    keep_words,
    match_expression,
)
from llmrec_plugin.types import TextQuery, Vector

_NARROW_SHARE = 0.1
"""Up to this share of items, a filter is applied before scoring, above it afterwards: cheaper each."""
_DECIMALS = 6
"""Cosines are rounded to what float32 means, so that equal vectors tie wherever their rows lie."""


class Leg(NamedTuple):
    """The best items of one leg in order."""

    keys: Sequence[str]
    ids: Sequence[int]
    scores: Sequence[float]


NO_LEG = Leg((), (), ())


def text_leg(snapshot: Snapshot, selection: Selection, text: TextQuery, limit: int) -> Leg:
    """Items that hold a word of the query in a field of some weight."""
    weights = {field: float(text.weights.get(field, 0.0)) for field in snapshot.layout.columns}
    columns = [snapshot.layout.columns[field] for field, weight in weights.items() if weight > 0]
    words = _worthwhile(snapshot, encode_words(text.words))
    if not (columns and words and limit and selection.count):
        return NO_LEG
    expression = match_expression(words, None if len(columns) == len(weights) else columns)
    ids, scores = _matches(snapshot, selection, expression, list(weights.values()), limit)
    return best(snapshot.connection, ids, scores, limit)


def _worthwhile(snapshot: Snapshot, words: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Counting costs time as well: small indexes have no word worth dropping."""
    frequencies: dict[str, int] = {}
    if snapshot.state.live > PRUNED_LEAST or len(words) > MOST_WORDS:
        tokens = as_json({token for word in words for token in word})
        frequencies = dict(
            snapshot.connection.execute(
                "SELECT term, doc FROM json_each(?) AS given CROSS JOIN vocabulary ON term = given.value",
                (tokens,),
            )
        )
    return keep_words(words, frequencies, snapshot.state.live)


def _matches(
    snapshot: Snapshot, selection: Selection, expression: str, weights: list[float], limit: int
) -> tuple[Ids, NDArray[np.float64]]:
    """Ids and scores of at least the `limit` best, all that tie with the last of them included."""
    condition, parameters = "", [expression]
    share = selection.count / snapshot.state.live
    if selection.mask is not None and share <= _NARROW_SHARE:
        # The plus sign keeps SQLite from looking up each id in the text index, which takes minutes.
        condition = " AND +rowid IN (SELECT value FROM json_each(?))"
        parameters.append(as_json(np.flatnonzero(selection.mask)))
        share = 1.0
    fetched = int(1.2 * limit / share) + 100
    while True:
        rows = snapshot.connection.execute(
            f"SELECT rowid, -bm25(text, {', '.join(map(repr, weights))}) AS score FROM text"
            f" WHERE text MATCH ?{condition} ORDER BY score DESC LIMIT ?",
            (*parameters, fetched),
        ).fetchall()
        ids = np.array([id_ for id_, _ in rows], np.int64)
        scores = np.array([score for _, score in rows], np.float64)
        kept = selection.keeps(ids)
        is_all = len(rows) < fetched
        if is_all or (np.count_nonzero(kept) >= limit and scores[kept][limit - 1] > scores[-1]):
            return ids[kept], scores[kept]
        fetched *= 8


def vector_leg(
    snapshot: Snapshot, selection: Selection, vector: Vector, limit: int, *, floor: float | None
) -> Leg:
    """Items by their cosine to the query, none below the floor."""
    if not limit:
        return NO_LEG
    matrix = snapshot.matrix()
    if selection.mask is not None and selection.count <= _NARROW_SHARE * matrix.count:
        positions = matrix.positions(np.flatnonzero(selection.mask))
        cosines = matrix.scores_at(positions, vector)
    else:
        positions = np.flatnonzero(matrix.alive & selection.keeps(matrix.ids))
        cosines = matrix.scores(vector)[positions]
    scores = np.clip(np.round(cosines, _DECIMALS), -1.0, 1.0).astype(np.float64)
    if floor is not None:
        near = scores >= floor
        positions, scores = positions[near], scores[near]
    leg = best(snapshot.connection, matrix.ids[positions], scores, limit)
    return leg._replace(scores=[round(score, _DECIMALS) for score in leg.scores])


def best(connection: sqlite3.Connection, ids: Ids, scores: NDArray[np.float64], limit: int) -> Leg:
    """The `limit` best in order; only of what is left when ties are cut are the keys looked up."""
    if len(ids) > limit:
        cut = np.partition(scores, -limit)[-limit]
        contenders = scores >= cut
        ids, scores = ids[contenders], scores[contenders]
    names = keys_of(connection, ids)
    rows = [(names[id_], id_, score) for id_, score in zip(ids.tolist(), scores.tolist(), strict=True)]
    rows.sort()
    rows.sort(key=lambda row: -row[2])
    keys, ids_, scores_ = zip(*rows[:limit], strict=True) if rows else ((), (), ())
    return Leg(keys, ids_, scores_)
