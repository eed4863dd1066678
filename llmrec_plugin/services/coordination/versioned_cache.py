"""What editors wrote, as every process remembers it until something of it changes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin.models import Configuration

V = TypeVar("V")


_all: list[VersionedCache[Any]] = []


class VersionedCache(Generic[V]):
    """A value read once per edition; shared by the threads of a process.

    The edition comes with the configuration, so that knowing takes no query and a change counts from the
    next request on in all processes.
    """

    def __init__(self, read: Callable[[], V], *, empty: V) -> None:
        self._read = read
        self._empty = empty
        self._known: tuple[str, V] = ("", empty)
        self._lock = Lock()
        _all.append(self)

    def forget(self) -> None:
        with self._lock:
            self._known = ("", self._empty)

    def peek(self) -> V:
        """What this process has read last, which may be old; never a query."""
        with self._lock:
            return self._known[1]

    def get(self, configuration: Configuration) -> V:
        """No query while the edition is the same, one otherwise."""
        edition = configuration.edition
        if not edition:  # nobody ever wrote anything
            with self._lock:
                self._known = ("", self._empty)
            return self._empty
        with self._lock:
            known, value = self._known
        if known == edition:
            return value
        value = self._read()
        with self._lock:
            self._known = (edition, value)
        return value


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "LLMREC":
        for one in _all:
            one.forget()
