"""Vectors that a site's own index lost, put back from the database without encoding anything.

A site that writes a document anew, swaps an alias or makes its index again knows nothing of our part in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db.models import Q

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Embedding, IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.engines import attached_engine_of, schema_of
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.batch import active_versions
from llmrec_plugin.services.indexing.outbox_drain import drain_waiting

logger = logging.getLogger("llmrec_plugin.indexing")

CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class RefillReport:
    """Sums over all attached documents."""

    lost: int = 0
    """Documents of the site that held nothing of an index version, though their vectors are stored."""
    encoded: int = 0
    """Texts that had changed meanwhile, so that the encoder had to read them."""


def refill_lost() -> RefillReport:
    """Find what attached indexes lost, and put it back; cheap where nothing is lost, so for every minute.

    An index that cannot be refilled now, or is being refilled by another process, leaves the others to be
    done. Raises nothing for them: the next call comes soon.
    """
    lost = 0
    for document in registry:
        if document.attached is None:
            continue
        try:
            with locks.hold(f"refill:{document.label}") as lease:
                for version in active_versions(document.label):
                    lost += _mark_lost(version, lease)
        except LlmrecError as error:
            logger.warning("not refilled document=%s error=%s", document.label, error)
    if not lost:
        return RefillReport()
    report = drain_waiting()
    logger.info("refilled lost=%d written=%d encoded=%d", lost, report.written, report.encoded)
    return RefillReport(lost=lost, encoded=report.encoded)


def _mark_lost(version: IndexVersion, lease: locks.HeldLease) -> int:
    """Append an entry for each gap that nothing in the backlog will fill; returns how many there were."""
    engine = attached_engine_of(version)
    if engine is None or version.state == IndexVersion.State.BUILDING:
        return 0  # a build has marked all its items, and is not done before they were tried
    engine.create_index(version.name, schema_of(version))
    marked = 0
    for keys in _batches(engine.unfilled(version.name)):
        lease.beat()
        stored = Embedding.objects.filter(
            document=version.document, encoder_id=version.encoder_id, item_id__in=keys
        )
        lost = set(stored.values_list("item_id", flat=True))
        waiting = OutboxEntry.objects.filter(
            Q(index_version=None) | Q(index_version=version),
            document=version.document,
            item_id__in=lost,
            via="",
        )
        lost -= set(waiting.values_list("item_id", flat=True))
        marked += outbox.append(
            (
                OutboxEntry(document=version.document, item_id=key, index_version=version)
                for key in sorted(lost)
            ),
            announce_it=False,
        )
    return marked


def _batches(keys: Iterator[str]) -> Iterator[Sequence[str]]:
    while batch := list(islice(keys, CHUNK)):
        yield batch
