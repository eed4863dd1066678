"""Caches that only save work: the site's cache, which may be down, and a small one in the process."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from django.core.cache import cache

logger = logging.getLogger(__name__)

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
    try:
        return cache.get_many(keys)
    except Exception as error:  # each cache client has errors of its own; without a cache we go on
        logger.warning("cache unavailable error=%s", type(error).__name__)
        return {}


def write(key: str, value: Any, *, seconds: float) -> None:
    """Store the value for that long; does nothing if the cache does not answer."""
    try:
        cache.set(key, value, seconds)
    except Exception as error:
        logger.warning("cache unavailable error=%s", type(error).__name__)


def remembered(key: str, compute: Callable[[], V], *, seconds: float) -> V:
    """The cached value, or else a computed one that is kept for that long."""
    found = read([key])
    if key in found:
        value: V = found[key]
        return value
    computed = compute()
    write(key, computed, seconds=seconds)
    return computed
