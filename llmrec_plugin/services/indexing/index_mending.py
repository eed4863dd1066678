"""Mends what somebody else did to an index itself: one that is gone or damaged is built anew by a worker."""

from __future__ import annotations

import logging

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LeaseLost, LlmrecError
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.deployment.engines import fault_of
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.indexing.index_build import build

logger = logging.getLogger("llmrec_plugin.indexing")


def mend(label: str) -> list[str]:
    """Build the live index anew if it is gone or damaged, and drop former ones that are; returns the names
    of those that are no more.

    A few short requests where all is well. Visitors see popular items while the live one is made; its
    vectors are stored and not computed again. An attached index is the site's to make. Raises
    BackendUnavailable while the engine does not answer.
    """
    pair = find_live_pair(label)
    if pair is None:
        return []
    ended = []
    ready = IndexVersion.objects.filter(document=label, state=IndexVersion.State.READY)
    for version in ready.exclude(schema__has_key="attached").order_by("-id"):
        fault = fault_of(version)
        if fault is None:
            continue
        logger.error("mending document=%s index=%s: %s", label, version.name, fault)
        if version.pk == pair.index_version.pk:
            build(label, rebuild=True, by="mending")
        retirement.drop(version)  # a build has dropped what is damaged already
        ended.append(version.name)
    return ended


def mend_all() -> dict[str, list[str]]:
    """Mend every document, as far as that can be done now; the next visit goes on with the rest."""
    ended = {}
    for label in registry.labels():
        try:
            if names := mend(label):
                ended[label] = names
        except LeaseLost:  # somebody is building already
            continue
        except LlmrecError as error:
            logger.warning("not mended document=%s: %s", label, error)
    return ended
