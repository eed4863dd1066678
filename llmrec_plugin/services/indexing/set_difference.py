"""What the site and its indexes hold, side by side in a temporary SQLite file: joins in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import TypeAlias

Pair: TypeAlias = tuple[str, str]
"""(key, hash)."""
Finding: TypeAlias = tuple[int, str]
"""(index version, key)."""

_TABLES = """
CREATE TABLE site (key TEXT PRIMARY KEY, fingerprint TEXT) WITHOUT ROWID;
CREATE TABLE unreadable (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE expected (version INTEGER, key TEXT, digest TEXT, PRIMARY KEY (version, key)) WITHOUT ROWID;
CREATE TABLE indexed (version INTEGER, key TEXT, digest TEXT, PRIMARY KEY (version, key)) WITHOUT ROWID;
CREATE TABLE space (version INTEGER PRIMARY KEY);
CREATE TABLE stored (version INTEGER, key TEXT, fingerprint TEXT, PRIMARY KEY (version, key)) WITHOUT ROWID;
"""
_MISSING = """
SELECT expected.version, key FROM expected LEFT JOIN indexed USING (version, key) WHERE indexed.digest IS NULL
"""
_STALE = """
SELECT expected.version, key FROM expected JOIN indexed USING (version, key)
WHERE indexed.digest <> expected.digest
UNION
SELECT space.version, site.key FROM space JOIN site
LEFT JOIN stored ON stored.version = space.version AND stored.key = site.key
WHERE stored.fingerprint IS NOT site.fingerprint
"""
_ORPHANED = """
SELECT version, key FROM (
    SELECT version, key FROM indexed UNION SELECT version, key FROM stored
) WHERE key NOT IN (SELECT key FROM site) AND key NOT IN (SELECT key FROM unreadable)
"""


class Ledger:
    """Filled from all sides, then asked what does not match; a context manager, since its file is on disk."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a file of its own that vanishes when it is closed

    def __enter__(self) -> Ledger:
        self._database.executescript(_TABLES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add_site(self, pairs: Iterable[Pair]) -> None:
        """Items of the site with the fingerprint of their text."""
        self._database.executemany("INSERT OR REPLACE INTO site VALUES (?, ?)", pairs)

    def add_unreadable(self, keys: Iterable[str]) -> None:
        """Items that could not be prepared: what an index holds of them is neither right nor wrong."""
        self._database.executemany("INSERT OR REPLACE INTO unreadable VALUES (?)", ((key,) for key in keys))

    def add_expected(self, version: int, pairs: Iterable[Pair]) -> None:
        """Digests that the index should hold."""
        self._add("expected", version, pairs)

    def add_indexed(self, version: int, pairs: Iterable[Pair]) -> None:
        """Digests that the index holds."""
        self._add("indexed", version, pairs)

    def add_stored(self, version: int, pairs: Iterable[Pair]) -> None:
        """Fingerprints of the stored vectors in the space of that index."""
        self._database.execute("INSERT OR REPLACE INTO space VALUES (?)", (version,))
        self._add("stored", version, pairs)

    def _add(self, table: str, version: int, pairs: Iterable[Pair]) -> None:
        rows = ((version, key, mark) for key, mark in pairs)
        self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)

    def missing(self) -> set[Finding]:
        """Expected, but not in the index."""
        return set(self._database.execute(_MISSING))

    def stale(self) -> set[Finding]:
        """Other in the index, or without the vector of the present text."""
        return set(self._database.execute(_STALE)) - self.missing()

    def orphaned(self) -> set[Finding]:
        """In the index, or with a stored vector, but not on the site."""
        return set(self._database.execute(_ORPHANED))

    def unreadable(self) -> set[str]:
        return {key for (key,) in self._database.execute("SELECT key FROM unreadable")}
