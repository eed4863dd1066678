"""Events taken over from rows of the site, such as its orders, and kept equal to them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.exceptions import LeaseLost
from llmrec_plugin.logs import origin
from llmrec_plugin.models import Interaction, SourceChange
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.interactions import source_changes
from llmrec_plugin.services.interactions.recording import NewInteraction
from llmrec_plugin.services.interactions.replacing import Differences, replace_events
from llmrec_plugin.types import Progress

logger = logging.getLogger("llmrec_plugin.interactions")
CHUNK = 1000
LOCK = "interaction-sources"
"""One process at a time: of two, the one that read first could write last."""
PATIENCE = 60.0
"""Seconds that an audit waits for whoever holds the lock at the moment."""


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """Counts what differed between the rows of a source and its events, and was brought in line."""

    checked: int = 0
    """Rows that were looked at, some of them gone."""
    added: int = 0
    changed: int = 0
    removed: int = 0
    """Events of rows that are gone, or that the source's queryset holds no more."""
    failing: dict[str, str] = field(default_factory=dict)
    """Primary key of a row that could not be read -> why; its event stays as it was."""

    @property
    def differences(self) -> int:
        return self.added + self.changed + self.removed

    def with_(self, other: SourceReport) -> SourceReport:
        """Return the sums of both."""
        return SourceReport(
            checked=self.checked + other.checked,
            added=self.added + other.added,
            changed=self.changed + other.changed,
            removed=self.removed + other.removed,
            failing={**self.failing, **other.failing},
        )


def reconcile(
    source: InteractionSource[Any], *, mend: bool = True, progress: Progress | None = None
) -> SourceReport:
    """Make the events of the source equal to its rows, both ways: what is missing is added, what differs is
    changed, and what the queryset holds no more is removed. Interrupted or run again it does no harm.

    Without `mend` nothing is written, only counted. Raises LeaseLost where another process is at it for long.
    """
    report = SourceReport()
    total, done = _rows(source).count(), 0
    for keys in _chunks_of_rows(source):
        report = report.with_(_followed_alone(source, keys, mend=mend))
        done += len(keys)
        if progress is not None:
            progress(done, max(total, done))
    for keys in _chunks_of_events(source):
        report = report.with_(_followed_alone(source, _without_rows(source, keys), mend=mend))
    if report.differences:
        logger.info(
            "reconciled source=%s added=%d changed=%d removed=%d",
            source.label, report.added, report.changed, report.removed,
        )  # fmt: skip
    return report


def taken_over(source: InteractionSource[Any]) -> int:
    """Return how many events of the source are known; one query."""
    return _events(source).count()


def drain(*, seconds: float = math.inf) -> SourceReport:
    """Bring the events of all marked rows up to date; return when no mark is due, or with the batch that is
    under way after so many seconds. Where another process is at it, that one does it all.

    A row that cannot be read keeps its mark and is tried again, a longer time after each attempt. While
    LLMREC["ENABLED"] is off all marks wait.
    """
    report = SourceReport()
    if not get_settings().ENABLED:
        return report
    end = time.monotonic() + seconds
    with suppress(LeaseLost):
        # Whoever found the lock taken has marked before: the holder looks once more after giving it back.
        while source_changes.due().exists() and time.monotonic() < end:
            with locks.hold(LOCK) as lease:
                while marks := list(source_changes.due()[:CHUNK]):
                    report = report.with_(_drain_batch(marks, lease))
                    if time.monotonic() > end:
                        break
    return report


def follow(source: InteractionSource[Any], primary_keys: Sequence[Any], *, mend: bool = True) -> SourceReport:
    """Make the events of these rows equal to what the rows, read from the database that they are written to,
    tell now; of rows that are gone there are none."""
    told: list[NewInteraction] = []
    failing: dict[str, str] = {}
    for row in _rows(source).filter(pk__in=primary_keys):
        try:
            event = source.event(row)
        except Exception as error:  # the site's own code, and its own data; the others go on
            failing[str(row.pk)] = f"{type(error).__name__}: {error}"
            logger.warning(
                "row is no event source=%s error=%s at=%s", source.label, type(error).__name__, origin(error)
            )
        else:
            if event is not None:
                told.append(NewInteraction(**vars(event)))
    ids = [source.event_id(pk) for pk in primary_keys if str(pk) not in failing]
    found = replace_events(ids, told, mend=mend) if ids else Differences()
    return SourceReport(
        checked=len(primary_keys),
        added=found.added,
        changed=found.changed,
        removed=found.removed,
        failing=failing,
    )


def _followed_alone(source: InteractionSource[Any], keys: Sequence[Any], *, mend: bool) -> SourceReport:
    if not keys:
        return SourceReport()
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with locks.hold(LOCK):
                return follow(source, keys, mend=mend)
        except LeaseLost:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _drain_batch(marks: Sequence[SourceChange], lease: locks.HeldLease) -> SourceReport:
    report = SourceReport()
    known = {source.label: source for source in registry.interaction_sources}
    for label, group in groupby(sorted(marks, key=lambda mark: (mark.source, mark.pk)), lambda m: m.source):
        of_source = list(group)
        if label not in known:  # of a source that is no longer declared
            _settle(of_source)
            continue
        failing: dict[str, str] = {}
        try:
            for keys in _keys_of(known[label], of_source):
                lease.beat()
                found = follow(known[label], keys)
                failing |= found.failing
                report = report.with_(found)
        except LeaseLost:
            raise
        except Exception as error:  # the site's queryset; the rows of other sources go on
            source_changes.postpone(of_source, f"{type(error).__name__}: {error}")
            logger.error(
                "source is not followed source=%s error=%s at=%s",
                label, type(error).__name__, origin(error),
            )  # fmt: skip
        else:
            _settle(of_source, failing)
    return report


def _keys_of(source: InteractionSource[Any], marks: Sequence[SourceChange]) -> Iterator[list[Any]]:
    """Yield the primary keys of the rows that the marks stand for, a chunk at a time."""
    own = dict.fromkeys(pk for mark in marks if not mark.via and (pk := _pk(source, mark.row_id)) is not None)
    keys = list(own)
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
    for via, related in dict.fromkeys((mark.via, mark.row_id) for mark in marks if mark.via):
        rows = source_changes.rows_through(source, via, related, using=_alias(source))
        page = list(rows[:CHUNK])
        while page:
            yield page
            page = list(rows.filter(pk__gt=page[-1])[:CHUNK])


def _settle(marks: Sequence[SourceChange], failing: Mapping[str, str] = MappingProxyType({})) -> None:
    """Delete what is done; each row that could not be read is marked by itself, with its error."""
    rows = SourceChange.objects.using(source_changes.alias())
    rows.filter(pk__in=[mark.pk for mark in marks]).delete()
    attempts = {
        mark.row_id: mark.attempts for mark in sorted(marks, key=lambda mark: mark.attempts) if not mark.via
    }
    again = [
        SourceChange(source=marks[0].source, row_id=key, attempts=attempts.get(key, 0)) for key in failing
    ]
    for change in again:
        source_changes.set_back(change, failing[change.row_id])
    rows.bulk_create(again)


def _alias(source: InteractionSource[Any]) -> str:
    return router.db_for_write(source.model)


def _rows(source: InteractionSource[Any]) -> QuerySet[Any]:
    """Return what counts now, from where it is written: a replica may lag behind."""
    return source.get_queryset().using(_alias(source))


def _events(source: InteractionSource[Any]) -> QuerySet[Interaction]:
    alias = router.db_for_write(Interaction)
    return Interaction.objects.using(alias).filter(event_id__startswith=source.event_id(""))


def _chunks_of_rows(source: InteractionSource[Any]) -> Iterator[list[Any]]:
    keys = _rows(source).order_by("pk").values_list("pk", flat=True)
    page = list(keys[:CHUNK])
    while page:
        yield page
        page = list(keys.filter(pk__gt=page[-1])[:CHUNK])


def _chunks_of_events(source: InteractionSource[Any]) -> Iterator[list[Any]]:
    """Yield the primary keys of the rows that events are known of."""
    prefix = len(source.event_id(""))
    events = _events(source).order_by("id").values_list("id", "event_id")
    page = list(events[:CHUNK])
    while page:
        pks = (_pk(source, (event_id or "")[prefix:]) for _, event_id in page)
        yield [pk for pk in pks if pk is not None]
        page = list(events.filter(id__gt=page[-1][0])[:CHUNK])


def _without_rows(source: InteractionSource[Any], keys: Sequence[Any]) -> list[Any]:
    there = set(_rows(source).filter(pk__in=keys).order_by().values_list("pk", flat=True))
    return [key for key in keys if key not in there]


def _pk(source: InteractionSource[Any], text: str) -> Any | None:
    """Return the primary key that a text stands for; None: it stands for none."""
    pk: Any = source.model._meta.pk
    try:
        return pk.to_python(text)
    except ValidationError:
        return None
