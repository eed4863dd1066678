"""Calls code of the site's own so that a fault in it costs a list that part, and nothing else.

Rerankers, encoders, signals, strategies and declarations may raise whatever they like while a visitor waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

from django.conf import settings
from django.db import connections, router, transaction

from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.logs import origin
from llmrec_plugin.models import Impression
from llmrec_plugin.services.coordination import caches

logger = logging.getLogger(__name__)
T = TypeVar("T")

ILL_SECONDS = 600
"""A failure is told by the health check for so long, unless the same process sees the part work before."""

_failing: set[str] = set()
"""Parts that failed in this process when they were last called."""
_lacking: ContextVar[list[str] | None] = ContextVar("llmrec_lacking", default=None)


def call(
    part: str,
    run: Callable[[], T],
    *,
    otherwise: T,
    lacks: str = "",
    asks_database: bool = False,
    passing: tuple[type[Exception], ...] = (),
) -> T:
    """Return what the site's code does, or `otherwise` where it raises; the log and `recent_errors` say so.

    `part`: what is called, as the health check names it. `lacks`: what the list then says in `degraded`.
    `asks_database`: a query that fails must not spoil the transaction around it. `passing`: errors that are
    an answer to whoever asked.
    """
    try:
        with _savepoint() if asks_database else nullcontext():
            found = run()
    except Exception as error:
        if isinstance(error, passing):
            raise
        failed(part, error, lacks=lacks)
        return otherwise
    worked(part)
    return found


def worked(part: str) -> None:
    """Note that a part works, where it failed before."""
    if part in _failing:
        _failing.discard(part)
        caches.write(_key(part), "", seconds=0)


def failed(part: str, error: Exception, *, lacks: str = "") -> None:
    """Note that a part failed: in the log, for the health check, and for the list that is being made."""
    _failing.add(part)
    # What it says may quote an item or a query; where developers look, it is shown whole.
    logger.error(
        "the site's own code failed part=%s error=%s at=%s",
        part.replace(" ", ":"), type(error).__name__, origin(error), exc_info=settings.DEBUG,
    )  # fmt: skip
    caches.write(_key(part), type(error).__name__, seconds=ILL_SECONDS)
    found = _lacking.get()
    if lacks and found is not None and lacks not in found:
        found.append(lacks)


def recent_errors(parts: Iterable[str]) -> dict[str, str]:
    """Map those of the parts that failed of late in any process to the type of their error."""
    keys = {_key(part): part for part in parts}
    return {keys[key]: error for key, error in caches.read(list(keys)).items() if error}


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect what the list lacks that is made within it."""
    found: list[str] = []
    token = _lacking.set(found)
    try:
        yield found
    finally:
        _lacking.reset(token)


def described(error: Exception) -> str:
    """Return the error in words if it is ours, else its type: others may quote what they were given."""
    return f"{type(error).__name__}: {error}" if isinstance(error, LlmrecError) else type(error).__name__


def _savepoint() -> AbstractContextManager[object]:
    alias = router.db_for_write(Impression)
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()


def _key(part: str) -> str:
    return caches.cache_key("site-code", part)
