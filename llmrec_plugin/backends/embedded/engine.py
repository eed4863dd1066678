"""The embedded engine's face: one method per verb of the contract, each on a connection of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from llmrec_plugin.backends import base
from llmrec_plugin.backends.embedded.bulk_write import apply, prepare
from llmrec_plugin.backends.embedded.cache import Ahead, Cache
from llmrec_plugin.backends.embedded.codec import Codec, Dtype
from llmrec_plugin.backends.embedded.connections import Lease, Pool
from llmrec_plugin.backends.embedded.lookups import as_json
from llmrec_plugin.backends.embedded.schema import read_state
from llmrec_plugin.backends.embedded.search import answer, suggestions
from llmrec_plugin.backends.embedded.snapshot import Snapshot
from llmrec_plugin.backends.validation import check_name, check_query
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import BackendUnavailable
from llmrec_plugin.options import between
from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    IndexedItem,
    IndexSchema,
    Removal,
    Vector,
    WriteReport,
)

_MIN_SQLITE = (3, 32, 0)
_PAGE = 2_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """LLMREC["BACKEND_OPTIONS"] of this engine, each key with its default."""

    dtype: Dtype = "float32"
    """"float16": half the memory and disk, for indexes made from then on."""
    busy_timeout: Annotated[float, between(0, 3600)] = 30.0
    """Seconds that a write waits for another process's."""


class SearchBackend(base.SearchBackend):
    """Options: `dtype`, "float32" or "float16" (half the memory and disk, for indexes made from then
    on); `busy_timeout`, the seconds that a write waits for another process's."""

    supports_vector_reads = True
    options_kind = Options

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        settings = get_settings()
        chosen = self.read(Options)
        self._codec = Codec(chosen.dtype)
        self._pool = Pool(settings.data_dir / "index", busy_timeout=float(chosen.busy_timeout))
        self._prefix = settings.INDEX_PREFIX.lower()
        self._cache = Cache()

    def create_index(self, name: str, schema: IndexSchema) -> None:
        check_name(name)
        self._pool.create(name, schema, self._codec)

    def drop_index(self, name: str) -> None:
        check_name(name)
        self._pool.drop(name)

    def index_names(self) -> list[str]:
        """Those whose first part is LLMREC["INDEX_PREFIX"]: other sites may share the folder."""
        return self._pool.names(f"{self._prefix}-")

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        with self._lease(name) as lease:
            batch = prepare(lease.layout, puts, deletes)
            with _transaction(lease.sqlite, "IMMEDIATE"):
                return apply(lease.sqlite, lease.layout, batch)

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        with self._lease(name) as lease:
            query = check_query(query, lease.layout.schema)
            while True:
                with suppress(Ahead), _transaction(lease.sqlite, "DEFERRED"):
                    state = read_state(lease.sqlite)
                    return answer(Snapshot(lease.sqlite, lease.layout, state, self._cache), query)

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        with self._lease(name) as lease:
            while True:
                with suppress(Ahead), _transaction(lease.sqlite, "DEFERRED"):
                    state = read_state(lease.sqlite)
                    snapshot = Snapshot(lease.sqlite, lease.layout, state, self._cache)
                    return suggestions(snapshot, starts, limit, fuzzy=fuzzy)

    def count(self, name: str) -> int:
        with self._lease(name) as lease:
            return read_state(lease.sqlite).live

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        last = 0
        while True:
            with self._lease(name) as lease:
                rows = lease.sqlite.execute(
                    "SELECT id, key, digest FROM doc WHERE id > ? AND deleted IS NULL ORDER BY id LIMIT ?",
                    (last, _PAGE),
                ).fetchall()
            if not rows:
                return
            yield from ((key, digest) for _, key, digest in rows)
            last = rows[-1][0]

    def vectors(self, name: str, keys: Sequence[str]) -> dict[str, Vector]:
        with self._lease(name) as lease:
            rows = lease.sqlite.execute(
                "SELECT doc.key, vector.data FROM json_each(?) AS given"
                " CROSS JOIN doc ON doc.key = given.value JOIN vector ON vector.doc = doc.id",
                (as_json(dict.fromkeys(keys)),),
            ).fetchall()
            codec, dimensions = lease.layout.codec, lease.layout.schema.dimensions
        matrix = codec.decode(codec.from_bytes([data for _, data in rows], dimensions))
        return {key: vector for (key, _), vector in zip(rows, matrix, strict=True)}

    def refresh(self, name: str) -> None:
        """A committed write is visible to every process at once: only a missing index is told."""
        with self._lease(name):
            pass

    def check(self) -> None:
        _check_sqlite()
        _check_folder(self._pool.folder)
        for name in self.index_names():
            self.count(name)

    def _lease(self, name: str) -> AbstractContextManager[Lease]:
        check_name(name)
        return self._pool.lease(name)


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _MIN_SQLITE:
        raise BackendUnavailable(
            f"Python's SQLite is {sqlite3.sqlite_version}; the embedded engine needs "
            f"{'.'.join(map(str, _MIN_SQLITE))} or newer. Use another build of Python or another engine."
        )
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        connection.execute("SELECT value FROM json_each('[1]')")
    except sqlite3.Error as error:
        raise BackendUnavailable(
            f"Python's SQLite was built without FTS5 or JSON ({error}), which the embedded engine needs. "
            "Use another build of Python (python.org's, Debian's and Homebrew's have both) or another engine."
        ) from error
    finally:
        connection.close()


def _check_folder(folder: Path) -> None:
    existing = next((path for path in (folder, *folder.parents) if os.access(path, os.F_OK)), folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise BackendUnavailable(
            f"The folder of the indexes, {folder}, cannot be written: give the site's user the right to "
            f'write {existing}, or set LLMREC["DATA_DIR"].'
        )
