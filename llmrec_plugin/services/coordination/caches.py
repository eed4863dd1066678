"""Caches that only save work: the site's cache, which may be down, and a small one in the process."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from django.core.cache import cache
from django.core.signals import setting_changed
from django.dispatch import receiver

logger = logging.getLogger(__name__)

PAUSE = 2.0
"""Seconds that a process does without a cache that failed, lest every request waits for its timeout."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LatestUsed(Generic[K, V]):
    """Keeps the `size` values used last; shared by the threads of a process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()


def cache_key(*parts: str) -> str:
    """A key of the site's cache; texts in it are hashed, so that they cannot be read there."""
    return "llmrec:" + hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def read(keys: Sequence[str]) -> dict[str, Any]:
    """What the site's cache holds of the keys, in one round trip; nothing if it does not answer."""
    return attempt(lambda: cache.get_many(keys), otherwise={})


def write(key: str, value: Any, *, seconds: float) -> None:
    """Store the value for that long; does nothing if the cache does not answer."""
    attempt(lambda: cache.set(key, value, seconds), otherwise=None)


def forget(keys: Sequence[str]) -> None:
    """Drop the values; where the cache does not answer they end with their time."""
    attempt(lambda: cache.delete_many(keys), otherwise=None)


class _Silence:
    """Until when the cache is left alone."""

    until = 0.0


def attempt(use: Callable[[], V], *, otherwise: V) -> V:
    """What `use` makes of the cache, or `otherwise` where that fails or has failed a moment ago."""
    if time.monotonic() < _Silence.until:
        return otherwise
    try:
        return use()
    except Exception as error:  # each cache client has errors of its own; without a cache we go on
        _Silence.until = time.monotonic() + PAUSE
        logger.warning("cache unavailable error=%s", type(error).__name__)
        return otherwise


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    if setting in ("CACHES", "LLMREC"):
        _Silence.until = 0.0


def remembered(key: str, compute: Callable[[], V], *, seconds: float) -> V:
    """The cached value, or else a computed one that is kept for that long."""
    found = read([key])
    if key in found:
        value: V = found[key]
        return value
    computed = compute()
    write(key, computed, seconds=seconds)
    return computed
