"""Events taken over from rows of the site, such as its orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from llmrec_plugin.documents import InteractionSource
from llmrec_plugin.models import Interaction
from llmrec_plugin.services.interactions.recording import (
    CHUNK,
    NewInteraction,
    RecordReport,
    forget,
    record_many,
)
from llmrec_plugin.types import Progress


def backfill(source: InteractionSource[Any], *, progress: Progress | None = None) -> int:
    """Take over the rows that the site had before; returns how many are new. Interrupted or run again,
    it goes on where it stopped, since rows that came in already are duplicates."""
    rows = source.get_queryset().order_by("pk")
    total, done, stored = rows.count(), 0, 0
    chunk = list(rows[:CHUNK])
    while chunk:
        stored += record_many(_events_of(source, chunk)).stored
        done += len(chunk)
        if progress is not None:
            progress(done, max(total, done))
        chunk = list(rows.filter(pk__gt=chunk[-1].pk)[:CHUNK])
    return stored


def taken_over(source: InteractionSource[Any]) -> int:
    """Return how many events of the source are known; one query."""
    return Interaction.objects.filter(event_id__startswith=source.event_id("")).count()


def follow(source: InteractionSource[Any], primary_keys: Sequence[Any]) -> RecordReport:
    """Bring the events of these rows of the site up to date after they were saved or deleted."""
    with transaction.atomic():
        forget(source.event_id(pk) for pk in primary_keys)
        rows = source.get_queryset().filter(pk__in=primary_keys)
        return record_many(_events_of(source, rows))


def _events_of(source: InteractionSource[Any], rows: Iterable[Any]) -> list[NewInteraction]:
    """Yield the rows as events; rows without a user, as a guest's order, are no events."""
    events = (source.event(row) for row in rows)
    return [
        NewInteraction(
            user_key=event.user_key,
            document=event.document,
            item_id=event.item_id,
            kind=event.kind,
            value=event.value,
            at=event.at,
            event_id=event.event_id,
        )
        for event in events
        if event is not None
    ]
