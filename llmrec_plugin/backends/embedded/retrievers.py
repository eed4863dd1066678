"""The two legs of a search: BM25 by FTS5, cosines by numpy; each gives the exact best, ties by key."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin import monitoring
from llmrec_plugin.backends.embedded.lookups import Ids, as_json, keys_of
from llmrec_plugin.backends.embedded.matrix import MatrixView, Positions
from llmrec_plugin.backends.embedded.snapshot import Selection, Snapshot
from llmrec_plugin.backends.embedded.terms import (
    MAX_WORDS,
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
    words = encode_words(text.words)
    if not text.every:
        words = _worthwhile(snapshot, words)
    elif len(words) < len(text.words):
        return NO_LEG  # a word that no item can hold
    if not (columns and words and limit and selection.count):
        return NO_LEG
    expression = match_expression(words, None if len(columns) == len(weights) else columns, every=text.every)
    ids, scores = _matches(snapshot, selection, expression, list(weights.values()), limit)
    return best(snapshot.connection, ids, scores, limit)


def _worthwhile(snapshot: Snapshot, words: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Counting costs time as well: small indexes have no word worth dropping."""
    frequencies: dict[str, int] = {}
    if snapshot.state.live > PRUNED_LEAST or len(words) > MAX_WORDS:
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


@dataclass(frozen=True)
class Cosines:
    """How close items are to the query: all that pass the filters and have a vector."""

    matrix: MatrixView
    positions: Positions
    """Ascending rows of the matrix."""
    scores: NDArray[np.float64]
    """Rounded, one per position."""

    def leg(self, connection: sqlite3.Connection, limit: int, *, floor: float | None) -> Leg:
        """The closest, none below the floor."""
        positions, scores = self.positions, self.scores
        if floor is not None:
            near = scores >= floor
            positions, scores = positions[near], scores[near]
        found = best(connection, self.matrix.ids[positions], scores, limit)
        return found._replace(scores=[_rounded(score) for score in found.scores])

    def of(self, text: Leg) -> dict[str, float]:
        """By key, of the items that words found."""
        if not (len(text.ids) and len(self.positions)):
            return {}
        wanted = self.matrix.position_of[list(text.ids)]
        places = np.searchsorted(self.positions, wanted).clip(max=len(self.positions) - 1)
        known = self.positions[places] == wanted
        return {
            text.keys[i]: _rounded(score)
            for i, score in zip(
                np.flatnonzero(known).tolist(), self.scores[places[known]].tolist(), strict=True
            )
        }


def start_cosines(
    snapshot: Snapshot, selection: Selection, vector: Vector, *, aside: bool
) -> Callable[[], Cosines]:
    """What waits for the cosines. They are worked out in another thread where something else is done `aside`:
    both numpy and SQLite let go of the interpreter, so the words are looked up meanwhile."""
    work = partial(_cosines, snapshot.matrix(), selection, vector)
    return _threads().submit(work).result if aside else work


def _cosines(matrix: MatrixView, selection: Selection, vector: Vector) -> Cosines:
    """Touches no connection: those belong to one thread."""
    with monitoring.leg_seconds.time(leg="vector"):
        positions, cosines = _computed(matrix, selection, vector)
    return Cosines(matrix, positions, np.clip(np.round(cosines, _DECIMALS), -1.0, 1.0).astype(np.float64))


def _computed(
    matrix: MatrixView, selection: Selection, vector: Vector
) -> tuple[Positions, NDArray[np.float32]]:
    if selection.mask is not None and selection.count <= _NARROW_SHARE * matrix.count:
        positions = matrix.positions(np.flatnonzero(selection.mask))
        return positions, matrix.scores_at(positions, vector)
    positions = np.flatnonzero(matrix.alive & selection.keeps(matrix.ids))
    return positions, matrix.scores(vector)[positions]


def _rounded(cosine: float) -> float:
    return round(cosine, _DECIMALS)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Threads for cosines, as many as there are cores."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="llmrec-cosines")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads stay behind


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
