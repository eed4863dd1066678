"""SQLite connections to index files: lent to one user at a time, safe across threads, forks and drops."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from llmrec_plugin.backends.embedded.codec import Codec
from llmrec_plugin.backends.embedded.schema import Layout, create_tables, read_layout
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import BackendUnavailable, IndexConflict, IndexDamaged, NotFound
from llmrec_plugin.types import IndexSchema

SUFFIX = ".sqlite3"
_IDLE = 8
"""Connections per index that are kept open for the next user."""


class _ForkGate:
    """Lets no fork happen while a connection is in use, and has all of them closed before one.

    SQLite shares its file locks among the connections of a process and cannot tell that a child is
    another process: a file that is open across a fork may lose its locks and then its content.
    https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0
        self._forking = False
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._close, after_in_parent=self._open, after_in_child=self._renew)

    def watch(self, pool: Pool) -> None:
        self._pools.add(pool)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Not to be nested: a fork that waits for the outer use would keep the inner one out."""
        with self._condition:
            while self._forking:
                self._condition.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    def _close(self) -> None:
        self._condition.acquire()
        while self._inside:
            self._forking = True
            self._condition.wait()
        for pool in list(self._pools):
            pool.close()

    def _open(self) -> None:
        self._forking = False
        self._condition.notify_all()
        self._condition.release()

    def _renew(self) -> None:
        """In the child, also of a server that forks in C, where `before` was never called."""
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0
        self._forking = False
        for pool in list(self._pools):
            pool.renew()


_gate = _ForkGate()


@dataclass(frozen=True, eq=False)
class Lease:
    """A connection of its user's own until the `with` block ends."""

    sqlite: sqlite3.Connection
    layout: Layout
    file: tuple[int, int]
    """Device and inode: the name may stand for another file tomorrow."""


_inherited: list[Lease] = []


class Pool:
    """The index files of one folder."""

    def __init__(self, folder: Path, *, busy_timeout: float) -> None:
        self.folder = folder.absolute()
        self._busy_timeout = busy_timeout
        self._lock = threading.Lock()
        self._idle: dict[str, list[Lease]] = {}
        _gate.watch(self)
        weakref.finalize(self, _close_all, self._idle)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def close(self) -> None:
        """Close what nobody uses; the next user opens anew."""
        _close_all(self._idle)

    def renew(self) -> None:
        """In a forked child: leave alone what the parent still uses, closing it included."""
        self._lock = threading.Lock()
        _inherited.extend(lease for leases in self._idle.values() for lease in leases)
        self._idle.clear()

    @contextmanager
    def lease(self, name: str) -> Iterator[Lease]:
        """Raises NotFound for an index that is not, or no longer, there; BackendUnavailable for the rest."""
        with _gate.use(), self._translated(name):
            try:
                lease = self._take(name)
                with self._lent(name, lease):
                    yield lease
            except sqlite3.Error as error:
                if _file(self.path(name)) is None:
                    raise self._not_found(name) from error
                raise

    @contextmanager
    def _lent(self, name: str, lease: Lease) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            lease.sqlite.close()
            raise
        except BaseException:
            lease.sqlite.rollback()
            self._give_back(name, lease)
            raise
        self._give_back(name, lease)

    def create(self, name: str, schema: IndexSchema, codec: Codec) -> None:
        """Make the file unless it is there; IndexConflict if it was made with another schema."""
        with _gate.use(), self._translated(name):
            get_settings().make_folder(self.folder)
            with self._catalogue():
                if _file(self.path(name)) is None:
                    self._unlink(name)
                with closing(self._connect(name, "rwc")) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("BEGIN IMMEDIATE")
                    layout = read_layout(connection)
                    if layout is None:
                        create_tables(connection, schema, codec)
                    connection.execute("COMMIT")
        if layout is not None and layout.schema != schema:
            raise IndexConflict(
                f"An index {name!r} exists with another schema: {layout.schema} instead of {schema}."
            )

    def drop(self, name: str) -> None:
        """Delete the file; processes that have it open find out at their next use."""
        with _gate.use(), self._translated(name):
            with self._lock:
                idle = self._idle.pop(name, [])
            for lease in idle:
                lease.sqlite.close()
            if _file(self.path(name)) is not None:
                with self._catalogue():
                    self._unlink(name)

    def _unlink(self, name: str) -> None:
        """The database first: from then on nobody can open it and start a new log beside it."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path(name)}{suffix}").unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Names of the indexes in the folder, sorted; damaged ones too, so that they can be dropped."""
        names = sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))
        return [name for name in names if name.startswith(prefix) and self._is_made(name)]

    def _is_made(self, name: str) -> bool:
        try:
            with self.lease(name):
                return True
        except NotFound:
            return False
        except BackendUnavailable:
            return True

    @contextmanager
    def _catalogue(self) -> Iterator[None]:
        """Held while files are made or deleted: a log must never outlive its database into a new one."""
        with closing(
            sqlite3.connect(self.folder / "catalogue.lock", timeout=self._busy_timeout, isolation_level=None)
        ) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
            lock.execute("ROLLBACK")

    def _take(self, name: str) -> Lease:
        file = _file(self.path(name))
        if file is None:
            raise self._not_found(name)
        with self._lock:
            idle = self._idle.setdefault(name, [])
            stale = [lease for lease in idle if lease.file != file]
            idle[:] = [lease for lease in idle if lease.file == file]
            found = idle.pop() if idle else None
        for lease in stale:
            lease.sqlite.close()
        return found or self._open(name, file)

    def _open(self, name: str, file: tuple[int, int]) -> Lease:
        connection = self._connect(name, "rw")
        try:
            connection.execute("PRAGMA cache_size = -32000")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            layout = read_layout(connection)
            if layout is None or _file(self.path(name)) != file:
                raise self._not_found(name)
        except BaseException:
            connection.close()
            raise
        return Lease(connection, layout, file)

    def _connect(self, name: str, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path(name).as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,  # a lease has one user at a time, whichever thread that is
        )
        # In WAL mode this risks the newest commits at a power cut, never the file; nothing at a crash.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _give_back(self, name: str, lease: Lease) -> None:
        with self._lock:
            idle = self._idle.setdefault(name, [])
            if len(idle) < _IDLE:
                idle.append(lease)
                return
        lease.sqlite.close()

    def _not_found(self, name: str) -> NotFound:
        return NotFound(f"There is no index {name!r} in {self.folder}.")

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = IndexDamaged if _is_damage(error) else BackendUnavailable
            raise kind(f"The index file {self.path(name)} cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return f"{text}; another process has been writing for longer than BACKEND_OPTIONS['busy_timeout']."
    if _is_damage(error):
        return f"{text}; the file is damaged: a worker or `manage.py llmrec build` makes a new one."
    return f"{text}."


def _is_damage(error: Exception) -> bool:
    damage = ("malformed", "not a database", "no such table", "no such column", "vtable constructor failed")
    return isinstance(error, sqlite3.Error) and any(sign in str(error) for sign in damage)


def _file(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _close_all(idle: dict[str, list[Lease]]) -> None:
    for name in list(idle):
        for lease in idle.pop(name, []):
            lease.sqlite.close()
