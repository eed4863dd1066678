"""The database of a test moved to a file, where it can be locked and read-only as a site's can."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connections


@contextmanager
def moved_to(path: Path) -> Iterator[Path]:
    """Within it all threads of this process work on a copy in that file; for tests in no transaction."""
    former = connections["default"]
    if former.vendor != "sqlite":
        pytest.skip("about a file of SQLite")
    former.ensure_connection()
    with closing(sqlite3.connect(path)) as file:
        former.connection.backup(file)
    with _opened(str(path)):
        yield path


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Within it the file is opened for reading alone."""
    with _opened(f"{path.as_uri()}?mode=ro"):
        yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection is in the middle of a write, and stays there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield
        writer.execute("ROLLBACK")


@contextmanager
def _opened(name: str) -> Iterator[None]:
    former, settings = connections["default"], connections.settings["default"]
    kept = settings["NAME"]
    settings["NAME"] = name
    connections["default"] = connections.create_connection("default")
    try:
        yield
    finally:
        connections["default"].close()
        settings["NAME"] = kept
        connections["default"] = former
