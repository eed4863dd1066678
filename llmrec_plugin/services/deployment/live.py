"""Reads which index and model answer for a document at this moment."""

from __future__ import annotations

from dataclasses import dataclass

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import NotBuilt
from llmrec_plugin.models import Deployment, IndexVersion, ModelVersion


@dataclass(frozen=True, kw_only=True)
class LivePair:
    """A frozen pair that is read once per request, so that a promotion never splits one."""

    index_version: IndexVersion
    model_version: ModelVersion | None


def live_pair(label: str) -> LivePair:
    """Return the pair of the newest deployment; one query, which leaves the long report of a training where
    it is.

    Raises NotFound for an unknown label, and NotBuilt.
    """
    deployment = (
        Deployment.objects.filter(document=label)
        .select_related("index_version", "model_version")
        .defer("model_version__report")
        .order_by("-id")
        .first()
    )
    if deployment is None:
        registry.get(label)
        raise NotBuilt(f'"{label}" has no live index yet: run `manage.py llmrec build --document {label}`.')
    return LivePair(index_version=deployment.index_version, model_version=deployment.model_version)


def find_live_pair(label: str) -> LivePair | None:
    """Return the pair as `live_pair`, None where no index is live yet."""
    try:
        return live_pair(label)
    except NotBuilt:
        return None
