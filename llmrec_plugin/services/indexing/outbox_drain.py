"""From the backlog into the indexes, one batch at a time.

The order of the steps is what keeps an index from ending up stale, with any number of saves, drains,
builds and crashes in between (tests/support/interleavings.py explores them): claim entries, then draw a
revision, then read which indexes there are, then read the rows, then write under the revision, and only
then delete the entries that were claimed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from django.db import DatabaseError
from django.utils import timezone

from llmrec_plugin import monitoring
from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import IndexBatch, IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.batch import Counts, Item, as_failure, process
from llmrec_plugin.services.indexing.outbox import ABSENT, ABSENT_ATTEMPTS, SECOND_LOOK
from llmrec_plugin.types import Failure, Progress

logger = logging.getLogger("llmrec_plugin.indexing")

Entries: TypeAlias = list[OutboxEntry]


@dataclass(frozen=True, kw_only=True)
class DrainReport:
    """Sums over all batches of a drain."""

    entries: int = 0
    written: int = 0
    """Items put into at least one index."""
    removed: int = 0
    """Items that are gone or may not be found."""
    encoded: int = 0
    """Texts that the encoder read."""
    reused: int = 0
    """Items whose vector was stored already."""
    failed: int = 0
    """Items left in the backlog with their error."""
    remaining: int = 0
    """Entries in the backlog when the drain ended, those that wait for another attempt included."""

    def __add__(self, other: DrainReport) -> DrainReport:
        return DrainReport(
            entries=self.entries + other.entries,
            written=self.written + other.written,
            removed=self.removed + other.removed,
            encoded=self.encoded + other.encoded,
            reused=self.reused + other.reused,
            failed=self.failed + other.failed,
            remaining=other.remaining,
        )


def drain(
    *, limit: int | None = None, seconds: float = math.inf, progress: Progress | None = None
) -> DrainReport:
    """Bring the indexes up to date with the site; returns when nothing is due, after `limit` entries, or with
    the batch that is under way after so many seconds.

    Any number of processes may drain at once, and any may die at any moment: nothing is lost, and
    nothing older ever overwrites what is newer.
    """
    outbox.release_dead()
    total = DrainReport()
    end = time.monotonic() + seconds
    while limit is None or total.entries < limit:
        size = get_settings().LIMITS.drain_batch
        batch = drain_batch(size if limit is None else min(size, limit - total.entries))
        if batch is None:
            break
        total += batch
        if progress is not None:
            progress(total.entries, total.entries + OutboxEntry.objects.count())
        if time.monotonic() > end:
            break
    return replace(total, remaining=OutboxEntry.objects.count())


def drain_waiting() -> DrainReport:
    """As `drain`, for as many entries as wait now: work that has more to do than to drain must not stay with
    the changes of a site that is never still."""
    return drain(limit=OutboxEntry.objects.count())


def drain_batch(size: int, *, version: IndexVersion | None = None) -> DrainReport | None:
    """One batch of up to `size` entries, or None if none is due; with `version`, of what that index lacks."""
    claimed = outbox.claim(size, version=version)
    if not claimed:
        return None
    owner = claimed[0].lease_owner
    try:
        with locks.heartbeat_thread(
            lambda: outbox.prolong(owner), "claim"
        ):  # an encoder may take longer than a lease
            return _process_claimed(claimed)
    except BaseException:  # an interrupt, too: others need not wait for the lease to end
        with suppress(DatabaseError):
            outbox.release(owner)
        raise


def _process_claimed(claimed: Entries) -> DrainReport:
    started = time.monotonic()
    revision = IndexBatch.objects.create(entries=len(claimed)).pk
    done, kept = _expand(entry for entry in claimed if entry.stands_for_many)
    new: Entries = []
    report = DrainReport(entries=len(claimed), failed=len(kept))
    for label, items in _group(entry for entry in claimed if not entry.stands_for_many).items():
        counts = process(label, items, revision)
        report += _report(items, counts)
        for item in items:
            if not item.lost:
                _settle(item, done, kept, new)
    outbox.settle(done=done, kept=kept, new=new)
    took_ms = round((time.monotonic() - started) * 1000)
    IndexBatch.objects.filter(pk=revision).update(
        encoded=report.encoded, failed=report.failed, took_ms=took_ms
    )
    logger.info(
        "drained batch=%d entries=%d written=%d removed=%d encoded=%d failed=%d took_ms=%d",
        revision, report.entries, report.written, report.removed, report.encoded, report.failed, took_ms,
    )  # fmt: skip
    monitoring.drain_seconds.observe(took_ms / 1000)
    for outcome in ("written", "removed", "failed"):
        monitoring.drained_items.add(getattr(report, outcome), outcome=outcome)
    return report


def _report(items: Sequence[Item], counts: Counts) -> DrainReport:
    written = [item for item in items if item.written]
    return DrainReport(
        written=sum(item.document is not None for item in written),
        removed=sum(item.document is None for item in written),
        encoded=counts.encoded,
        reused=counts.reused,
        failed=sum(bool(item.failures) for item in items),
    )


def _expand(entries: Iterable[OutboxEntry]) -> tuple[Entries, Entries]:
    done: Entries = []
    kept: Entries = []
    for entry in entries:
        try:
            outbox.expand(entry)
        except Exception as error:  # a lookup that the site's code no longer knows must not stop the others
            outbox.postpone(entry, as_failure(entry.document, error), attempts=entry.attempts)
            kept.append(entry)
        else:
            done.append(entry)
    return done, kept


def _group(entries: Iterable[OutboxEntry]) -> dict[str, list[Item]]:
    """Items by document, each once, however often it was marked."""
    items: dict[tuple[str, str], Item] = {}
    for entry in entries:
        item = items.setdefault((entry.document, entry.item_id), Item(key=entry.item_id, entries=[]))
        item.entries.append(entry)
    grouped: dict[str, list[Item]] = {}
    for (label, _), item in items.items():
        grouped.setdefault(label, []).append(item)
    return grouped


def _settle(item: Item, done: Entries, kept: Entries, new: Entries) -> None:
    """What waits for the item from now on: nothing, one entry for all indexes, or one per failed index."""
    pinned = {entry.index_version_id: entry for entry in item.entries}
    attempts = max(entry.attempts for entry in item.entries)
    waiting: list[tuple[int | None, Failure]] = [
        (version, failure)
        for version, failure in item.failures.items()
        if failure is not ABSENT or attempts + 1 < ABSENT_ATTEMPTS
    ]
    if item.for_all and waiting and len(waiting) == len(item.targets):
        waiting = [(None, waiting[0][1])]
    keepers: Entries = []
    for version_id, failure in waiting:
        entry = pinned.get(version_id) or OutboxEntry(
            document=item.entries[0].document, item_id=item.key, index_version_id=version_id
        )
        outbox.postpone(entry, failure, attempts=attempts)
        keepers.append(entry)
    kept += [entry for entry in keepers if entry.pk is not None]
    new += [entry for entry in keepers if entry.pk is None]
    done += [entry for entry in item.entries if not any(entry is keeper for keeper in keepers)]
    new += _second_looks(item)


def _second_looks(item: Item) -> Entries:
    """A site that writes its own documents may do so after us, and then our part of it is gone."""
    if not item.for_all or item.document is None:
        return []
    return [
        OutboxEntry(
            document=item.entries[0].document,
            item_id=item.key,
            index_version=version,
            not_before=timezone.now() + SECOND_LOOK,
        )
        for version in item.targets
        if version.schema.get("attached") and version.pk not in item.failures
    ]
