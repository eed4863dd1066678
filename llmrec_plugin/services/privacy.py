"""What users agreed to, and their rights: consent, export, erasure and retention of what is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.utils import timezone

from llmrec_plugin.analysis.text import is_storable
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import (
    Consent,
    DailyLists,
    DriftReport,
    Enrolment,
    Impression,
    IndexVersion,
    Interaction,
    ModelVersion,
    TrainingRun,
    TunedEncoder,
    UserChange,
    UserEmbedding,
)
from llmrec_plugin.services import model_store, people

logger = logging.getLogger(__name__)

R = TypeVar("R", Interaction, Impression)

MAX_USER_KEY = 100
STRIP_BATCH = 200
MARKS_KEPT = timedelta(days=1)
"""Of users whom nobody refreshed, as where no worker runs: then requests do it when they need to."""


@dataclass(frozen=True, kw_only=True)
class EraseReport:
    """Rows that are gone, and the model versions that learned from them and are due for retraining."""

    interactions: int
    impressions: int
    consent: bool
    model_versions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RetentionReport:
    """Rows deleted for their age, ranked lists cut down to what was shown, and models and tuned encoders that
    nobody would go back to."""

    interactions: int
    impressions: int
    pages_stripped: int
    models: int
    encoders: int


def may_personalise(user_key: str | None) -> bool:
    """Whether events of this user may be stored and used; one query at most."""
    return bool(user_key) and bool(consenting([str(user_key)]))


def consenting(user_keys: Iterable[str]) -> set[str]:
    """Those of the users whose events may be stored and used, by LLMREC["CONSENT"]; one query at most."""
    keys = set(user_keys)
    mode = get_settings().CONSENT
    if mode == "off" or not keys:
        return set()
    chosen = dict(Consent.objects.filter(user_key__in=keys).values_list("user_key", "granted"))
    return {key for key in keys if chosen.get(key, mode == "opt-out")}


def consented(rows: QuerySet[R]) -> QuerySet[R]:
    """The part of these interactions or impressions that may be learned from; lists of nobody in particular
    are kept where nobody is asked first."""
    mode = get_settings().CONSENT
    if mode == "off":
        return rows.none()
    if mode == "opt-in":
        return rows.filter(user_key__in=Consent.objects.filter(granted=True).values("user_key"))
    return rows.exclude(user_key__in=Consent.objects.filter(granted=False).values("user_key"))


def consent_of(user_key: str) -> bool | None:
    """The user's recorded choice; None: none yet, so LLMREC["CONSENT"] decides."""
    return Consent.objects.filter(user_key=user_key).values_list("granted", flat=True).first()


def set_consent(user_key: str, *, granted: bool) -> None:
    """Record the user's choice. A refusal stops all use at once, drops what was derived of him and keeps his
    events until `erase_user` or retention removes them."""
    check_user_key(user_key)
    with transaction.atomic():
        Consent.objects.update_or_create(user_key=user_key, defaults={"granted": granted})
        if granted:
            people.mark([user_key])
        else:
            drop_derived(user_key)
    logger.info("consent granted=%s", granted)


def drop_derived(user_key: str) -> None:
    """Delete what follows from the user's events and words: tastes, vectors and places in experiments."""
    people.forget([user_key])
    Enrolment.objects.filter(user_key=user_key).delete()


def check_user_key(user_key: str) -> None:
    """Raises InvalidRequest unless the key can be stored."""
    if not user_key or len(user_key) > MAX_USER_KEY:
        raise InvalidRequest(
            f"A user key has 1 to {MAX_USER_KEY} characters, this one has {len(user_key)}.",
            parameter="user_key",
        )
    if not is_storable(user_key):
        raise InvalidRequest("A user key is a text without NUL and broken characters.", parameter="user_key")


def export_user(user_key: str) -> dict[str, Any]:
    """All that is kept about the user, in types that JSON knows; raises InvalidRequest for what is no key."""
    check_user_key(user_key)
    consent = Consent.objects.filter(user_key=user_key).values("granted", "at").first()
    interactions = Interaction.objects.filter(user_key=user_key).order_by("at", "id")
    impressions = Impression.objects.filter(user_key=user_key).order_by("at", "request_id")
    return {
        "user": user_key,
        "consent": _plain(consent) if consent else None,
        "interactions": [
            _plain(row)
            for row in interactions.values(
                "document",
                "object_id",
                "kind",
                "value",
                "at",
                "request_id",
                "position",
                "external_id",
                "received_at",
            )
        ],
        "impressions": [
            _plain(row)
            for row in impressions.values(
                "request_id",
                "document",
                "placement",
                "query",
                "ranking",
                "shown",
                "seen",
                "total",
                "arm",
                "at",
            )
        ],
        "enrolments": [
            _plain(row)
            for row in Enrolment.objects.filter(user_key=user_key).order_by("id").values("experiment", "arm")
        ],
        "embeddings": [
            {
                "encoder": row.encoder_id,
                "updated_at": row.updated_at.isoformat(),
                "vector": row.as_array().tolist(),
            }
            for row in UserEmbedding.objects.filter(user_key=user_key).order_by("encoder_id")
        ],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool | list | dict):
        return value
    return str(value)


def erase_user(user_key: str, *, keep_refusal: bool = False) -> EraseReport:
    """Remove every row about the user, his choice on consent included, in one transaction.

    `keep_refusal`: who had refused stays refused, as whoever erases himself and stays a user expects. Else
    nothing is kept that would remember the erasure itself, so a site that also wants to refuse further
    events calls `set_consent(..., granted=False)` afterwards. Events that the site declares as an
    InteractionSource come back when it saves or imports them again: erase them there as well. Raises
    InvalidRequest for what is no key: lists of nobody in particular are kept under an empty one.
    """
    check_user_key(user_key)
    with transaction.atomic():
        refused = keep_refusal and consent_of(user_key) is False
        versions = _mark_for_retraining(user_key)
        interactions, _ = Interaction.objects.filter(user_key=user_key).delete()
        impressions, _ = Impression.objects.filter(user_key=user_key).delete()
        consents, _ = Consent.objects.filter(user_key=user_key).delete()
        drop_derived(user_key)
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


def _mark_for_retraining(user_key: str) -> list[int]:
    """Count the user in `report["erased"]` of each model version made after his first event came in, and in
    trainings that run and tunings that may be gone on with: what they have read already may hold him. A
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
            version.report = {**version.report, "erased": version.report.get("erased", 0) + 1}
            version.save(update_fields=["report"])
            marked.append(version.pk)
        _mark_encoders(row["document"], since=row["since"], oldest=oldest)
    return marked


def _mark_encoders(label: str, *, since: datetime, oldest: datetime) -> None:
    """The same in the encoders that were tuned."""
    tuned = TunedEncoder.objects.select_for_update().filter(
        Q(created_at__gte=since) | Q(events_since__lt=oldest), document=label
    )
    for encoder in tuned.exclude(state=TunedEncoder.State.REFUSED):
        encoder.report = {**encoder.report, "erased": encoder.report.get("erased", 0) + 1}
        encoder.save(update_fields=["report"])


def apply_retention(*, now: datetime | None = None) -> RetentionReport:
    """Delete events, lists and records of learning older than LLMREC["EVENT_RETENTION_DAYS"]; of lists whose
    cursors have expired keep only what was shown, and nothing where the user gave no consent; of models
    and tunings keep what `model_store` says."""
    now = now or timezone.now()
    settings = get_settings()
    oldest = now - timedelta(days=settings.EVENT_RETENTION_DAYS)
    interactions, _ = Interaction.objects.filter(at__lt=oldest).delete()
    expired = Impression.objects.filter(at__lt=now - timedelta(seconds=settings.PAGE_LIFETIME_SECONDS))
    old, _ = Impression.objects.filter(at__lt=oldest).delete()
    transient, _ = expired.filter(extra__transient=True).delete()
    used = IndexVersion.objects.exclude(state=IndexVersion.State.DROPPED).values("encoder_id")
    UserEmbedding.objects.exclude(encoder_id__in=used).delete()
    UserChange.objects.filter(at__lt=now - MARKS_KEPT).delete()
    TrainingRun.objects.filter(finished_at__lt=oldest).delete()
    DriftReport.objects.filter(at__lt=oldest).delete()
    DailyLists.objects.filter(day__lt=oldest.date()).delete()
    models = model_store.drop_old(now=now)
    encoders = model_store.drop_encoders(now=now)
    model_store.drop_tunings(now=now)
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
    """Until none is left; each chunk leaves the queryset when it is stripped."""
    while chunk := list(impressions.only("ranking", "shown", "extra").order_by("at")[:STRIP_BATCH]):
        yield chunk


def _strip(chunk: list[Impression]) -> int:
    for impression in chunk:
        impression.ranking = (impression.ranking or [])[: impression.shown]
        impression.extra = {}
    Impression.objects.bulk_update(chunk, ["ranking", "extra"])
    return len(chunk)
