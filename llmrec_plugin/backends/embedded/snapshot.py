"""An index as one read transaction sees it, and the items of it that a query is about."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np

from llmrec_plugin.backends.embedded.cache import Cache
from llmrec_plugin.backends.embedded.columns import Column, Mask
from llmrec_plugin.backends.embedded.lookups import Ids, ids_of
from llmrec_plugin.backends.embedded.matrix import MatrixView
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.types import EngineQuery


@dataclass(frozen=True)
class Snapshot:
    """File and memory at the same sequence; `matrix` and `column` raise Ahead where they cannot be."""

    connection: sqlite3.Connection
    layout: Layout
    state: State
    cache: Cache

    def matrix(self) -> MatrixView:
        return self.cache.matrix(self.connection, self.layout, self.state)

    def column(self, name: str) -> Column:
        return self.cache.column(self.connection, self.layout, self.state, name)


@dataclass(frozen=True)
class Selection:
    """Which items pass all filters and are not excluded."""

    mask: Mask | None
    """None: all. Without filters it is also true for ids whose item is gone."""
    count: int

    def keeps(self, ids: Ids) -> Mask:
        """Of ids that can be found."""
        return np.ones(len(ids), np.bool_) if self.mask is None else self.mask[ids]


def select(snapshot: Snapshot, query: EngineQuery) -> Selection:
    size = snapshot.state.next_id
    excluded = ids_of(snapshot.connection, query.exclude) if query.exclude else np.empty(0, np.int64)
    if not query.filters:
        if not len(excluded):
            return Selection(None, snapshot.state.live)
        mask = np.ones(size, np.bool_)
        mask[excluded] = False
        return Selection(mask, snapshot.state.live - len(excluded))
    mask = np.logical_and.reduce([snapshot.column(item.field).passing(item, size) for item in query.filters])
    mask[excluded] = False
    return Selection(mask, int(np.count_nonzero(mask)))
