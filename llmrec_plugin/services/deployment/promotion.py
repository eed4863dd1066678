"""Makes pairs live, as an append-only record: promotion and rollback."""

from __future__ import annotations

import logging

from django.db import router, transaction
from django.db.models import Q

from llmrec_plugin.exceptions import ConfigurationError, NotFound
from llmrec_plugin.models import (
    Deployment,
    IndexVersion,
    ModelVersion,
    OutboxEntry,
)
from llmrec_plugin.services.deployment.engines import fault_of
from llmrec_plugin.services.deployment.live import find_live_pair, live_pair

logger = logging.getLogger("llmrec_plugin.promotion")


def promote(
    index_version: IndexVersion, *, model_version: ModelVersion | None = None, by: str, reason: str = ""
) -> Deployment:
    """Make the pair answer from the next request on; without `model_version` the live one stays.

    Raises ConfigurationError unless the index is ready, both speak of the same document and what the model
    learned is still kept.
    """
    label = index_version.document
    if model_version is not None and model_version.artefact_id is None:
        raise ConfigurationError(
            f"What model version {model_version.pk} had learned is not kept any more "
            f'(LLMREC["LIMITS"]["models_kept"]): promote a newer one, or run `manage.py llmrec train`.'
        )
    if model_version is not None and model_version.document != label:
        raise ConfigurationError(
            f'Model version {model_version.pk} was learned for "{model_version.document}", not for "{label}".'
        )
    with transaction.atomic(using=router.db_for_write(OutboxEntry)):
        if not _lock_ready(index_version):
            state = IndexVersion.objects.get(pk=index_version.pk).get_state_display()
            raise ConfigurationError(
                f'"{index_version.name}" is {state}; only a ready index can be promoted.'
            )
        deployment = Deployment.objects.create(
            document=label,
            index_version=index_version,
            model_version=model_version or _live_model(label),
            by=by,
            reason=reason,
        )
    logger.info("promoted document=%s index_version=%d", label, index_version.pk)
    return deployment


def promote_model(model_version: ModelVersion, *, by: str, reason: str = "") -> Deployment:
    """Make what was learned then answer with the live index; raises as `promote`, and NotBuilt."""
    pair = live_pair(model_version.document)
    return promote(pair.index_version, model_version=model_version, by=by, reason=reason)


def rollback(label: str, *, by: str, reason: str = "rollback") -> Deployment:
    """Make the pair before the live one live again; a second rollback takes back the first.

    An index that is gone or damaged is passed over. Raises NotFound where there is none that could answer,
    and BackendUnavailable where the engine cannot tell.
    """
    live = live_pair(label)
    now_live = (live.index_version.pk, live.model_version.pk if live.model_version else None)
    kept = Q(model_version=None) | Q(model_version__artefact__isnull=False)
    earlier = Deployment.objects.filter(kept, document=label, index_version__state=IndexVersion.State.READY)
    for former in earlier.select_related("index_version", "model_version").order_by("-id").iterator(100):
        if (former.index_version_id, former.model_version_id) != now_live and _is_readable(
            former.index_version, live.index_version
        ):
            with transaction.atomic(using=router.db_for_write(OutboxEntry)):
                if not _lock_ready(former.index_version):
                    continue
                return Deployment.objects.create(
                    document=label,
                    index_version=former.index_version,
                    model_version=former.model_version,
                    by=by,
                    reason=reason or "rollback",
                )
    raise NotFound(
        f'There is no earlier version of "{label}" that is still kept, so nothing to roll back to.'
    )


def _is_readable(former: IndexVersion, live: IndexVersion) -> bool:
    """Return whether the index could answer; that of the live pair is not asked about."""
    if former.pk == live.pk:
        return True
    fault = fault_of(former)
    if fault is not None:
        logger.warning("passed over index_version=%d error=%s", former.pk, type(fault).__name__)
    return fault is None


def _live_model(label: str) -> ModelVersion | None:
    pair = find_live_pair(label)
    return pair.model_version if pair else None


def _lock_ready(version: IndexVersion) -> bool:
    """Hold the row until the transaction ends, so that `sweep` does not drop it meanwhile.

    An update that changes nothing locks on every database, SQLite included.
    """
    ready = IndexVersion.objects.filter(pk=version.pk, state=IndexVersion.State.READY)
    return bool(ready.update(state=IndexVersion.State.READY))
