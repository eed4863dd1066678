"""Reads the events that a training learns from, as rows of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.event_kinds import liking_of
from llmrec_plugin.models import Configuration, Interaction
from llmrec_plugin.services.privacy import consent


@dataclass(frozen=True, kw_only=True)
class EventData:
    """Holds the events in favour of items that are visible."""

    keys: tuple[str, ...]
    """The items, sorted."""
    events: int
    users: int
    kind: str
    """The kind of event that most of it goes back to; empty without events."""
    since: datetime | None
    until: datetime | None
    log: Events
    """All events by rows of users and of `keys`; an event of the weightiest kind says most."""


class _Liked(NamedTuple):
    """Holds one event in favour of an item."""

    user: str
    key: str
    kind: str
    at: datetime
    amount: float
    """0..1: what it says, of what the most telling one says."""


def read_event_data(label: str, *, now: datetime) -> EventData:
    """Return the events in favour of an item that is still visible, by users who have not refused."""
    weights = {kind: weight for kind, weight in Configuration.current().kind_weights.items() if weight > 0}
    rows = list(_liked(label, weights, now=now))
    users, user_rows = _numbered([row.user for row in rows])
    keys, key_rows = _numbered([row.key for row in rows])
    kinds = Counter(row.kind for row in rows)
    return EventData(
        keys=keys,
        events=len(rows),
        users=len(users),
        kind=max(kinds, key=lambda kind: (kinds[kind] * weights[kind], kind), default=""),
        since=min((row.at for row in rows), default=None),
        until=max((row.at for row in rows), default=None),
        log=Events.of(
            user_rows, key_rows, [row.at.timestamp() for row in rows], [row.amount for row in rows]
        ),
    )


def _liked(label: str, weights: Mapping[str, float], *, now: datetime) -> Iterator[_Liked]:
    strongest = max(weights.values(), default=1.0)
    visible = {str(pk) for pk in registry.get(label).get_queryset().order_by().values_list("pk", flat=True)}
    events = consent.consented(Interaction.objects.filter(document=label, kind__in=weights, at__lte=now))
    rows = events.order_by().values_list("user_key", "item_id", "kind", "value", "at")
    for user, key, kind, value, at in rows.iterator(chunk_size=10_000):
        liked = liking_of(kind, value)
        if key in visible and liked > 0:
            yield _Liked(user, key, kind, at, weights[kind] / strongest * liked)


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names, each once and sorted, and the place of each one given among them."""
    distinct = tuple(sorted(set(names)))
    place = {name: number for number, name in enumerate(distinct)}
    return distinct, np.fromiter(map(place.__getitem__, names), np.int64, count=len(names))
