"""The numbers of `monitoring` and the state of the backlog as one page for Prometheus."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError

from llmrec_plugin.documents import registry
from llmrec_plugin.services.backlog import Backlog, waiting

logger = logging.getLogger(__name__)


class BacklogCollector:
    """Asks the database at each visit, so all processes and machines tell the same."""

    def describe(self) -> list[Any]:
        """Not to be asked when it is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        try:
            found = waiting()
        except DatabaseError as error:
            logger.warning("no backlog for the metrics error=%s", type(error).__name__)
            return
        families = {
            "entries": GaugeMetricFamily(
                "llmrec_backlog_entries", "Changes to be indexed.", labels=["document"]
            ),
            "failing": GaugeMetricFamily(
                "llmrec_backlog_failing", "Of these, tried and failed.", labels=["document"]
            ),
            "age": GaugeMetricFamily(
                "llmrec_backlog_age_seconds", "Age of the oldest one.", labels=["document"]
            ),
        }
        for label in registry.labels():
            backlog = found.get(label, Backlog())
            families["entries"].add_metric([label], backlog.entries)
            families["failing"].add_metric([label], backlog.failing)
            families["age"].add_metric([label], backlog.age_seconds)
        yield from families.values()


def exposition(accept: str) -> tuple[bytes, str]:
    """The page and its content type; raises ImportError without prometheus_client.

    Where PROMETHEUS_MULTIPROC_DIR is set, the numbers are those of all processes that share the folder.
    """
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.multiprocess import MultiProcessCollector

    shown = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
    else:
        shown.register(REGISTRY)
    shown.register(BacklogCollector())
    encode, content_type = choose_encoder(accept)
    return encode(shown), content_type
