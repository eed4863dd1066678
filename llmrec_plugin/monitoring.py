"""What Prometheus is told: counters and timers that do nothing where prometheus_client is not installed.

They live in the client's own registry, so that any endpoint which serves that one, as django-prometheus
does, shows them. Labels are names of documents and parts, never of a user, an item or a text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import Any

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

_creating = Lock()


class _Metric:
    """Made at its first use, since importing the client decides whether processes share their numbers."""

    kind: str
    options: dict[str, Any] = {}

    def __init__(self, name: str, explanation: str, *labels: str) -> None:
        self.name = name
        self._explanation = explanation
        self._labels = labels

    @cached_property
    def _collector(self) -> Any | None:
        try:
            import prometheus_client
        except ImportError:
            return None
        made = getattr(prometheus_client, self.kind)
        return made(self.name, self._explanation, self._labels, **self.options)

    def _child(self, labels: dict[str, str]) -> Any | None:
        with _creating:
            collector = self._collector
        if collector is None:
            return None
        return collector.labels(**labels) if self._labels else collector


class Counter(_Metric):
    kind = "Counter"

    def add(self, amount: float = 1, **labels: str) -> None:
        child = self._child(labels)
        if child is not None:
            child.inc(amount)


class Timer(_Metric):
    kind = "Histogram"
    options = {"buckets": _SECONDS}

    def observe(self, seconds: float, **labels: str) -> None:
        child = self._child(labels)
        if child is not None:
            child.observe(seconds)

    @contextmanager
    def time(self, **labels: str) -> Iterator[None]:
        """Of what succeeds and of what fails alike."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - started, **labels)


def is_installed() -> bool:
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        return False
    return True


list_seconds = Timer(
    "llmrec_list_seconds", "Searches and recommendations, to the first page.", "document", "placement"
)
degraded_lists = Counter(
    "llmrec_degraded_lists",
    "Of these, made without a part: vector, engine or rerank.",
    "document",
    "placement",
    "part",
)
engine_seconds = Timer(
    "llmrec_engine_seconds", "Requests of searches to the engine: both legs in one.", "document"
)
leg_seconds = Timer(
    "llmrec_leg_seconds", "Each leg of a search within the engine, as far as it tells: text, vector.", "leg"
)
encode_seconds = Timer(
    "llmrec_encode_seconds", "Work of the encoder: one query, or one batch of items.", "document", "kind"
)
rerank_seconds = Timer("llmrec_rerank_seconds", "Close readings of the first results.", "document")
encoded_items = Counter("llmrec_encoded_items", "Texts of items that the encoder has read.", "document")
query_vectors = Counter(
    "llmrec_query_vectors",
    "Where vectors of queries came from: process, cache, encoder, or none at all.",
    "source",
)
drain_seconds = Timer("llmrec_drain_seconds", "Batches of the backlog, from the claim to the end of it.")
drained_items = Counter(
    "llmrec_drained_items", "Items of the backlog that were written, removed or failed.", "outcome"
)
