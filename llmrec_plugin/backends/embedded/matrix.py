"""All vectors of an index in memory, in views that never change while the matrix goes on growing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.backends.embedded.codec import Codec, Rows
from llmrec_plugin.backends.embedded.lookups import Ids
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.types import Vector

Positions = NDArray[np.intp]
"""Rows of the matrix."""

_BLOCK_ELEMENTS = 384 * 1024
"""Small enough for the processor's cache, and for BLAS to stay in the calling thread: many requests
at once share the cores better than many threads of each."""
_FETCH = 4096
_DEAD_SHARE = 0.25
"""Rows of changed and deleted items are left behind until they are more than this share."""


@dataclass(frozen=True)
class MatrixView:
    """The vectors as of one sequence; it stays as it is while others write and refresh."""

    sequence: int
    codec: Codec
    blocks: tuple[Rows, ...]
    count: int
    """Rows in use, dead ones included; what lies behind them belongs to later views."""
    ids: Ids
    alive: NDArray[np.bool_]
    position_of: NDArray[np.int32]
    """By id; -1: none."""

    def positions(self, ids: Ids) -> Positions:
        """Where those of the ids are that have a vector, ascending."""
        known = self.position_of[ids[ids < len(self.position_of)]]
        return np.sort(known[known >= 0]).astype(np.intp)

    def scores(self, query: Vector) -> Vector:
        """Cosine of every row, shape (count,); meaningless for dead ones."""
        prepared = self.codec.prepare(query)
        out = np.empty(self.count, np.float32)
        for start, block in self._used_blocks():
            self.codec.products(block, prepared, out[start : start + len(block)])
        return out

    def scores_at(self, positions: Positions, query: Vector) -> Vector:
        """Cosine of the rows at ascending positions, without touching the others."""
        prepared = self.codec.prepare(query)
        out = np.empty(len(positions), np.float32)
        starts = [start for start, _ in self._used_blocks()]
        edges = [*np.searchsorted(positions, starts), len(positions)]
        for (start, block), (low, high) in zip(self._used_blocks(), pairwise(edges), strict=True):
            if low < high:
                self.codec.products(block[positions[low:high] - start], prepared, out[low:high])
        return out

    def _used_blocks(self) -> Iterator[tuple[int, Rows]]:
        start = 0
        for block in self.blocks:
            yield start, block[: self.count - start]
            start += len(block)


def load_matrix(connection: sqlite3.Connection, layout: Layout, state: State) -> MatrixView:
    return _append(connection, layout, _empty(layout), state)


def advance_matrix(
    connection: sqlite3.Connection, layout: Layout, state: State, view: MatrixView
) -> MatrixView:
    """A view that also has the changes since; `view` must be the newest of its blocks."""
    newer = _append(connection, layout, view, state)
    if np.count_nonzero(newer.alive) < (1 - _DEAD_SHARE) * newer.count:
        return _compact(newer)
    return newer


def _empty(layout: Layout) -> MatrixView:
    return MatrixView(
        sequence=0,
        codec=layout.codec,
        blocks=(),
        count=0,
        ids=np.empty(0, np.int64),
        alive=np.empty(0, np.bool_),
        position_of=np.empty(0, np.int32),
    )


def _append(connection: sqlite3.Connection, layout: Layout, view: MatrixView, state: State) -> MatrixView:
    """A changed item gets a new row, its old one is dead."""
    cursor = connection.execute(
        "SELECT doc.id, vector.data FROM doc LEFT JOIN vector ON vector.doc = doc.id WHERE doc.sequence > ?",
        (view.sequence,),
    )
    position_of = np.full(max(state.next_id, len(view.position_of)), -1, np.int32)
    position_of[: len(view.position_of)] = view.position_of
    blocks = list(view.blocks)
    count, ids, gone = view.count, [view.ids], []
    while changes := cursor.fetchmany(_FETCH):
        gone.append(position_of[[id_ for id_, _ in changes]])
        position_of[[id_ for id_, _ in changes]] = -1
        kept = [(id_, data) for id_, data in changes if data is not None]
        rows = layout.codec.from_bytes([data for _, data in kept], layout.schema.dimensions)
        _fill(blocks, count, rows)
        ids.append(np.array([id_ for id_, _ in kept], np.int64))
        position_of[ids[-1]] = np.arange(count, count + len(rows), dtype=np.int32)
        count += len(rows)
    alive = np.concatenate([view.alive, np.ones(count - view.count, np.bool_)])
    dead = np.concatenate([np.empty(0, np.int32), *gone])
    alive[dead[dead >= 0]] = False
    return MatrixView(
        sequence=state.sequence,
        codec=view.codec,
        blocks=tuple(blocks),
        count=count,
        ids=np.concatenate(ids),
        alive=alive,
        position_of=position_of,
    )


def _fill(blocks: list[Rows], count: int, rows: Rows) -> None:
    """Put rows behind the first `count`: no view reads there yet, and no block is ever moved."""
    dimensions = rows.shape[1]
    size = max(64, _BLOCK_ELEMENTS // dimensions)
    done = 0
    while done < len(rows):
        number, offset = divmod(count + done, size)
        if number == len(blocks):
            blocks.append(np.empty((size, dimensions), rows.dtype))
        part = rows[done : done + size - offset]
        blocks[number][offset : offset + len(part)] = part
        done += len(part)


def _compact(view: MatrixView) -> MatrixView:
    blocks: list[Rows] = []
    count = 0
    for start, block in view._used_blocks():
        rows = block[view.alive[start : start + len(block)]]
        _fill(blocks, count, rows)
        count += len(rows)
    ids = view.ids[view.alive]
    position_of = np.full(len(view.position_of), -1, np.int32)
    position_of[ids] = np.arange(count, dtype=np.int32)
    return MatrixView(
        sequence=view.sequence,
        codec=view.codec,
        blocks=tuple(blocks),
        count=count,
        ids=ids,
        alive=np.ones(count, np.bool_),
        position_of=position_of,
    )
