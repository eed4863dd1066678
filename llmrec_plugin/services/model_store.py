"""Which model versions can still be gone back to: their arrays are kept, of the others only the history."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Arm, Deployment, Experiment, ModelArtefact, ModelVersion

logger = logging.getLogger(__name__)


def drop_old(*, now: datetime | None = None) -> int:
    """Drop what versions had learned that nobody would go back to; returns how many versions lost it.

    Kept are, of each document: the live one, those that were live within LLMREC["VERSION_GRACE_SECONDS"],
    those that a running experiment tries, and of those that know no erased user the newest
    LLMREC["MODELS_KEPT"]. The rows stay, with their
    reports: they are the history that plots and the record of deployments refer to.
    """
    now = now or timezone.now()
    dropped = 0
    stored = ModelVersion.objects.filter(artefact__isnull=False)
    for label in stored.order_by().values_list("document", flat=True).distinct():
        kept = _recently_live(label, now) | _newest(label) | _in_experiments(label)
        dropped += stored.filter(document=label).exclude(pk__in=kept).update(artefact=None)
    ModelArtefact.objects.filter(model_versions=None).delete()
    if dropped:
        logger.info("dropped models count=%d", dropped)
    return dropped


def _recently_live(label: str, now: datetime) -> set[int]:
    """The live version, and those that another one took the place of less than the grace time ago."""
    grace = timedelta(seconds=get_settings().VERSION_GRACE_SECONDS)
    kept: set[int] = set()
    replaced_at: datetime | None = None
    deployments = Deployment.objects.filter(document=label).order_by("-id")
    for version, at in deployments.values_list("model_version_id", "at").iterator(100):
        if replaced_at is not None and replaced_at + grace <= now:
            break
        if version is not None:
            kept.add(version)
        replaced_at = at
    return kept


def _in_experiments(label: str) -> set[int]:
    arms = Arm.objects.filter(
        experiment__document=label,
        experiment__state=Experiment.State.RUNNING,
        model_version__isnull=False,
    )
    return set(arms.values_list("model_version_id", flat=True))


def _newest(label: str) -> set[int]:
    versions = ModelVersion.objects.filter(document=label).exclude(report__has_key="erased")
    return set(versions.order_by("-id").values_list("pk", flat=True)[: get_settings().MODELS_KEPT])
