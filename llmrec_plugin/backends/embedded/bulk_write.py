"""Puts and deletes, guarded by revision, within one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from llmrec_plugin.backends.embedded.lookups import as_json
from llmrec_plugin.backends.embedded.schema import BREADTH, Layout, State, read_state
from llmrec_plugin.backends.embedded.terms import encode_terms
from llmrec_plugin.backends.validation import check_item, unit_vectors
from llmrec_plugin.types import IndexedItem, IndexSchema, Removal, Scalar, WriteReport

TOMBSTONE_SECONDS = 86_400
"""How long a delete still refuses older puts."""
_PURGED_AT_ONCE = 1_000
_PARTS = (("text", "rowid"), ("exact", "rowid"), ("starts", "rowid"), ("filter", "doc"), ("vector", "doc"))
"""Table and the column that holds the item's id."""


@dataclass(frozen=True)
class Put:
    """A document in the form in which its parts are stored."""

    key: str
    revision: int
    digest: str
    texts: tuple[str, ...]
    """By column."""
    exact: tuple[str, ...]
    starts: str
    filters: Mapping[str, tuple[Scalar, ...]]
    vector: bytes


@dataclass(frozen=True)
class Batch:
    """What one call asks for, checked before any lock is taken."""

    changes: tuple[Put | Removal, ...]
    failed: Mapping[str, str]


def prepare(layout: Layout, puts: Sequence[IndexedItem], deletes: Sequence[Removal]) -> Batch:
    """Raises InvalidVector; a document that does not fit the schema is left out as failed."""
    vectors = layout.codec.encode(unit_vectors(puts, layout.schema.dimensions))
    changes: list[Put | Removal] = []
    failed: dict[str, str] = {}
    for put, vector in zip(puts, vectors, strict=True):
        try:
            filters = check_item(put, layout.schema)
        except ValueError as error:
            failed[put.key] = str(error)
            continue
        changes.append(
            Put(
                key=put.key,
                revision=put.revision,
                digest=put.digest,
                texts=_texts(put.terms, layout.schema),
                exact=_texts(put.exact, layout.schema),
                starts=encode_terms(put.starts),
                filters={**filters, BREADTH: (float(len(put.starts.split())),)},
                vector=vector.tobytes(),
            )
        )
    return Batch((*changes, *deletes), failed)


def _texts(terms: Mapping[str, str], schema: IndexSchema) -> tuple[str, ...]:
    return tuple(encode_terms(terms.get(name, "")) for name in schema.text_fields) or ("",)


@dataclass
class _Known:
    """What the index holds under a key, changes of the running call included."""

    id: int
    key: str
    revision: int
    live: bool
    change: Put | Removal | None = None


def apply(connection: sqlite3.Connection, layout: Layout, batch: Batch) -> WriteReport:
    """Make the newer changes, within the caller's transaction."""
    state = read_state(connection)
    known, written = _decide(connection, batch.changes, state.next_id)
    changed = [entry for entry in known.values() if entry.change is not None]
    if changed:
        sequence = state.sequence + 1
        _clear(connection, [entry.id for entry in changed if entry.live])
        _write_documents(connection, changed, sequence)
        _write_parts(connection, layout, changed)
        gained = sum(isinstance(entry.change, Put) - entry.live for entry in changed)
        new_state = State(
            sequence=sequence,
            purged=max(state.purged, _purge(connection)),
            live=state.live + gained,
            next_id=max(state.next_id, 1 + max(entry.id for entry in changed)),
        )
        connection.execute(
            "UPDATE state SET sequence = ?, purged = ?, live = ?, next_id = ?",
            (new_state.sequence, new_state.purged, new_state.live, new_state.next_id),
        )
    return WriteReport(written=written, skipped=len(batch.changes) - written, failed=dict(batch.failed))


def _decide(
    connection: sqlite3.Connection, changes: Sequence[Put | Removal], next_id: int
) -> tuple[dict[str, _Known], int]:
    """The newest change of each key, and how many were newer than what came before them."""
    rows = connection.execute(
        "SELECT doc.key, doc.id, doc.revision, doc.deleted IS NULL"
        " FROM json_each(?) AS given CROSS JOIN doc ON doc.key = given.value",
        (as_json({change.key for change in changes}),),
    )
    known = {key: _Known(id_, key, revision, bool(live)) for key, id_, revision, live in rows}
    written = 0
    for change in changes:
        entry = known.get(change.key)
        if entry is None:
            entry = known[change.key] = _Known(next_id, change.key, change.revision - 1, live=False)
            next_id += 1
        if change.revision > entry.revision:
            entry.revision, entry.change = change.revision, change
            written += 1
    return known, written


def _clear(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    rows = [(id_,) for id_ in ids]
    for table, column in _PARTS:
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", rows)


def _write_documents(connection: sqlite3.Connection, changed: Sequence[_Known], sequence: int) -> None:
    now = time.time()
    rows: list[tuple[object, ...]] = []
    for entry in changed:
        if isinstance(entry.change, Put):
            rows.append((entry.id, entry.key, entry.revision, entry.change.digest, sequence, None))
        else:
            rows.append((entry.id, entry.key, entry.revision, "", sequence, now))
    connection.executemany(
        "INSERT INTO doc (id, key, revision, digest, sequence, deleted) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, digest = excluded.digest,"
        " sequence = excluded.sequence, deleted = excluded.deleted",
        rows,
    )


def _write_parts(connection: sqlite3.Connection, layout: Layout, changed: Sequence[_Known]) -> None:
    puts = [(entry.id, entry.change) for entry in changed if isinstance(entry.change, Put)]
    columns = max(1, len(layout.columns))
    for table, texts in (("text", attrgetter("texts")), ("exact", attrgetter("exact"))):
        connection.executemany(
            f"INSERT INTO {table} (rowid, {', '.join(f't{n}' for n in range(columns))})"
            f" VALUES (?{', ?' * columns})",
            ((id_, *texts(put)) for id_, put in puts),
        )
    connection.executemany(
        "INSERT INTO starts (rowid, term) VALUES (?, ?)", ((id_, put.starts) for id_, put in puts)
    )
    connection.executemany(
        "INSERT INTO filter (field, value, doc) VALUES (?, ?, ?)",
        (
            (layout.filter_numbers[name], value, id_)
            for id_, put in puts
            for name, values in put.filters.items()
            for value in values
        ),
    )
    connection.executemany(
        "INSERT INTO vector (doc, data) VALUES (?, ?)", ((id_, put.vector) for id_, put in puts)
    )


def _purge(connection: sqlite3.Connection) -> int:
    """Forget some tombstones past their time; the highest sequence among them, 0 for none."""
    old = connection.execute(
        "SELECT id, sequence FROM doc WHERE deleted < ? ORDER BY deleted LIMIT ?",
        (time.time() - TOMBSTONE_SECONDS, _PURGED_AT_ONCE),
    ).fetchall()
    connection.executemany("DELETE FROM doc WHERE id = ?", ((id_,) for id_, _ in old))
    return max((sequence for _, sequence in old), default=0)
