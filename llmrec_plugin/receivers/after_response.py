"""Work that saves leave behind in their own process: done by a thread, or once the response is out.

On SQLite a thread that writes would have the transactions of requests refused that read before they write,
unless these begin with BEGIN IMMEDIATE: there the thread of the request does the work after its response, a
few seconds of it at a time.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from django.core.signals import request_finished
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from llmrec_plugin.logs import origin
from llmrec_plugin.services.indexing import outbox

logger = logging.getLogger("llmrec_plugin.receivers")

TURN = 5.0
"""Seconds that the thread of a request works at most, and that an ending process waits for the other."""
PAUSE = 0.1
"""Seconds between two rounds of messages: what is asked for meanwhile is one message."""

Part: TypeAlias = Callable[[], bool]
"""Does a part of some work, and tells whether more of it is left."""


class Errands:
    """What this process has to do beside its requests, each piece of work once however often it is asked for.

    `at_once`: a thread begins where the database bears one, and commands wait for it at their end; else it
    begins when the next response is out, so that commands and shells, which have none, do nothing.
    """

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._ending = threading.Event()
        self._working = threading.local()
        self._reset()

    def _reset(self) -> None:
        """Forget the thread, which is not there in a child of this process."""
        self._wanted: dict[str, Part] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask_for(self, name: str, part: Part) -> None:
        """Have that work done. What asks for it from within, as a save in `prepare` may, is done with it."""
        if getattr(self._working, "now", False):
            return
        with self._lock:
            self._wanted[name] = part
            if self._at_once and bears_threads(connections[outbox.alias()]):
                self._start()

    def begin(self, **kwargs: object) -> None:
        """Do what was asked for; called when a response is out."""
        if not self._wanted:
            return
        if bears_threads(connections[outbox.alias()]):
            with self._lock:
                self._start()
        else:
            self._work(until=time.monotonic() + TURN)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the thread, if there is one, to have done all it was asked for."""
        if self._thread is not None:
            self._thread.join(seconds)

    def end(self) -> None:
        """Have the thread stop after the part that is under way, and wait for that a little."""
        self._ending.set()
        self.wait(TURN)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            daemon = not self._at_once
            self._thread = threading.Thread(target=self._work_aside, name="llmrec-errands", daemon=daemon)
            self._thread.start()

    def _work_aside(self) -> None:
        try:
            while True:
                self._work()
                if self._at_once:
                    time.sleep(PAUSE)
                with self._lock:
                    if not self._wanted or self._ending.is_set():
                        self._thread = None
                        return
        finally:
            connections.close_all()

    def _work(self, *, until: float | None = None) -> None:
        self._working.now = True
        try:
            while self._wanted and not self._ending.is_set():
                with self._lock:
                    name, part = next(iter(self._wanted.items()))
                    del self._wanted[name]
                if _done(name, part):
                    self._wanted.setdefault(name, part)
                if until is not None and time.monotonic() > until:
                    return
        finally:
            self._working.now = False


def _done(name: str, part: Part) -> bool:
    try:
        return part()
    except Exception as error:  # what waits stays in the backlog, and is tried after the next change
        logger.error("%s failed error=%s at=%s", name, type(error).__name__, origin(error))
        return False


def bears_threads(connection: BaseDatabaseWrapper) -> bool:
    """Whether a thread may write to that database while requests do, without one of these being refused."""
    if connection.vendor != "sqlite":
        return True
    if connection.is_in_memory_db():  # type: ignore[attr-defined]
        return False
    return str(getattr(connection, "transaction_mode", None) or "DEFERRED").upper() != "DEFERRED"


work = Errands(at_once=False)
"""Indexing and encoding, where no workers do it."""
messages = Errands(at_once=True)
"""To the workers, where there are some: a broker may be slow."""

atexit.register(work.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=work._reset)
    os.register_at_fork(after_in_child=messages._reset)


def connect() -> None:
    """Begin whenever a response is out."""
    request_finished.connect(work.begin, dispatch_uid="llmrec_plugin.work_after_response")
    request_finished.connect(messages.begin, dispatch_uid="llmrec_plugin.messages_after_response")
