"""Writes that a visitor's page can do without: tried for a moment, never at the page's expense."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, connections, transaction

from llmrec_plugin.services.coordination import caches

logger = logging.getLogger(__name__)

WAIT_MS = 250
"""Milliseconds that a page waits for a database that another connection is writing to."""
PAUSE_SECONDS = 2.0
"""After a failure no page of this process tries again for so long, lest each of them waits."""
ILL_SECONDS = 60
"""A failure is told by the health check for so long, unless a write succeeds before."""

_silent_until: dict[str, float] = {}
"""By database."""


def attempt(write: Callable[[], object], *, using: str) -> bool:
    """Return whether the write was done; where the database takes none, that is logged and told by
    `recent_error`, and a transaction of the caller's goes on as if it had never been tried.

    SQLite waits for another writer for WAIT_MS at most, whatever `timeout` the site has set.
    """
    if time.monotonic() < _silent_until.get(using, 0.0):
        return False
    error = error_of(write, using=using)
    if error is None:
        if _silent_until.pop(using, None) is not None:
            caches.write(_key(using), "", seconds=0)
        return True
    name = type(error).__name__  # its text may quote what was to be written
    logger.error("not written database=%s error=%s", using, name)
    if not isinstance(error, DataError | IntegrityError):  # those are about this one row
        _silent_until[using] = time.monotonic() + PAUSE_SECONDS
        caches.write(_key(using), name, seconds=ILL_SECONDS)
    return False


def error_of(write: Callable[[], object], *, using: str) -> DatabaseError | None:
    """Return why the database does not take the write; None: it was done."""
    connection = connections[using]
    try:
        connection.ensure_connection()
        savepoint = transaction.atomic(using=using) if connection.in_atomic_block else nullcontext()
        with _impatient(connection), savepoint:
            write()
    except DatabaseError as error:
        return error
    return None


def recent_error(using: str) -> str:
    """Return the name of the error that kept pages of any process from writing of late; empty: none did."""
    return str(caches.read([_key(using)]).get(_key(using), ""))


def _key(using: str) -> str:
    return caches.cache_key("not-written", using)


@contextmanager
def _impatient(connection: Any) -> Iterator[None]:
    """Have SQLite wait for a moment only; asked of the driver itself, since it is no query of the site's."""
    if connection.vendor != "sqlite":
        yield
        return
    driver = connection.connection
    (patience,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout = {min(int(patience), WAIT_MS)}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(patience)}")
