"""Comparing every item of the site with every index that follows it, and mending what differs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.db import router
from django.db.models import Model, Q

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import IndexDamaged, NotFound
from llmrec_plugin.models import Embedding, IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import locks, missed_changes
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.deployment.engines import engine_of, fault_of, schema_of
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.outbox_drain import drain_waiting
from llmrec_plugin.services.indexing.routes import EVERYTHING
from llmrec_plugin.services.indexing.set_difference import Finding, Ledger, Pair
from llmrec_plugin.services.items.preparation import prepared, projected

logger = logging.getLogger("llmrec_plugin.indexing")

CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Keys by what is wrong with them, over all indexes that follow the site."""

    checked: int
    """Items of the site."""
    missing: tuple[str, ...] = ()
    """On the site but not in an index."""
    stale: tuple[str, ...] = ()
    """Another text, filter or vector than the site's."""
    orphaned: tuple[str, ...] = ()
    """In an index, or with a stored vector, but not on the site."""
    failing: tuple[str, ...] = ()
    """Tried, and left in the backlog with their error, or impossible to prepare now."""
    pending: tuple[str, ...] = ()
    """Different, but in the backlog already."""
    repaired: int = 0
    """Items that were different and are no more."""
    damaged: tuple[str, ...] = ()
    """Names of indexes that cannot be read; a repair drops those that are not live, `build` replaces the one
    that is."""


def audit(label: str, *, repair: bool = False) -> AuditReport:
    """Find every difference between the site and its indexes, in bounded memory; with `repair`, mend it.

    Raises NotBuilt without a live index, LeaseLost while another audit of the document runs.
    """
    document = registry.get(label)
    live_pair(label)
    with locks.hold(f"audit:{label}") as lease:
        ready = IndexVersion.objects.filter(document=label, state=IndexVersion.State.READY)
        versions, damaged = _told_apart(list(ready))
        with Ledger() as ledger:
            checked = _take_stock(ledger, document, versions, lease)
            suspects = _keys(ledger.missing() | ledger.stale() | ledger.orphaned())
            unreadable = ledger.unreadable()
        if repair:
            for version in damaged:
                retirement.drop(version)
        report = AuditReport(checked=checked, damaged=tuple(version.name for version in damaged))
        if suspects:
            report = _confirm(report, document, versions, suspects, lease, repair=repair)
        if repair:  # whatever could not be marked since has been looked at
            missed_changes.forget(label)
        failing = tuple(sorted(_failing(label) | unreadable))
    logger.info(
        "audited document=%s checked=%d missing=%d stale=%d orphaned=%d repaired=%d",
        label, checked, len(report.missing), len(report.stale), len(report.orphaned), report.repaired,
    )  # fmt: skip
    return replace(report, failing=failing)


def _told_apart(versions: Sequence[IndexVersion]) -> tuple[list[IndexVersion], list[IndexVersion]]:
    """Return the indexes that can be compared, read to their ends, and those that cannot: one that is
    damaged must not keep the others from being looked at."""
    damaged = []
    for version in versions:
        try:
            fault = fault_of(version)
            if fault is None:
                for _ in engine_of(version).digests(version.name):
                    pass
        except IndexDamaged as error:
            fault = error
        if isinstance(fault, IndexDamaged):
            logger.error("damaged document=%s index=%s: %s", version.document, version.name, fault)
            damaged.append(version)
    return [version for version in versions if version not in damaged], damaged


def _confirm(
    report: AuditReport,
    document: SearchDocument[Any],
    versions: Sequence[IndexVersion],
    suspects: set[str],
    lease: locks.HeldLease,
    *,
    repair: bool,
) -> AuditReport:
    """Look at the suspects again: what was drained between reading index and site is no difference."""
    with Ledger() as ledger:
        _take_stock(ledger, document, versions, lease, only=suspects)
        missing, stale, orphaned = ledger.missing(), ledger.stale(), ledger.orphaned()
    pending = _pending(document, _keys(missing | stale | orphaned))
    findings = {(version, key) for version, key in missing | stale | orphaned if key not in pending}
    return replace(
        report,
        missing=tuple(sorted(_keys(missing) - pending)),
        stale=tuple(sorted(_keys(stale) - pending)),
        orphaned=tuple(sorted(_keys(orphaned) - pending)),
        pending=tuple(sorted(pending)),
        repaired=_repair(document.label, versions, findings) if repair and findings else 0,
    )


def _keys(findings: Collection[Finding]) -> set[str]:
    return {key for _, key in findings}


def _take_stock(
    ledger: Ledger,
    document: SearchDocument[Any],
    versions: Sequence[IndexVersion],
    lease: locks.HeldLease,
    *,
    only: set[str] | None = None,
) -> int:
    """Fill the ledger, indexes first; with `only`, for these keys alone. Returns the number of items."""
    for version in versions:
        ledger.add_indexed(version.pk, _within(_indexed(version), only))
    for version in {version.encoder_id: version for version in versions}.values():
        vectors = Embedding.objects.filter(document=document.label, encoder_id=version.encoder_id)
        pairs = vectors.values_list("item_id", "fingerprint").iterator(chunk_size=2000)
        ledger.add_stored(version.pk, _within(pairs, only))
    checked = 0
    for rows in _chosen(document, sorted(only)) if only is not None else _all_rows(document):
        lease.beat()
        checked += len(rows)
        _enter(ledger, document, versions, rows)
    return checked


def _within(pairs: Iterator[Pair], only: set[str] | None) -> Iterator[Pair]:
    return pairs if only is None else (pair for pair in pairs if pair[0] in only)


def _indexed(version: IndexVersion) -> Iterator[Pair]:
    try:
        yield from engine_of(version).digests(version.name)
    except NotFound:  # the engine lost the whole index: every item is missing
        return


def _all_rows(document: SearchDocument[Any]) -> Iterator[list[Model]]:
    rows = document.get_queryset().using(router.db_for_write(document.model)).order_by("pk")
    page = list(rows[:CHUNK])
    while page:
        yield page
        page = list(rows.filter(pk__gt=page[-1].pk)[:CHUNK])


def _chosen(document: SearchDocument[Any], keys: Sequence[str]) -> Iterator[list[Model]]:
    for start in range(0, len(keys), CHUNK):
        found = document.in_bulk(keys[start : start + CHUNK], using=router.db_for_write(document.model))
        yield list(found.values())


def _enter(
    ledger: Ledger, document: SearchDocument[Any], versions: Sequence[IndexVersion], rows: Sequence[Model]
) -> None:
    items = []
    unreadable = []
    for row in rows:
        try:
            items.append(prepared(document, row))
        except Exception as error:  # reported by key; the others are compared all the same
            logger.warning("cannot prepare document=%s error=%s", document.label, type(error).__name__)
            unreadable.append(str(row.pk))
    ledger.add_unreadable(unreadable)
    found = [item for item in items if item is not None]
    ledger.add_site((item.key, item.fingerprint) for item in found)
    for version in versions:
        ledger.add_expected(
            version.pk, ((item.key, projected(item, version=version).digest) for item in found)
        )


def _failing(label: str) -> set[str]:
    tried = OutboxEntry.objects.filter(document=label, attempts__gt=0, via="", keys__isnull=True)
    return set(tried.values_list("item_id", flat=True))


def _pending(document: SearchDocument[Any], keys: set[str]) -> set[str]:
    """Those of the keys that the backlog will come to, directly or through a related object."""
    waiting = OutboxEntry.objects.filter(document=document.label)
    through: set[tuple[str, str]] = set()
    pending: set[str] = set()
    for entry in waiting.filter(~Q(via="") | Q(keys__isnull=False)):
        if entry.via == EVERYTHING:
            return keys
        if not entry.via:
            pending |= keys.intersection(entry.keys or ())
        else:
            through |= {(entry.via, key) for key in entry.keys or [entry.item_id]}
    ordered = sorted(keys)
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        pending.update(waiting.filter(via="", item_id__in=chunk).values_list("item_id", flat=True))
        pks = [pk for pk in map(document.to_pk, chunk) if pk is not None]
        for via, related in through:
            affected = document.model._base_manager.filter(pk__in=pks, **{f"{via}__pk": related})
            pending.update(map(str, affected.values_list("pk", flat=True)))
    return pending


def _repair(label: str, versions: Sequence[IndexVersion], findings: set[Finding]) -> int:
    """Have the indexes written anew where they differ, now; returns how many items are right again."""
    for version in versions:
        engine_of(version).create_index(version.name, schema_of(version))
    _append(label, findings)
    drain_waiting()
    keys = _keys(findings)
    waiting = OutboxEntry.objects.filter(document=label, index_version__in=list(versions))
    return len(keys - set(waiting.values_list("item_id", flat=True)))


def _append(label: str, findings: Collection[Finding]) -> int:
    return outbox.append(
        (
            OutboxEntry(document=label, item_id=key, index_version_id=version)
            for version, key in sorted(findings)
        ),
        announce_it=False,
    )


def mark_differences(document: SearchDocument[Any], version: IndexVersion) -> int:
    """A quick look at keys alone: mark for this version what it lacks and what it should not hold."""
    with Ledger() as ledger:
        ledger.add_indexed(version.pk, _indexed(version))
        keys = document.get_queryset().order_by("pk").values_list("pk", flat=True)
        for pks in _batches(keys.iterator(chunk_size=2000)):
            ledger.add_site((str(pk), "") for pk in pks)
            ledger.add_expected(version.pk, ((str(pk), "") for pk in pks))
        return _append(document.label, ledger.missing() | ledger.orphaned())


def _batches(values: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    while batch := tuple(islice(values, CHUNK)):
        yield batch
