"""Throws away what was kept for long enough."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import (
    DailyLists,
    DriftReport,
    Impression,
    IndexVersion,
    Interaction,
    TrainingRun,
    UserChange,
    UserEmbedding,
)
from llmrec_plugin.services.model_registry import retention
from llmrec_plugin.services.privacy import erasure_marks
from llmrec_plugin.services.privacy.erasure import erase_marked

logger = logging.getLogger(__name__)
STRIP_BATCH = 200
MARKS_KEPT = timedelta(days=1)
"""Of users whom nobody refreshed, as where no worker runs: then requests do it when they need to."""


@dataclass(frozen=True, kw_only=True)
class RetentionReport:
    """Counts rows deleted for their age, ranked lists cut down to what was shown, and models and tuned
    encoders that nobody would go back to."""

    interactions: int
    impressions: int
    pages_stripped: int
    models: int
    encoders: int


def apply_retention(*, now: datetime | None = None) -> RetentionReport:
    """Delete events, lists and records of learning older than LLMREC["EVENT_RETENTION_DAYS"]; of lists whose
    cursors have expired keep only what was shown, and nothing where the user gave no consent; of models
    and tunings keep what `model_store` says. Erase users whose accounts are gone."""
    erase_marked()
    now = now or timezone.now()
    settings = get_settings()
    oldest = now - timedelta(days=settings.EVENT_RETENTION_DAYS)
    interactions, _ = Interaction.objects.filter(at__lt=oldest).delete()
    expired = Impression.objects.filter(at__lt=now - timedelta(seconds=settings.LIMITS.page_lifetime_seconds))
    old, _ = Impression.objects.filter(at__lt=oldest).delete()
    transient, _ = expired.filter(extra__transient=True).delete()
    used = IndexVersion.objects.exclude(state=IndexVersion.State.DROPPED).values("encoder_id")
    UserEmbedding.objects.exclude(encoder_id__in=used).delete()
    UserChange.objects.filter(at__lt=now - MARKS_KEPT, erase=False).delete()
    erasure_marks.forget_before(oldest)
    TrainingRun.objects.filter(finished_at__lt=oldest).delete()
    DriftReport.objects.filter(at__lt=oldest).delete()
    DailyLists.objects.filter(day__lt=oldest.date()).delete()
    models = retention.drop_old(now=now)
    encoders = retention.drop_encoders(now=now)
    retention.drop_tunings(now=now)
    stripped = sum(_strip(chunk) for chunk in _chunks(expired.exclude(extra={})))
    logger.info(
        "retention interactions=%d impressions=%d pages_stripped=%d", interactions, old + transient, stripped
    )
    return RetentionReport(
        interactions=interactions,
        impressions=old + transient,
        pages_stripped=stripped,
        models=models,
        encoders=encoders,
    )


def _chunks(impressions: QuerySet[Impression]) -> Iterator[list[Impression]]:
    """Yield rows until none is left; each chunk leaves the queryset when it is stripped."""
    while chunk := list(impressions.only("ranking", "shown", "extra").order_by("at")[:STRIP_BATCH]):
        yield chunk


def _strip(chunk: list[Impression]) -> int:
    for impression in chunk:
        impression.ranking = (impression.ranking or [])[: impression.shown]
        impression.extra = {}
    Impression.objects.bulk_update(chunk, ["ranking", "extra"])
    return len(chunk)
