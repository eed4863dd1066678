"""Ends what was replaced: indexes that nothing needs any more."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import router, transaction
from django.utils import timezone

from llmrec_plugin.backends import get_backend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import BackendUnavailable, ConfigurationError, NotFound
from llmrec_plugin.models import (
    Deployment,
    Dictionary,
    Embedding,
    Experiment,
    IndexBatch,
    IndexVersion,
    Lease,
    OutboxEntry,
)
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.engines import engine_of

logger = logging.getLogger("llmrec_plugin.promotion")
BATCHES_KEPT = timedelta(days=30)
LEFTOVERS_SOUGHT = timedelta(days=30)
"""In an index of the site's own nothing lists what is left of us: it is looked for by name."""
SWEEP_EVERY = timedelta(hours=1)


def sweep(*, now: datetime | None = None) -> list[IndexVersion]:
    """Drop the indexes that were replaced longer ago than the `version_grace_seconds` of LLMREC["LIMITS"],
    with all that only they needed. Until then they are kept up to date, so that a rollback is current at
    once."""
    now = now or timezone.now()
    grace = timedelta(seconds=get_settings().LIMITS.version_grace_seconds)
    dropped = []
    for version in IndexVersion.objects.filter(state=IndexVersion.State.READY).order_by("id"):
        replaced = replaced_at(version)
        due = replaced is not None and replaced + grace <= now
        if due and not _in_experiment(version) and drop(version):
            dropped.append(version)
    _remove_leftovers(now)
    return dropped


def sweep_if_due(*, now: datetime | None = None) -> list[IndexVersion]:
    """Sweep as `sweep` does, but at most once an hour over all processes: cheap to call after every drain."""
    now = now or timezone.now()
    Lease.objects.get_or_create(name="sweep")
    due = Lease.objects.filter(locks.ended("until", now, longest=SWEEP_EVERY), name="sweep")
    return sweep(now=now) if due.update(until=now + SWEEP_EVERY) else []


def replaced_at(version: IndexVersion) -> datetime | None:
    """Return when another index took its place; None while it is live, or waits to be promoted."""
    deployments = Deployment.objects.filter(document=version.document)
    last = deployments.filter(index_version=version).order_by("-id").first()
    later = (
        deployments.filter(id__gt=last.pk) if last else deployments.filter(index_version_id__gt=version.pk)
    )
    successor = later.exclude(index_version=version).order_by("id").first()
    return successor.at if successor else None


def _in_experiment(version: IndexVersion) -> bool:
    return version.arms.filter(experiment__state=Experiment.State.RUNNING).exists()


def drop(version: IndexVersion) -> bool:
    """End a version unless it is live: nothing is written to it any more, and its index goes."""
    with transaction.atomic(using=router.db_for_write(OutboxEntry)):
        held = IndexVersion.objects.filter(pk=version.pk).exclude(state=IndexVersion.State.DROPPED)
        if not held.update(state=IndexVersion.State.DROPPED, dropped_at=timezone.now(), dictionary=None):
            return False
        newest = Deployment.objects.filter(document=version.document).order_by("-id").first()
        if newest is not None and newest.index_version_id == version.pk:
            transaction.set_rollback(True, using=router.db_for_write(OutboxEntry))
            return False
        OutboxEntry.objects.filter(index_version=version).delete()
    _drop_index(version)
    logger.info("dropped document=%s index_version=%d", version.document, version.pk)
    return True


def _drop_index(version: IndexVersion) -> None:
    try:
        engine_of(version).drop_index(version.name)
    except (BackendUnavailable, ConfigurationError) as error:  # the next sweep finds it again
        logger.warning("index left behind name=%s error=%s", version.name, error)


def _still_holds_items(version: IndexVersion) -> bool:
    try:
        return engine_of(version).count(version.name) > 0
    except (BackendUnavailable, ConfigurationError, NotFound):
        return False


def _remove_leftovers(now: datetime) -> None:
    """Remove indexes that outlived their version, vectors of encoders and dictionaries that no index uses,
    old records of drains."""
    try:
        names = get_backend().index_names()
    except BackendUnavailable:
        names = []
    gone = IndexVersion.objects.filter(state=IndexVersion.State.DROPPED)
    for version in gone.filter(name__in=names):
        _drop_index(version)
    for version in gone.filter(dropped_at__gte=now - LEFTOVERS_SOUGHT, schema__has_key="attached"):
        if _still_holds_items(version):
            _drop_index(version)
    used: dict[str, set[str]] = {}
    for label, encoder_id, state in IndexVersion.objects.values_list("document", "encoder_id", "state"):
        encoders = used.setdefault(label, set())
        if state != IndexVersion.State.DROPPED:
            encoders.add(encoder_id)
    for label, encoders in used.items():
        Embedding.objects.filter(document=label).exclude(encoder_id__in=encoders).delete()
    Dictionary.objects.filter(index_versions=None, kept_at__lt=now - LEFTOVERS_SOUGHT).delete()
    IndexBatch.objects.filter(at__lt=now - BATCHES_KEPT).delete()
