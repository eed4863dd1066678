"""An index as one read transaction sees it, and the items of it that a query is about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from llmrec_plugin.backends.embedded.cache import Cache
from llmrec_plugin.backends.embedded.filter_columns import Column, Mask
from llmrec_plugin.backends.embedded.lookups import Ids, ids_of
from llmrec_plugin.backends.embedded.matrix import MatrixView
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.backends.embedded.terms import phrase_expression
from llmrec_plugin.backends.embedded.vocabulary import Table, Vocabulary
from llmrec_plugin.types import EngineQuery, Filter, Phrase


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

    def vocabulary(self, table: Table) -> Vocabulary:
        return self.cache.vocabulary(self.connection, self.layout, self.state, table)


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
    out = _left_out(snapshot, query)
    inside = [_passing(snapshot, query.filters)] if query.filters else []
    inside += [_holding(snapshot, [phrase]) for phrase in query.phrases]
    if query.only is not None:
        inside.append(_mask_of(snapshot, query.only))
    if inside:
        mask = np.logical_and.reduce(inside)
        if out is not None:
            mask &= ~out
        return Selection(mask, int(np.count_nonzero(mask)))
    if out is None:
        return Selection(None, snapshot.state.live)
    return Selection(~out, snapshot.state.live - int(np.count_nonzero(out)))


def _left_out(snapshot: Snapshot, query: EngineQuery) -> Mask | None:
    """Items that can be found and are not wanted; None: there are none."""
    groups = [_passing(snapshot, group) for group in query.unless]
    if query.without:
        groups.append(_holding(snapshot, query.without))
    if query.exclude:
        groups.append(_mask_of(snapshot, query.exclude))
    return np.logical_or.reduce(groups) if groups else None


def _passing(snapshot: Snapshot, filters: Sequence[Filter]) -> Mask:
    size = snapshot.state.next_id
    mask: Mask = np.logical_and.reduce([snapshot.column(item.field).passing(item, size) for item in filters])
    return mask


def _mask_of(snapshot: Snapshot, keys: Iterable[str]) -> Mask:
    mask = np.zeros(snapshot.state.next_id, np.bool_)
    mask[ids_of(snapshot.connection, keys)] = True
    return mask


def _holding(snapshot: Snapshot, phrases: Iterable[Phrase]) -> Mask:
    """The items that hold any of the phrases."""
    rows = snapshot.connection.execute(
        "SELECT rowid FROM exact WHERE exact MATCH ?",
        (" OR ".join(phrase_expression(phrase.terms) for phrase in phrases),),
    )
    mask = np.zeros(snapshot.state.next_id, np.bool_)
    mask[[id_ for (id_,) in rows]] = True
    return mask
