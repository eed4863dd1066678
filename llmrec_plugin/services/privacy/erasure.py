"""Forgets a user, in every table and in what was learned."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min, Q
from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import (
    Consent,
    Impression,
    Interaction,
    ModelVersion,
    TrainingRun,
    TunedEncoder,
    UserChange,
    own,
)
from llmrec_plugin.services.model_registry.training_report import count_erased
from llmrec_plugin.services.privacy import erasure_marks
from llmrec_plugin.services.privacy.consent import check_user_key, consent_of, drop_derived, set_consent

logger = logging.getLogger(__name__)
BATCH = 200


@dataclass(frozen=True, kw_only=True)
class EraseReport:
    """Counts rows that are gone, and the model versions that learned from them and are due for retraining."""

    interactions: int
    impressions: int
    consent: bool
    model_versions: tuple[int, ...]


def erase_user(user_key: str, *, keep_refusal: bool = False) -> EraseReport:
    """Remove every row about the user, their choice on consent included, in one transaction.

    `keep_refusal`: who had refused stays refused, as whoever erases themselves and stays a user expects. Else
    nothing is kept that would remember the erasure itself, so a site that also wants to refuse further
    events calls `set_consent(..., granted=False)` afterwards. What rows of an InteractionSource told of the
    time until now does not come back, by a hash of the key and the moment. Raises InvalidRequest for what is
    no key: lists of nobody in particular are kept under an empty one.
    """
    check_user_key(user_key)
    with transaction.atomic(using=own.database()):
        refused = keep_refusal and consent_of(user_key) is False
        versions = _mark_for_retraining(user_key)
        interactions, _ = Interaction.objects.filter(user_key=user_key).delete()
        impressions, _ = Impression.objects.filter(user_key=user_key).delete()
        consents, _ = Consent.objects.filter(user_key=user_key).delete()
        drop_derived(user_key)
        erasure_marks.remember(user_key)
        if refused:
            set_consent(user_key, granted=False)
    logger.info(
        "erased interactions=%d impressions=%d model_versions=%d", interactions, impressions, len(versions)
    )
    return EraseReport(
        interactions=interactions,
        impressions=impressions,
        consent=bool(consents),
        model_versions=tuple(versions),
    )


def erase_marked() -> int:
    """Erase those whose accounts were deleted; returns how many there were. Any number of processes may do so
    at once."""
    erased = 0
    while marks := dict(UserChange.objects.filter(erase=True).values_list("id", "user_key")[:BATCH]):
        for key in dict.fromkeys(marks.values()):
            erase_user(key)
            erased += 1
        UserChange.objects.filter(pk__in=marks).delete()
    return erased


def _mark_for_retraining(user_key: str) -> list[int]:
    """Count the user in `report["erased"]` of each model version made after their first event came in, and in
    trainings that run and tunings that may be gone on with: what they have read already may hold them. A
    version that learned from events which were deleted for their age since counts as well: nobody can tell
    any more whose they were."""
    oldest = timezone.now() - timedelta(days=get_settings().EVENT_RETENTION_DAYS)
    received = (
        Interaction.objects.filter(user_key=user_key)
        .values("document")
        .annotate(since=Min("received_at"))
        .order_by("document")
    )
    marked: list[int] = []
    for row in received:
        reading = TrainingRun.objects.filter(
            Q(state=TrainingRun.State.RUNNING)
            | Q(state=TrainingRun.State.FAILED, kind=TrainingRun.Kind.TUNING),
            document=row["document"],
        )
        reading.update(erased=F("erased") + 1)
        trained = ModelVersion.objects.select_for_update().filter(
            Q(created_at__gte=row["since"]) | Q(events_since__lt=oldest), document=row["document"]
        )
        for version in trained:
            count_erased(version)
            marked.append(version.pk)
        _mark_encoders(row["document"], since=row["since"], oldest=oldest)
    return marked


def _mark_encoders(label: str, *, since: datetime, oldest: datetime) -> None:
    """Do the same in the encoders that were tuned."""
    tuned = TunedEncoder.objects.select_for_update().filter(
        Q(created_at__gte=since) | Q(events_since__lt=oldest), document=label
    )
    for encoder in tuned.exclude(state=TunedEncoder.State.REFUSED):
        encoder.report = {**encoder.report, "erased": encoder.report.get("erased", 0) + 1}
        encoder.save(update_fields=["report"])
