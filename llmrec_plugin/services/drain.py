"""From the backlog into the indexes, one batch at a time.

The order of the steps is what keeps an index from ending up stale, with any number of saves, drains,
builds and crashes in between (tests/flows explores the interleavings): claim entries, then draw a
revision, then read which indexes there are, then read the rows, then write under the revision, and only
then delete the entries that were claimed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from django.db import router

from llmrec_plugin.backends import get_backend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import IndexBatch, IndexVersion, OutboxEntry
from llmrec_plugin.services import embedding, outbox
from llmrec_plugin.services.outbox import OVERTAKEN, Failure
from llmrec_plugin.services.projection import analysed, indexed_document, prepared
from llmrec_plugin.types import Document, IndexedDocument, Removal

logger = logging.getLogger("llmrec_plugin.indexing")

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total)."""


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


@dataclass(kw_only=True)
class _Item:
    """All that waits for one item."""

    key: str
    entries: list[OutboxEntry]
    targets: list[IndexVersion] = field(default_factory=list)
    document: Document | None = None
    """None: to be removed."""
    terms: dict[str, str] = field(default_factory=dict)
    error: Failure | None = None
    """Why the item could be written nowhere."""
    failures: dict[int, Failure] = field(default_factory=dict)
    """Index version -> why it was not written there."""

    @property
    def for_all(self) -> bool:
        return any(entry.index_version_id is None for entry in self.entries)


def drain(*, limit: int | None = None, progress: Progress | None = None) -> DrainReport:
    """Bring the indexes up to date with the site; returns when nothing is due, or after `limit` entries.

    Any number of processes may drain at once, and any may die at any moment: nothing is lost, and
    nothing older ever overwrites what is newer.
    """
    outbox.release_dead()
    total = DrainReport()
    while limit is None or total.entries < limit:
        size = (
            get_settings().DRAIN_BATCH
            if limit is None
            else min(get_settings().DRAIN_BATCH, limit - total.entries)
        )
        batch = drain_batch(size)
        if batch is None:
            break
        total += batch
        if progress is not None:
            progress(total.entries, total.entries + OutboxEntry.objects.count())
    return replace(total, remaining=OutboxEntry.objects.count())


def drain_batch(size: int, *, version: IndexVersion | None = None) -> DrainReport | None:
    """One batch of up to `size` entries, or None if none is due; with `version`, of what that index lacks."""
    claimed = outbox.claim(size, version=version)
    if not claimed:
        return None
    started = time.monotonic()
    revision = IndexBatch.objects.create(entries=len(claimed)).pk
    done, kept, new = _expand(entry for entry in claimed if entry.via)
    report = DrainReport(entries=len(claimed), failed=len(kept))
    grouped = _group(entry for entry in claimed if not entry.via)
    for label, items in grouped.items():
        report += _process(label, items, revision)
        for item in items:
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
    return report


def active_versions(label: str) -> list[IndexVersion]:
    """Every index that has to follow the site: the live one, those kept for rollback, those being built."""
    states = [IndexVersion.State.BUILDING, IndexVersion.State.READY]
    return list(IndexVersion.objects.filter(document=label, state__in=states).order_by("id"))


Entries: TypeAlias = list[OutboxEntry]


def _expand(entries: Iterable[OutboxEntry]) -> tuple[Entries, Entries, Entries]:
    done: Entries = []
    kept: Entries = []
    for entry in entries:
        try:
            outbox.expand(entry)
        except Exception as error:  # a lookup that the site's code no longer knows must not stop the others
            outbox.postpone(entry, _failure(entry.document, error), attempts=entry.attempts)
            kept.append(entry)
        else:
            done.append(entry)
    return done, kept, []


def _group(entries: Iterable[OutboxEntry]) -> dict[str, list[_Item]]:
    """Items by document, each once, however often it was marked."""
    items: dict[tuple[str, str], _Item] = {}
    for entry in entries:
        item = items.setdefault((entry.document, entry.object_id), _Item(key=entry.object_id, entries=[]))
        item.entries.append(entry)
    grouped: dict[str, list[_Item]] = {}
    for (label, _), item in items.items():
        grouped.setdefault(label, []).append(item)
    return grouped


def _target(label: str, items: Sequence[_Item]) -> None:
    """Which indexes each item goes to; those dropped meanwhile are left out."""
    versions = active_versions(label)
    for item in items:
        pinned = {entry.index_version_id for entry in item.entries}
        item.targets = [version for version in versions if item.for_all or version.pk in pinned]


def _process(label: str, items: Sequence[_Item], revision: int) -> DrainReport:
    """The items of one document; whatever the site's code raises, other documents go on."""
    _target(label, items)
    wanted = [item for item in items if item.targets]
    if not wanted:
        return DrainReport()
    try:
        document = registry.get(label)
        _read(document, wanted)
        report = _index(wanted, revision)
    except Exception as error:
        failure = _failure(label, error, outage=True)
        for item in wanted:
            item.error = failure
        return DrainReport(failed=len(wanted))
    return replace(report, failed=sum(bool(item.error or item.failures) for item in wanted))


def _index(items: Sequence[_Item], revision: int) -> DrainReport:
    """Embed and write what could be read; what fails is noted on the items."""
    readable = [item for item in items if not item.error]
    gone = [item for item in readable if item.document is None]
    if gone:
        embedding.forget(gone[0].targets[0].document, [item.key for item in gone])
    encoded = reused = 0
    versions = {version.pk: version for item in readable for version in item.targets}
    spaces: dict[str, list[IndexVersion]] = {}
    for version in versions.values():
        spaces.setdefault(version.encoder_id, []).append(version)
    for space in spaces.values():
        counts = _write_space(space, readable, revision)
        encoded, reused = encoded + counts[0], reused + counts[1]
    whole = [item for item in readable if len(item.failures) < len(item.targets)]
    return DrainReport(
        written=sum(item.document is not None for item in whole),
        removed=sum(item.document is None for item in whole),
        encoded=encoded,
        reused=reused,
    )


def _read(document: SearchDocument[Any], items: Sequence[_Item]) -> None:
    rows = document.in_bulk([item.key for item in items], using=router.db_for_write(document.model))
    for item in items:
        row = rows.get(item.key)
        if row is None:
            continue
        try:
            item.document = prepared(document, row)
            item.terms = analysed(item.document) if item.document is not None else {}
        except Exception as error:  # one item's fault is not the others'
            item.error = _failure(document.label, error)


def _write_space(versions: Sequence[IndexVersion], items: Sequence[_Item], revision: int) -> tuple[int, int]:
    """Write to all indexes of one encoder; returns numbers of texts encoded and of vectors reused."""
    ids = {version.pk for version in versions}
    concerned = [item for item in items if any(version.pk in ids for version in item.targets)]
    puts = [item.document for item in concerned if item.document is not None]
    try:
        embedded = embedding.embed(puts, version=versions[0]) if puts else embedding.Embedded(vectors={})
    except LlmrecError as error:
        failure = _failure(versions[0].document, error, outage=True)
        embedded = embedding.Embedded(vectors={}, failures={d.fingerprint: failure for d in puts})
    for version in versions:
        _write(version, [item for item in concerned if version in item.targets], embedded, revision)
    _verify(versions[0], concerned, ids)
    return embedded.encoded, embedded.reused


def _write(
    version: IndexVersion, items: Sequence[_Item], embedded: embedding.Embedded, revision: int
) -> None:
    """Write to one index; what it does not take is noted on the items."""
    puts, deletes = _changes(version, items, embedded, revision)
    attempted = [item for item in items if version.pk not in item.failures]
    if not attempted:
        return
    try:
        report = get_backend().write(version.name, puts, deletes)
    except Exception as error:  # one index must not hold up the others
        if not IndexVersion.objects.filter(pk=version.pk, state=IndexVersion.State.DROPPED).exists():
            failure = _failure(version.document, error, outage=True)
            for item in attempted:
                item.failures[version.pk] = failure
        return
    for item in attempted:
        if item.key in report.failed:
            item.failures[version.pk] = Failure(report.failed[item.key])
        elif report.skipped:
            item.failures[version.pk] = OVERTAKEN


def _changes(
    version: IndexVersion, items: Sequence[_Item], embedded: embedding.Embedded, revision: int
) -> tuple[list[IndexedDocument], list[Removal]]:
    puts: list[IndexedDocument] = []
    deletes: list[Removal] = []
    for item in items:
        document = item.document
        if document is None:
            deletes.append(Removal(key=item.key, revision=revision))
        elif document.fingerprint in embedded.vectors:
            vector = embedded.vectors[document.fingerprint]
            puts.append(
                indexed_document(
                    document, terms=item.terms, version=version, vector=vector, revision=revision
                )
            )
        else:
            item.failures[version.pk] = embedded.failures[document.fingerprint]
    return puts, deletes


def _verify(version: IndexVersion, items: Sequence[_Item], ids: set[int]) -> None:
    """The stored vectors carry no revision: if another drain stored older ones meanwhile, look again."""
    stored = embedding.stored_fingerprints(version, [item.key for item in items])
    for item in items:
        written = ids - item.failures.keys()
        expected = item.document.fingerprint if item.document is not None else None
        if written and stored.get(item.key) != expected:
            item.failures |= dict.fromkeys(
                (target.pk for target in item.targets if target.pk in written), OVERTAKEN
            )


def _settle(item: _Item, done: Entries, kept: Entries, new: Entries) -> None:
    """What waits for the item from now on: nothing, one entry for all indexes, or one per failed index."""
    if item.error:
        item.failures = {version.pk: item.error for version in item.targets}
    pinned = {entry.index_version_id: entry for entry in item.entries}
    waiting: dict[int | None, Failure] = {**item.failures}
    if item.for_all and item.failures and len(item.failures) == len(item.targets):
        waiting = {None: next(iter(item.failures.values()))}
    attempts = max(entry.attempts for entry in item.entries)
    keepers: Entries = []
    for version_id, failure in waiting.items():
        entry = pinned.get(version_id) or OutboxEntry(
            document=item.entries[0].document, object_id=item.key, index_version_id=version_id
        )
        outbox.postpone(entry, failure, attempts=attempts)
        keepers.append(entry)
    kept += [entry for entry in keepers if entry.pk is not None]
    new += [entry for entry in keepers if entry.pk is None]
    done += [entry for entry in item.entries if not any(entry is keeper for keeper in keepers)]


def _failure(label: str, error: Exception, *, outage: bool = False) -> Failure:
    logger.warning("indexing failed document=%s error=%s", label, type(error).__name__)
    return Failure(embedding.describe(error), outage=outage)
