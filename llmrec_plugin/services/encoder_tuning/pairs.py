"""Makes the pairs of texts that an encoder learns from and stops by; each loss has its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from llmrec_plugin.learning.mining.text_pairs import (
    Pairs,
    history_pairs,
    joined,
    make_pairs,
    neighbour_pairs,
)
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import Neighbours, taken
from llmrec_plugin.services.encoder_tuning.behaviour import Behaviour, span_of
from llmrec_plugin.training.base import Loss, TrainingOptions

MIN_TRAIN, MIN_VALID = 50, 20
"""Pairs without which nothing is tuned."""
MAX_VALID = 1_000
"""They are measured again and again."""
NEIGHBOURS_DISTILLED = 10
"""Of each item; the strongest ones hold most of the weight."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PairSets:
    """Holds the pairs to learn from and to stop by."""

    train: Pairs
    valid: Pairs
    neighbours: Neighbours | None = None
    """What people take together, for a loss that distils it."""


PairBuilder: TypeAlias = Callable[[Behaviour, Sequence[str], TrainingOptions, np.random.Generator], PairSets]


def following_pairs(
    behaviour: Behaviour, queries: Sequence[str], options: TrainingOptions, rng: np.random.Generator
) -> PairSets:
    """Return pairs from what was taken, or from the words of a search, to what was taken next."""
    train, valid = (
        joined(
            [
                history_pairs(
                    behaviour.events.part(slice(0, window.stop)),
                    window,
                    history=options.history,
                    most=most,
                    rng=rng,
                ),
                _clicked(behaviour, queries, window, history=options.history),
            ]
        )
        for window, most in (
            (behaviour.split.train, 4 * max(options.most_pairs, MIN_TRAIN)),
            (behaviour.split.valid, MAX_VALID),
        )
    )
    return PairSets(train=train, valid=valid)


def distilled_pairs(
    behaviour: Behaviour, queries: Sequence[str], options: TrainingOptions, rng: np.random.Generator
) -> PairSets:
    """Return pairs of neighbours to learn from, one item each; it is stopped by what was taken next."""
    events = behaviour.events.part(behaviour.split.train)
    neighbours, _ = fit_neighbours(taken(events.users, events.items, catalogue=len(behaviour.keys)))
    following = following_pairs(behaviour, queries, replace(options, history=1), rng)
    train = neighbour_pairs(neighbours, per_item=NEIGHBOURS_DISTILLED, history=1)
    return PairSets(train=train, valid=following.valid, neighbours=neighbours)


def rated_pairs(
    behaviour: Behaviour, queries: Sequence[str], options: TrainingOptions, rng: np.random.Generator
) -> PairSets:
    """Return pairs from what a user liked to what they rated next, with the rating."""
    train, valid = (
        _rated(behaviour, window, history=options.history)
        for window in (behaviour.split.train, behaviour.split.valid)
    )
    return PairSets(train=train, valid=valid)


BUILDERS: Mapping[Loss, PairBuilder] = {
    "distillation": distilled_pairs,
    "ranking": following_pairs,
    "bce": following_pairs,
    "mse": rated_pairs,
}


def _clicked(behaviour: Behaviour, queries: Sequence[str], window: slice, *, history: int) -> Pairs:
    """Return pairs from the words of a search to what was taken of its results within the window."""
    begin, end = span_of(behaviour, window)
    clicks = behaviour.clicks
    number = {query: len(behaviour.keys) + place for place, query in enumerate(queries)}
    chosen = np.flatnonzero((clicks.times >= begin) & (clicks.times < end))
    return make_pairs(
        [[number[clicks.queries[place]]] for place in chosen.tolist()],
        clicks.items[chosen].tolist(),
        history=history,
    )


def _rated(behaviour: Behaviour, window: slice, *, history: int) -> Pairs:
    """Return pairs from what a user liked before, the better half of the scale, to what they rated next
    within the window, with the rating."""
    begin, end = span_of(behaviour, window)
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
