"""What an encoder is tuned on, from the site's items, interactions and searches, by time.

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
from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.evaluation.protocol import Events, Split, temporal_split
from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.learning.mining.coreset import k_centre
from llmrec_plugin.learning.mining.text_pairs import (
    Pairs,
    hard_negatives,
    history_pairs,
    joined,
    known_pairs,
    make_pairs,
    neighbour_pairs,
)
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import Neighbours, taken
from llmrec_plugin.models import Impression, Interaction
from llmrec_plugin.services.items.preparation import prepared_items
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.training.event_data import read_event_data
from llmrec_plugin.training.base import TrainingData, TrainingOptions
from llmrec_plugin.types import Matrix

CHUNK = 500
LEAST_TRAIN, LEAST_VALID = 50, 20
"""Pairs without which nothing is tuned."""
MAX_VALID = 1_000
"""They are measured again and again."""
OUTSIDE = 200
"""Of so many ratings one, at either end, may lie outside of the scale."""
NEIGHBOURS_DISTILLED = 10
"""Of each item; the strongest ones hold most of the weight."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Behaviour:
    """What people did with one document type, on rows of `keys`."""

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
    """What people took from the results of a search; arrays in order of time."""

    queries: tuple[str, ...]
    items: NDArray[np.int64]
    times: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ratings:
    """What people gave items, 0..1 between the worst and the best rating of the site; in order of time."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    values: NDArray[np.float32]
    times: NDArray[np.float64]


def behaviour_of(label: str, *, now: datetime) -> Behaviour:
    """The consented events up to `now`, with the texts of the items that had any."""
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
    """When the events begin that nothing is learned from or chosen by; infinite: there are none."""
    return _span(behaviour, behaviour.split.test)[0]


def on_rows(events: Events, items: NDArray[np.int64]) -> Events:
    """The same events with other numbers for their items, without those that have -1."""
    kept = items >= 0
    amounts = None if events.amounts is None else events.amounts[kept]
    return Events(events.users[kept], items[kept], events.times[kept], amounts)


def _texts(document: SearchDocument[Any], keys: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Key, passage and title of each item that can still be found."""
    for start in range(0, len(keys), CHUNK):
        for key, item in prepared_items(document, keys[start : start + CHUNK]).items():
            yield key, item.passage, item.title


def _clicks(label: str, place: Mapping[str, int], *, now: datetime) -> Clicks:
    """Of results of a search by words; a click counts as little as it proves, but it names the words."""
    events = consent.consented(
        Interaction.objects.filter(document=label, at__lte=now, request_id__isnull=False)
    ).exclude(kind="dismiss")
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
        Interaction.objects.filter(document=label, kind="rating", at__lte=now, value__isnull=False)
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
    """0..1 over the scale of the site; all 1 where they are alike. The few that lie far outside, as somebody
    may send, count as the ends of the scale: they would press all others to one point."""
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


def make_training_data(
    behaviour: Behaviour,
    encoder: Encoder,
    options: TrainingOptions,
    *,
    prompts: tuple[str, str],
    source: Sequence[str] = (),
) -> TrainingData:
    """Pairs, texts and the vectors that the tuned encoder is to stay near; raises TrainingFailed for too few
    events. `prompts`: of queries and of documents, as the encoder puts them before each text; `source`:
    passages that are not to be told from the items'."""
    rng = np.random.default_rng(options.seed)
    events, split, items = behaviour.events, behaviour.split, len(behaviour.keys)
    queries = tuple(dict.fromkeys(behaviour.clicks.queries))
    neighbours = None
    if options.loss == "distillation":
        neighbours = _neighbours(events.part(split.train), items)
    train, valid = _pairs(behaviour, queries, neighbours, options, rng)
    valid = _drawn(valid, MAX_VALID, rng)
    if len(train) < LEAST_TRAIN or len(valid) < LEAST_VALID:
        raise TrainingFailed(
            f"{len(events)} interactions make {len(train)} pairs to learn from and {len(valid)} to stop by; "
            f"at least {LEAST_TRAIN} and {LEAST_VALID} are needed. Nothing was changed."
        )
    vectors = _vectors(encoder, behaviour.texts, queries)
    learned = events.part(split.train)
    known = known_pairs(learned, size=items + len(queries), also=[train])
    train = _chosen(train, vectors, options, rng)
    if options.hard_negatives:
        train = train.with_negatives(hard_negatives(train, vectors, known, items=items, rng=rng))
    query_prompt, document_prompt = prompts
    return TrainingData(
        texts=[
            *(document_prompt + text for text in behaviour.texts),
            *(query_prompt + query for query in queries),
            *(document_prompt + text for text in source),
        ],
        items=items,
        train=train,
        valid=valid,
        known=known,
        neighbours=neighbours,
        frozen=vectors if options.anchor else None,
        source=np.arange(items + len(queries), items + len(queries) + len(source), dtype=np.int32),
        titles=np.array([len(document_prompt) + len(title) for title in behaviour.titles], np.int32),
        facts={
            "interactions": len(events),
            "first": behaviour.since.isoformat() if behaviour.since else "",
            "last": behaviour.until.isoformat() if behaviour.until else "",
            "held back from learning since": _moment(behaviour, judged_from(behaviour)),
            "items with interactions": items,
            "searches that led to an item": len(behaviour.clicks.items),
            **({"texts of the source": len(source)} if source else {}),
        },
    )


def _neighbours(events: Events, items: int) -> Neighbours:
    return fit_neighbours(taken(events.users, events.items, catalogue=items))[0]


def _pairs(
    behaviour: Behaviour,
    queries: Sequence[str],
    neighbours: Neighbours | None,
    options: TrainingOptions,
    rng: np.random.Generator,
) -> tuple[Pairs, Pairs]:
    """To learn from and to stop by."""
    events, split = behaviour.events, behaviour.split
    history = 1 if neighbours is not None else options.history
    if options.loss == "mse":
        return (
            _rated(behaviour, split.train, history=history),
            _rated(behaviour, split.valid, history=history),
        )
    train, valid = (
        joined(
            [
                history_pairs(
                    events.part(slice(0, window.stop)), window, history=history, most=most, rng=rng
                ),
                _clicked(behaviour, queries, window, history=history),
            ]
        )
        for window, most in (
            (split.train, 4 * max(options.most_pairs, LEAST_TRAIN)),
            (split.valid, MAX_VALID),
        )
    )
    if neighbours is not None:
        train = neighbour_pairs(neighbours, per_item=NEIGHBOURS_DISTILLED, history=history)
    return train, valid


def _clicked(behaviour: Behaviour, queries: Sequence[str], window: slice, *, history: int) -> Pairs:
    """From the words of a search to what was taken of its results, within the time of the window."""
    begin, end = _span(behaviour, window)
    clicks = behaviour.clicks
    number = {query: len(behaviour.keys) + place for place, query in enumerate(queries)}
    chosen = np.flatnonzero((clicks.times >= begin) & (clicks.times < end))
    return make_pairs(
        [[number[clicks.queries[place]]] for place in chosen.tolist()],
        clicks.items[chosen].tolist(),
        history=history,
    )


def _rated(behaviour: Behaviour, window: slice, *, history: int) -> Pairs:
    """From what a user liked before, the better half of the scale, to what he rated next, with the rating,
    within the time of the window."""
    begin, end = _span(behaviour, window)
    ratings = behaviour.ratings
    liked: dict[int, list[int]] = {}
    left, right, value = [], [], []
    for place in range(int(np.searchsorted(ratings.times, end))):
        user, item = int(ratings.users[place]), int(ratings.items[place])
        if ratings.times[place] >= begin and liked.get(user):
            left.append(liked[user][-history:])
            right.append(item)
            value.append(float(ratings.values[place]))
        if ratings.values[place] >= 0.5:
            liked.setdefault(user, []).append(item)
    return make_pairs(left, right, history=history, value=value)


def _span(behaviour: Behaviour, window: slice) -> tuple[float, float]:
    """When the window of the events begins and when it is over: what is no event keeps to the same times, or
    the judgement on the last window would be on what was learned from."""
    times = behaviour.events.times

    def edge(place: int) -> float:
        return -np.inf if not place else float(times[place]) if place < len(times) else np.inf

    return edge(window.start), edge(window.stop)


def _moment(behaviour: Behaviour, at: float) -> str:
    """In words of ISO 8601; empty for one that is not in time."""
    if behaviour.until is None or not np.isfinite(at):
        return ""
    return datetime.fromtimestamp(at, tz=behaviour.until.tzinfo).isoformat()


def _vectors(encoder: Encoder, texts: Sequence[str], queries: Sequence[str]) -> Matrix:
    return np.concatenate([encoder.encode_document(list(texts)), encoder.encode_query(list(queries))])


def _chosen(pairs: Pairs, vectors: Matrix, options: TrainingOptions, rng: np.random.Generator) -> Pairs:
    """At most as many pairs as the options say."""
    if len(pairs) <= options.most_pairs or not options.coreset:
        return _drawn(pairs, options.most_pairs, rng)
    sides = np.concatenate([vectors[pairs.left[:, -1]], vectors[pairs.right]], axis=1)
    return pairs.part(k_centre(sides, options.most_pairs, rng=rng))


def _drawn(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    if len(pairs) <= most:
        return pairs
    return pairs.part(np.sort(rng.choice(len(pairs), size=most, replace=False)))
