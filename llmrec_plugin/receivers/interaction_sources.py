"""Takes over events when rows of the site that tell them, such as its orders, are saved or deleted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import Model

from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.services.interactions import site_sources


class SourceFollower:
    """Keeps the events of one source equal to its rows: once per transaction, for all of its rows."""

    def __init__(self, source: InteractionSource[Any]) -> None:
        self.source = source
        self._waiting = threading.local()
        self._callbacks: dict[str, Callable[[], None]] = {}

    def on_save(
        self, sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: object
    ) -> None:
        """Rows of a fixture are left to the backfill: what they refer to may not be loaded yet."""
        if not raw:
            self._remember(instance.pk, using)

    def on_delete(self, sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
        self._remember(instance.pk, using)

    def _remember(self, pk: object, using: str) -> None:
        keys: dict[object, None] = self._waiting.__dict__.setdefault(using, {})
        keys[pk] = None
        callback = self._callbacks.setdefault(using, lambda: self._follow(using))
        waiting = transaction.get_connection(using).run_on_commit
        if not any(known[1] is callback for known in waiting):
            transaction.on_commit(callback, using=using, robust=True)

    def _follow(self, using: str) -> None:
        """Reads the rows as they are now, so it does no harm to look at one that was rolled back."""
        keys = list(self._waiting.__dict__.pop(using, {}))
        if keys and self.source in registry.interaction_sources:
            site_sources.follow(self.source, keys)
