"""The services as Celery tasks: labels as arguments, one call each, no logic."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from celery import shared_task

from llmrec_plugin.services import indexing, privacy, promotion, training


@shared_task(name="llmrec_plugin.drain_outbox", ignore_result=True)
def drain_outbox() -> None:
    """Index what changed; once an hour, also drop what was replaced long ago."""
    indexing.drain()
    promotion.sweep_if_due()


@shared_task(name="llmrec_plugin.build_index")
def build_index(label: str) -> str:
    """Returns the name of the index that answers now."""
    return indexing.build(label, by="task").index_version.name


@shared_task(name="llmrec_plugin.audit_index")
def audit_index(label: str) -> dict[str, Any]:
    """Find and mend differences between the site and its indexes."""
    return asdict(indexing.audit(label, repair=True))


@shared_task(name="llmrec_plugin.fit_model")
def fit_model(label: str) -> int:
    """Learn anew from the interactions; returns the model version."""
    return training.fit(label, by="task").pk


@shared_task(name="llmrec_plugin.apply_retention")
def apply_retention() -> dict[str, Any]:
    """Delete events that are older than the site keeps them."""
    return asdict(privacy.apply_retention())
