"""Reads what people did with one document type: events, clicks and ratings, with the texts of the items.

The events are cut in three: the encoder learns from the first part, stops by the second, and whether it is
better is decided on the last, which nothing was learned from or chosen by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.evaluation.protocol import Events, Split, temporal_split
from llmrec_plugin.event_kinds import dismissal_kinds, rated_kinds
from llmrec_plugin.models import Impression, Interaction
from llmrec_plugin.services.items.preparation import prepared_items
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.training.event_data import read_event_data

CHUNK = 500
OUTSIDE = 200
"""Of so many ratings one, at either end, may lie outside of the scale."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Behaviour:
    """Holds what people did with one document type, on rows of `keys`."""

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    """Passages of the items of `keys`."""
    titles: tuple[str, ...]
    events: Events
    split: Split
    clicks: Clicks
    ratings: Ratings
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Clicks:
    """Holds what people took from the results of a search; arrays in order of time."""

    queries: tuple[str, ...]
    items: NDArray[np.int64]
    times: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ratings:
    """Holds ratings, 0..1 between the worst and the best of the site; arrays in order of time."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    values: NDArray[np.float32]
    times: NDArray[np.float64]


def behaviour_of(label: str, *, now: datetime) -> Behaviour:
    """Return the consented events up to `now`, with the texts of the items that had any."""
    document = registry.get(label)
    data = read_event_data(label, now=now)
    found = {key: (text, title) for key, text, title in _texts(document, data.keys)}
    place = {key: row for row, key in enumerate(key for key in data.keys if key in found)}
    rows = np.array([place.get(key, -1) for key in data.keys], np.int64)
    moved = rows[data.log.items] if len(data.log) else np.empty(0, np.int64)
    events = on_rows(data.log, moved)
    return Behaviour(
        keys=tuple(place),
        texts=tuple(found[key][0] for key in place),
        titles=tuple(found[key][1] for key in place),
        events=events,
        split=temporal_split(events),
        clicks=_clicks(label, place, now=now),
        ratings=_ratings(label, place, now=now),
        since=None if not len(events) else datetime.fromtimestamp(float(events.times[0]), tz=now.tzinfo),
        until=data.until,
    )


def judged_from(behaviour: Behaviour) -> float:
    """Return when the events begin that nothing is learned from or chosen by; infinite: there are none."""
    return span_of(behaviour, behaviour.split.test)[0]


def span_of(behaviour: Behaviour, window: slice) -> tuple[float, float]:
    """Return when the window of the events begins and when it is over.

    What is no event keeps to the same times, or the judgement on the last window would be on what was learned
    from.
    """
    times = behaviour.events.times

    def edge(place: int) -> float:
        return -np.inf if not place else float(times[place]) if place < len(times) else np.inf

    return edge(window.start), edge(window.stop)


def on_rows(events: Events, items: NDArray[np.int64]) -> Events:
    """Return the same events with other numbers for their items, without those that have -1."""
    kept = items >= 0
    amounts = None if events.amounts is None else events.amounts[kept]
    return Events(events.users[kept], items[kept], events.times[kept], amounts)


def _texts(document: SearchDocument[Any], keys: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield key, passage and title of each item that can still be found."""
    for start in range(0, len(keys), CHUNK):
        for key, item in prepared_items(document, keys[start : start + CHUNK]).items():
            yield key, item.passage, item.title


def _clicks(label: str, place: Mapping[str, int], *, now: datetime) -> Clicks:
    """Return clicks on results of a search by words; a click proves little, but it names the words."""
    events = consent.consented(
        Interaction.objects.filter(document=label, at__lte=now, request_id__isnull=False)
    ).exclude(kind__in=dismissal_kinds())
    queries = dict(
        Impression.objects.filter(document=label, placement="search")
        .exclude(query="")
        .values_list("request_id", "query")
    )
    found = [
        (at.timestamp(), queries[request], place[key])
        for request, key, at in events.order_by("at").values_list("request_id", "item_id", "at")
        if request in queries and key in place
    ]
    return Clicks(
        queries=tuple(query for _, query, _ in found),
        items=np.array([item for *_, item in found], np.int64),
        times=np.array([at for at, *_ in found], np.float64),
    )


def _ratings(label: str, place: Mapping[str, int], *, now: datetime) -> Ratings:
    events = consent.consented(
        Interaction.objects.filter(document=label, kind__in=rated_kinds(), at__lte=now, value__isnull=False)
    )
    rows = [
        (user, place[key], value, at.timestamp())
        for user, key, value, at in events.order_by("at").values_list("user_key", "item_id", "value", "at")
        if key in place and value is not None and np.isfinite(value)
    ]
    users = {user: number for number, user in enumerate(dict.fromkeys(user for user, *_ in rows))}
    values = _scaled(np.array([value for _, _, value, _ in rows], np.float64))
    return Ratings(
        users=np.array([users[user] for user, *_ in rows], np.int64),
        items=np.array([item for _, item, *_ in rows], np.int64),
        values=values,
        times=np.array([at for *_, at in rows], np.float64),
    )


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return values 0..1 over the scale of the site; all 1 where they are alike.

    The few that lie far outside, as somebody may send, count as the ends of the scale: they would press all
    others to one point.
    """
    if not len(values):
        return np.empty(0, np.float32)
    beyond = len(values) // OUTSIDE
    ordered = np.sort(values)
    least, most = ordered[beyond], ordered[len(ordered) - 1 - beyond]
    if not most > least:
        least, most = ordered[0], ordered[-1]
    if not most > least:
        return np.ones(len(values), np.float32)
    scaled: NDArray[np.float32] = ((values.clip(least, most) - least) / (most - least)).astype(np.float32)
    return scaled
