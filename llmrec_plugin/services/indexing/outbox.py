"""The backlog of changed items: appending to it, claiming from it, and settling what was claimed.

What a change concerns is told by `routes`, and put here by `marks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any

from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.models import IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.indexing.routes import EVERYTHING
from llmrec_plugin.types import Failure

marked = Signal()
"""Sent once per commit that appended entries, so that receivers can have them drained."""

CHUNK = 1000
MAX_REPEATS = 1000
"""Further entries of the claimed items that one claim takes along."""
BACK_OFF_FIRST = timedelta(seconds=10)
BACK_OFF_MOST = timedelta(hours=1)


def alias() -> str:
    """The database that the backlog lives in."""
    return router.db_for_write(OutboxEntry)


def append(entries: Iterable[OutboxEntry], *, using: str | None = None, announce_it: bool = True) -> int:
    """Add entries along with the change of a row in the database `using`: never before it is committed.

    In the backlog's own database both are one transaction.
    """
    if using is not None and using != alias():
        waiting = list(entries)
        transaction.on_commit(lambda: _store(waiting, announce_it=announce_it), using=using, robust=True)
        return len(waiting)
    return _store(entries, announce_it=announce_it)


def _store(entries: Iterable[OutboxEntry], *, announce_it: bool) -> int:
    stored = 0
    remaining = iter(entries)
    while chunk := list(islice(remaining, CHUNK)):
        OutboxEntry.objects.bulk_create(chunk)
        stored += len(chunk)
    if stored and announce_it:
        announce()
    return stored


def announce() -> None:
    """Say, once the transaction that is open in the backlog's database is committed, that something waits."""
    connection = transaction.get_connection(alias())
    if not any(callback[1] is _send_marked for callback in connection.run_on_commit):
        transaction.on_commit(_send_marked, using=alias(), robust=True)


def _send_marked() -> None:
    marked.send_robust(sender=OutboxEntry)


def retry(entries: QuerySet[OutboxEntry]) -> int:
    """Try failed entries again now, as if they were new."""
    count = entries.update(attempts=0, not_before=None, last_error="", outage=False)
    if count:
        announce()
    return count


def claim(limit: int, *, version: IndexVersion | None = None) -> list[OutboxEntry]:
    """Lease up to `limit` due entries, and with each item all that waits for it; [] if none is due.

    What concerns every index comes before what only a new one needs, so that a build does not hold up
    an editor's change. With `version`, only what that index waits for, and half of the places for its own
    entries, so that a stream of changes does not hold up its build.
    """
    now = timezone.now()
    due = _due(now)
    if version is not None:
        due &= Q(document=version.document)
    pinned = Q(index_version=version) if version is not None else Q(index_version__isnull=False)
    with transaction.atomic(using=alias()) if _skips_locked() else nullcontext():
        rows = list(_locked(due & Q(index_version=None))[: limit if version is None else limit // 2])
        if len(rows) < limit:
            rows += _locked(due & pinned)[: limit - len(rows)]
        rows += _repeats(rows, now)
        return _lease(rows, now)


def _lease(rows: list[OutboxEntry], now: datetime) -> list[OutboxEntry]:
    """Those of the rows that are ours now; the condition in the update alone keeps two claims apart."""
    if not rows:
        return []
    owner = locks.new_owner()
    free = OutboxEntry.objects.filter(_free(now), pk__in=[row.pk for row in rows])
    leased = free.update(lease_owner=owner, lease_until=now + locks.duration())
    if leased < len(rows):  # another process was faster
        rows = list(OutboxEntry.objects.filter(lease_owner=owner))
    for row in rows:
        row.lease_owner = owner
    return rows


def renew(entries: Sequence[OutboxEntry]) -> set[int]:
    """Prolong the lease of claimed entries, and hold them until the transaction ends; returns the primary
    keys of those that are still ours."""
    pks = {entry.pk for entry in entries}
    owners = {entry.lease_owner for entry in entries}
    ours = OutboxEntry.objects.filter(pk__in=pks, lease_owner__in=owners)
    if ours.update(lease_until=timezone.now() + locks.duration()) == len(pks):
        return pks
    return set(ours.values_list("pk", flat=True))


def _skips_locked() -> bool:
    return bool(transaction.get_connection(alias()).features.has_select_for_update_skip_locked)


def _free(now: datetime) -> Q:
    return locks.ended("lease_until", now, longest=locks.duration())


def _due(now: datetime) -> Q:
    return _free(now) & (Q(not_before__lte=now) | locks.ended("not_before", now, longest=BACK_OFF_MOST))


def _locked(condition: Q) -> QuerySet[OutboxEntry]:
    """In order of arrival; where the database can, rows that another process is claiming are skipped."""
    rows = OutboxEntry.objects.using(alias()).filter(condition).order_by("id")
    return rows.select_for_update(skip_locked=True) if _skips_locked() else rows


def _repeats(rows: Sequence[OutboxEntry], now: datetime) -> list[OutboxEntry]:
    """Other entries of the same items, those that wait for their next attempt included."""
    keys: dict[str, set[str]] = {}
    for row in rows:
        if not row.stands_for_many:
            keys.setdefault(row.document, set()).add(row.item_id)
    if not keys:
        return []
    items = reduce(or_, (Q(document=label, item_id__in=ids) for label, ids in keys.items()))
    taken = [row.pk for row in rows]
    return list(
        _locked(_free(now) & items & Q(via="", keys__isnull=True)).exclude(pk__in=taken)[:MAX_REPEATS]
    )


def prolong(owner: str) -> None:
    """Hold what the claim of that owner has not settled yet for another term."""
    OutboxEntry.objects.filter(lease_owner=owner).update(lease_until=timezone.now() + locks.duration())


def release(owner: str) -> None:
    """Give back what the claim of that owner has not settled, untouched."""
    OutboxEntry.objects.filter(lease_owner=owner).update(lease_owner="", lease_until=None)


def release_own() -> int:
    """Give back whatever this process has claimed; for one that ends, wherever it stands."""
    own = OutboxEntry.objects.filter(lease_owner__startswith=locks.own_prefix())
    return own.update(lease_owner="", lease_until=None)


def release_dead() -> int:
    """Free what was claimed by processes of this machine that died, without waiting for their leases."""
    leased = OutboxEntry.objects.filter(lease_until__isnull=False).order_by()
    dead = [
        owner for owner in leased.values_list("lease_owner", flat=True).distinct() if locks.is_dead(owner)
    ]
    if not dead:
        return 0
    return OutboxEntry.objects.filter(lease_owner__in=dead).update(lease_owner="", lease_until=None)


OVERTAKEN = Failure(
    "The index holds a newer revision of this item. Another process wrote it meanwhile, or the database "
    "was restored from a backup: then run `manage.py llmrec build --rebuild`."
)


ABSENT = Failure(
    "The site's own index holds no document of this item yet. It is tried again for some minutes; whatever "
    "comes later is found by `manage.py llmrec audit --repair`."
)
ABSENT_FIRST = timedelta(seconds=1)
ABSENT_ATTEMPTS = 9
"""Each twice as long after the one before: 8 minutes in all."""
SECOND_LOOK = timedelta(seconds=0.7)
"""How long after a write to look whether the site wrote its document anew."""


def has_due(*, beyond: int = 0) -> bool:
    """Whether more than so many entries could be claimed now."""
    due = OutboxEntry.objects.using(alias()).filter(_due(timezone.now())).order_by()
    return bool(due.values_list("pk", flat=True)[beyond : beyond + 1])


def is_due_soon() -> bool:
    """Something of an attached index waits for a moment only: a second look, or a document that the site is
    about to write. Whoever drained should do so again after SECOND_LOOK."""
    if not any(document.attached for document in registry):
        return False
    now = timezone.now()
    soon = Q(not_before__lte=now + 2 * SECOND_LOOK)
    return OutboxEntry.objects.using(alias()).filter(_free(now) & soon).exists()


def postpone(entry: OutboxEntry, failure: Failure, *, attempts: int) -> None:
    """Set the entry, unsaved, to wait for its next attempt; one that was only overtaken does not wait."""
    entry.attempts = attempts + 1
    entry.last_error, entry.outage = failure.message.replace("\0", " "), failure.outage
    first = ABSENT_FIRST if failure is ABSENT else BACK_OFF_FIRST
    wait = min(first * 2 ** min(attempts, 16), BACK_OFF_MOST)
    entry.not_before = None if failure is OVERTAKEN and not attempts else timezone.now() + wait
    entry.lease_owner, entry.lease_until = "", None


def settle(*, done: Sequence[OutboxEntry], kept: Sequence[OutboxEntry], new: Sequence[OutboxEntry]) -> None:
    """End a claim in one transaction: delete what is done, put back what has to wait."""
    with transaction.atomic(using=alias()):
        if done:
            OutboxEntry.objects.filter(pk__in=[entry.pk for entry in done]).delete()
        if kept:
            OutboxEntry.objects.bulk_update(
                kept, ["attempts", "last_error", "outage", "not_before", "lease_owner", "lease_until"]
            )
        if new:
            OutboxEntry.objects.bulk_create(new)


def expand(entry: OutboxEntry) -> int:
    """Replace an entry that stands for many items by entries of their own, a chunk at a time."""
    if entry.keys and not entry.via:
        return _append_items(entry, entry.keys)
    return sum(_append_items(entry, _pages(rows)) for rows in _items_behind(entry))


def _items_behind(entry: OutboxEntry) -> Iterator[QuerySet[Any]]:
    model = registry.get(entry.document).model
    rows = model._base_manager.using(router.db_for_write(model))
    if entry.via == EVERYTHING:
        yield rows.all()
    elif entry.keys:
        for start in range(0, len(entry.keys), CHUNK):
            yield rows.filter(**{f"{entry.via}__pk__in": entry.keys[start : start + CHUNK]})
    else:
        yield rows.filter(**{f"{entry.via}__pk": entry.item_id})


def _pages(rows: QuerySet[Any]) -> Iterator[Any]:
    """The primary keys, read CHUNK at a time."""
    pks = list(rows.order_by("pk").values_list("pk", flat=True).distinct()[:CHUNK])
    while pks:
        yield from pks
        further = rows.filter(pk__gt=pks[-1])
        pks = list(further.order_by("pk").values_list("pk", flat=True).distinct()[:CHUNK])


def _append_items(entry: OutboxEntry, keys: Iterable[object]) -> int:
    items = (
        OutboxEntry(document=entry.document, item_id=str(key), index_version=entry.index_version)
        for key in keys
    )
    return append(items, announce_it=False)
