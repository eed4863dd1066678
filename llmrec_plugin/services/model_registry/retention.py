"""Decides which models and tuned encoders can still be gone back to: they are kept, of others only the
history."""

from __future__ import annotations

import logging
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.sources import TUNED, tuned_folder
from llmrec_plugin.models import (
    Arm,
    Deployment,
    Experiment,
    IndexVersion,
    ModelArtefact,
    ModelVersion,
    TrainingRun,
    TunedEncoder,
)
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.model_registry.training_report import KNOWS_ERASED
from llmrec_plugin.training import job

logger = logging.getLogger(__name__)

TUNING_KEPT = timedelta(days=7)
"""An interrupted tuning that is older is begun anew: its events are too old."""


def drop_old(*, now: datetime | None = None) -> int:
    """Drop what versions had learned that nobody would go back to; returns how many versions lost it.

    Kept are, of each document: the live one, those that were live within the `version_grace_seconds` of
    LLMREC["LIMITS"], those that a running experiment tries, and of those that know no erased user the newest
    `models_kept`. The rows stay, with their reports: they are the history that plots and the record of
    deployments refer to.
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
    """Return the live version, and those that another one took the place of less than the grace time ago."""
    grace = timedelta(seconds=get_settings().LIMITS.version_grace_seconds)
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
    versions = ModelVersion.objects.filter(document=label).exclude(KNOWS_ERASED)
    return set(versions.order_by("-id").values_list("pk", flat=True)[: get_settings().LIMITS.models_kept])


def drop_encoders(*, now: datetime | None = None) -> int:
    """Remove the folders of tuned encoders that nobody would go back to; returns how many.

    Kept is what an index that is not dropped, a model version that still has its arrays, or a declaration of
    the site uses, and what came or was recorded within the `version_grace_seconds` of LLMREC["LIMITS"]. While
    an encoder is being tuned nothing goes: its folder is there before any row says so.
    """
    now = now or timezone.now()
    if _is_tuning() or not tuned_folder().is_dir():
        return 0
    since = now - timedelta(seconds=get_settings().LIMITS.version_grace_seconds)
    kept = _encoders_in_use() | set(
        TunedEncoder.objects.filter(created_at__gt=since).values_list("name", flat=True)
    )
    dropped = 0
    for folder in tuned_folder().iterdir():
        state = folder.stat()
        changed = max(state.st_mtime, state.st_ctime)  # a copy may keep the former, never the latter
        if folder.is_dir() and TUNED + folder.name not in kept and changed <= since.timestamp():
            shutil.rmtree(folder, ignore_errors=True)
            dropped += not folder.exists()
    if dropped:
        logger.info("dropped encoders count=%d", dropped)
    return dropped


def tunings_folder() -> Path:
    """Return where encoders are tuned, each document in a folder of its own."""
    return get_settings().data_dir / "training"


def tuning_age(folder: Path, *, now: datetime) -> timedelta:
    """Return the age of the data that an encoder is tuned on there; the longest of all where there are
    none."""
    path = folder / job.JOB
    return timedelta(seconds=now.timestamp() - path.stat().st_mtime) if path.is_file() else timedelta.max


def drop_tunings(*, now: datetime | None = None) -> int:
    """Remove the data of tunings that were interrupted and will not be gone on with: they are too old, or
    somebody whose words they may hold was erased. While an encoder is being tuned nothing goes. Returns how
    many."""
    now = now or timezone.now()
    dropped = 0
    if _is_tuning():
        return 0
    for folder in sorted(tunings_folder().glob("*")):
        note = job.read_json(folder / job.JOB).get("note", {})
        clean = TrainingRun.objects.filter(pk=note.get("run"), erased=0).exists()
        if not clean or tuning_age(folder, now=now) >= TUNING_KEPT:
            shutil.rmtree(folder, ignore_errors=True)
            dropped += 1
    if dropped:
        logger.info("dropped tunings count=%d", dropped)
    return dropped


def _is_tuning() -> bool:
    return any(locks.is_held(f"tune:{label}") for label in registry.labels())


def _encoders_in_use() -> set[str]:
    """Return the names of tuned encoders that something uses."""
    indexes = IndexVersion.objects.exclude(state=IndexVersion.State.DROPPED)
    models = Deployment.objects.filter(model_version__artefact__isnull=False)
    return {
        *indexes.order_by().values_list("encoder_name", flat=True),
        *models.order_by().values_list("index_version__encoder_name", flat=True),
        *(document.encoder_spec().name for document in registry),
    }
