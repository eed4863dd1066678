"""What each process keeps in memory of the indexes it searches, refreshed by their change sequence."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass, field

from llmrec_plugin.backends.embedded.filter_columns import Column, advance_column, load_column
from llmrec_plugin.backends.embedded.matrix import MatrixView, advance_matrix, load_matrix
from llmrec_plugin.backends.embedded.schema import Layout, State
from llmrec_plugin.backends.embedded.vocabulary import Table, Vocabulary, load_vocabulary

_FORGET_SECONDS = 3600


class Ahead(Exception):
    """Another thread has refreshed beyond what this transaction sees."""


@dataclass
class _Entry:
    """All that is kept of one index file; its lock is held while any of it is refreshed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    matrix: MatrixView | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    vocabularies: dict[Table, Vocabulary] = field(default_factory=dict)
    reading: threading.Lock = field(default_factory=threading.Lock)
    """Held while words are read that are there already, but old."""
    used: float = 0.0


class Cache:
    """Shared by all threads; what it hands out never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def matrix(self, connection: sqlite3.Connection, layout: Layout, state: State) -> MatrixView:
        """All vectors as of `state`, which was read in the connection's running transaction.

        The first call reads them all. Raises Ahead.
        """
        entry = self._entry(layout)
        with entry.lock:
            matrix = entry.matrix
            if matrix is None or matrix.sequence < state.purged:
                matrix = load_matrix(connection, layout, state)
            elif matrix.sequence < state.sequence:
                matrix = advance_matrix(connection, layout, state, matrix)
            entry.matrix = matrix
        if matrix.sequence > state.sequence:
            raise Ahead
        return matrix

    def column(self, connection: sqlite3.Connection, layout: Layout, state: State, name: str) -> Column:
        """The values of that filter field, likewise."""
        entry = self._entry(layout)
        with entry.lock:
            column = entry.columns.get(name)
            if column is None or column.sequence < state.purged:
                column = load_column(connection, layout, state, name)
            elif column.sequence < state.sequence:
                column = advance_column(connection, layout, state, name, column)
            entry.columns[name] = column
        if column.sequence > state.sequence:
            raise Ahead
        return column

    def vocabulary(
        self, connection: sqlite3.Connection, layout: Layout, state: State, table: Table
    ) -> Vocabulary:
        """The words of that table, up to REFRESH_SECONDS old; one thread reads them anew while the others
        go on with what there is."""
        entry = self._entry(layout)
        found = entry.vocabularies.get(table)
        if found is not None and (found.is_good(state) or not entry.reading.acquire(blocking=False)):
            return found
        try:
            vocabulary = entry.vocabularies[table] = load_vocabulary(connection, state, table)
        finally:
            if found is not None:
                entry.reading.release()
        return vocabulary

    def _entry(self, layout: Layout) -> _Entry:
        with self._lock:
            if layout.uid not in self._entries:
                self._forget_unused()
                self._entries[layout.uid] = _Entry()
            entry = self._entries[layout.uid]
            entry.used = time.monotonic()
            return entry

    def _forget_unused(self) -> None:
        """Indexes that were replaced by newer ones would otherwise stay in memory for good."""
        old = time.monotonic() - _FORGET_SECONDS
        for uid in [uid for uid, entry in self._entries.items() if entry.used < old]:
            del self._entries[uid]
