"""Changes of the site that could not be marked: the save went through, and an index may be behind.

They are logged at once, and kept in the site's cache for health and status until an audit has repaired the
document, or for a week.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from llmrec_plugin.logs import origin
from llmrec_plugin.services.coordination import caches

logger = logging.getLogger("llmrec_plugin.receivers")

KEPT_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class MissedChanges:
    """A frozen record of what could not be marked for one document."""

    count: int
    error: str
    """Type of the latest error."""
    at: str
    """Where in this package it came through."""


def note(labels: Iterable[str], error: Exception, *, model: str) -> None:
    """Tell the log, and whoever asks after the documents, that a change of a row was not marked."""
    where, kind = origin(error), type(error).__name__
    logger.error("a change is not followed model=%s error=%s at=%s", model, kind, where)
    for label in labels:
        known = noted(label)
        count = 1 if known is None else known.count + 1
        missed = MissedChanges(count=count, error=kind, at=where)
        caches.write(_key(label), asdict(missed), seconds=KEPT_SECONDS)


def noted(label: str) -> MissedChanges | None:
    """Return what was missed since the last repair; None: nothing, as far as the cache knows."""
    found: dict[str, Any] | None = caches.read([_key(label)]).get(_key(label))
    return None if found is None else MissedChanges(**found)


def forget(label: str) -> None:
    """Forget what was missed: every item of the document has been looked at since."""
    caches.forget([_key(label)])


def _key(label: str) -> str:
    return caches.cache_key("missed", label)
