"""The numbers of `monitoring` and the state of backlog and models as one page for Prometheus."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.indexing.backlog import Backlog, waiting
from llmrec_plugin.services.training import drift, runs

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


class ModelCollector:
    """How old what was learned is, whether learning works, and how far the site has moved on since."""

    def describe(self) -> list[Any]:
        """Not to be asked when it is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        try:
            trainings, drifts = runs.latest(), drift.latest()
            pairs = {label: find_live_pair(label) for label in registry.labels()}
        except DatabaseError as error:
            logger.warning("no models for the metrics error=%s", type(error).__name__)
            return
        age = GaugeMetricFamily("llmrec_model_age_seconds", "Since the live model.", labels=["document"])
        failed = GaugeMetricFamily(
            "llmrec_training_failed", "1: the last training failed.", labels=["document"]
        )
        untuned = GaugeMetricFamily(
            "llmrec_tuning_failed",
            "1: the last tuning of the encoder failed, within seven days.",
            labels=["document"],
        )
        area = GaugeMetricFamily(
            "llmrec_drift_auc",
            "How well new can be told from old; .5: not at all.",
            labels=["document", "of"],
        )
        unseen = GaugeMetricFamily(
            "llmrec_drift_unseen_share", "Events on items that nothing was learned of.", labels=["document"]
        )
        for label, pair in pairs.items():
            if pair is not None and pair.model_version is not None:
                age.add_metric([label], (timezone.now() - pair.model_version.created_at).total_seconds())
            outcomes = trainings.get(label, runs.Outcomes())
            failed.add_metric([label], outcomes.failed_training is not None)
            untuned.add_metric([label], outcomes.failed_tuning is not None)
            measured = drifts[label].report if label in drifts else {}
            for name in ("events", "queries"):
                if (auc := measured.get(name, {}).get("auc")) is not None:
                    area.add_metric([label, name], auc)
            if (share := measured.get("unseen_share")) is not None:
                unseen.add_metric([label], share)
        yield from (age, failed, untuned, area, unseen)


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
    shown.register(ModelCollector())
    encode, content_type = choose_encoder(accept)
    return encode(shown), content_type
