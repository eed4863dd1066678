"""The two legs of a search: BM25 by FTS5, cosines by numpy; each gives the exact best, ties by key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from llmrec_plugin.backends.embedded.filters import Ids, Selection, as_json
from llmrec_plugin.backends.embedded.matrix import MatrixView, Positions
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.backends.embedded.terms import (
    MOST_WORDS,
    PRUNED_LEAST,
    encode_words,
    keep_words,
    match_expression,
)
from llmrec_plugin.types import EngineQuery, TextQuery, Vector

_GATHER_SHARE = 0.1
"""Up to this share of items, computing the cosines of those alone is cheaper than of all."""
_DECIMALS = 6
"""Cosines are rounded to what float32 means, so that equal vectors tie wherever their rows lie."""


@dataclass(frozen=True)
class Snapshot:
    """An index as one read transaction sees it."""

    connection: sqlite3.Connection
    layout: Layout
    state: State
    view: MatrixView | None
    """None: the query has no vector leg."""


class Found(NamedTuple):
    id: int
    key: str
    score: float


def text_leg(snapshot: Snapshot, selection: Selection, text: TextQuery, limit: int) -> list[Found]:
    """Items that hold a word of the query in a field of some weight."""
    weights = {field: float(text.weights.get(field, 0.0)) for field in snapshot.layout.columns}
    columns = [snapshot.layout.columns[field] for field, weight in weights.items() if weight > 0]
    words = _worthwhile(snapshot, encode_words(text.words))
    if not (columns and words and limit):
        return []
    expression = match_expression(words, None if len(columns) == len(weights) else columns)
    condition, parameters = selection.condition("text.rowid")
    match = _Match(
        score=f"-bm25(text, {', '.join(map(repr, weights.values()))})",
        where=f"text MATCH ?{condition}",
        parameters=(expression, *parameters),
    )
    return _with_keys(snapshot.connection, _best_matches(snapshot.connection, match, limit))


class _Match(NamedTuple):
    score: str
    where: str
    parameters: tuple[Any, ...]


def _best_matches(connection: sqlite3.Connection, match: _Match, limit: int) -> list[tuple[int, float]]:
    """Fetching the keys of all matches would take longer than to rank them: only ties ask for keys."""
    rows: list[tuple[int, float]] = connection.execute(
        f"SELECT rowid, {match.score} AS score FROM text WHERE {match.where} ORDER BY score DESC LIMIT ?",
        (*match.parameters, limit + 1),
    ).fetchall()
    if len(rows) <= limit or rows[limit][1] < rows[limit - 1][1]:
        return rows[:limit]
    cut = rows[limit][1]
    above = [row for row in rows if row[1] > cut]
    tied = connection.execute(
        f"SELECT text.rowid FROM text JOIN doc ON doc.id = text.rowid WHERE {match.where}"
        f" AND {match.score} = ? ORDER BY doc.key LIMIT ?",
        (*match.parameters, cut, limit - len(above)),
    )
    return above + [(id_, cut) for (id_,) in tied]


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


def vector_leg(snapshot: Snapshot, selection: Selection, query: EngineQuery) -> list[Found]:
    """Items by their cosine to the query, none below its floor."""
    view = snapshot.view
    if view is None or query.vector is None or not query.limit:
        return []
    positions, scores = _cosines(snapshot, selection, view, query.vector)
    if query.floor is not None:
        near = scores >= query.floor
        positions, scores = positions[near], scores[near]
    return _best(snapshot.connection, view.ids[positions], scores, query.limit)


def _cosines(
    snapshot: Snapshot, selection: Selection, view: MatrixView, vector: Vector
) -> tuple[Positions, Vector]:
    """Positions and rounded cosines of the selected items."""
    passing = selection.passing(snapshot.connection)
    excluded = view.positions(selection.excluded)
    if passing is not None and len(passing) <= _GATHER_SHARE * view.count:
        positions = np.setdiff1d(view.positions(passing), excluded, assume_unique=True)
        scores = view.scores_at(positions, vector)
    else:
        kept = view.alive.copy()
        if passing is not None:
            kept[:] = False
            kept[view.positions(passing)] = True
        kept[excluded] = False
        positions = np.flatnonzero(kept)
        scores = view.scores(vector)[positions]
    return positions, np.clip(np.round(scores, _DECIMALS), -1.0, 1.0)


def _best(connection: sqlite3.Connection, ids: Ids, scores: Vector, limit: int) -> list[Found]:
    """The `limit` best; of those tied for the last places, the ones with the smallest keys."""
    if len(ids) > limit:
        cut = np.partition(scores, -limit)[-limit]
        above = np.flatnonzero(scores > cut)
        tied = keys_of(connection, ids[scores == cut])
        last = sorted(tied, key=tied.__getitem__)[: limit - len(above)]
        rows = [
            *zip(ids[above].tolist(), scores[above].tolist(), strict=True),
            *((id_, float(cut)) for id_ in last),
        ]
    else:
        rows = list(zip(ids.tolist(), scores.tolist(), strict=True))
    return _with_keys(connection, [(id_, round(score, _DECIMALS)) for id_, score in rows])


def _with_keys(connection: sqlite3.Connection, rows: Sequence[tuple[int, float]]) -> list[Found]:
    keys = keys_of(connection, np.array([id_ for id_, _ in rows], np.int64))
    return [Found(id_, keys[id_], score) for id_, score in rows]


def keys_of(connection: sqlite3.Connection, ids: Ids) -> dict[int, str]:
    return dict(
        connection.execute(
            "SELECT doc.id, doc.key FROM json_each(?) AS given CROSS JOIN doc ON doc.id = given.value",
            (as_json(ids),),
        )
    )
