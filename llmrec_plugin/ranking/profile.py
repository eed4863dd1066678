"""The taste of a user as one vector that remembers which past item put which part into it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.ranking.vectors import products, stack, unit
from llmrec_plugin.types import Event, Matrix, Vector

INDIFFERENT_RATING = 3.0
RATING_REACH = 2.0
"""Ratings are read on the scale 1 to 5: 3 says nothing, 5 counts fully, 1 fully against the item."""
RATED_KINDS = ("rating",)
"""Kinds of events whose value says how the user likes the item, unless the caller knows of others."""

CANCELLED = 1e-3
"""Sums shorter than this share of what went in are rounding noise of half-precision vectors, no taste."""


@dataclass(frozen=True, eq=False)
class Profile:
    """A unit vector and its exact decomposition over the items that it comes from.

    It may be built of dismissals alone; then it points away from them and `seed` is None.
    """

    keys: tuple[str, ...]
    """Past items, those that weigh most first; a lone "" is what the user said about themselves."""
    parts: Matrix
    """Shape (n, d); row i is what item i put in, the sum of the rows has unit length."""
    disliked: frozenset[str] = frozenset()
    """Keys whose part pushes away."""

    @cached_property
    def vector(self) -> Vector:
        """Return the taste, of unit length: what candidates are compared with."""
        total: Vector = self.parts.sum(axis=0)
        return total

    @cached_property
    def seed(self) -> Vector | None:
        """Return the direction of the liked items alone, to retrieve candidates by; None if nothing was
        liked.

        `vector` is no such query: enough dismissals turn it away from everything in the catalogue.
        """
        liked = [position for position, key in enumerate(self.keys) if key not in self.disliked]
        return unit(self.parts[liked].sum(axis=0)) if liked else None

    def attribute(self, vectors: Matrix) -> Matrix:
        """Return, shape (m, n) for (m, d) unit rows, how much of each cosine each past item makes up."""
        return products(vectors, self.parts)


def build_profile(
    events: Iterable[Event],
    vectors: Mapping[str, Vector],
    *,
    now: datetime,
    half_life: timedelta | None,
    kind_weights: Mapping[str, float],
    rated_kinds: Collection[str] = RATED_KINDS,
    recency: float = 1.0,
    turn: Callable[[Matrix], Matrix] | None = None,
) -> Profile | None:
    """Return the taste that these events show; None where they show none.

    That is so without events on items that have a vector, and when likes and dislikes cancel out.
    `turn` maps the vectors of past items, unit rows, to what each adds to the taste: what a site learned
    of which items lead to which. `rated_kinds` and `recency` as in `item_weights`.
    """
    weights = item_weights(
        events,
        now=now,
        half_life=half_life,
        kind_weights=kind_weights,
        rated_kinds=rated_kinds,
        recency=recency,
    )
    keys = sorted(weights, key=lambda key: (-abs(weights[key]), key))
    positions, matrix = stack(keys, vectors)
    if not positions:
        return None
    keys = [keys[position] for position in positions]
    amounts = np.array([weights[key] for key in keys])
    if turn is not None:
        matrix = turn(matrix)
    weighted = matrix * (amounts / np.abs(amounts).sum())[:, None]
    length = float(np.linalg.norm(weighted.sum(axis=0)))
    if length < CANCELLED:
        return None
    return Profile(
        keys=tuple(keys),
        parts=(weighted / length).astype(np.float32),
        disliked=frozenset(key for key in keys if weights[key] < 0),
    )


def declared_profile(vector: Vector) -> Profile:
    """Return the profile of a user known only by what they say about themselves, encoded as one vector."""
    return Profile(keys=("",), parts=unit(vector)[None, :])


def item_weights(
    events: Iterable[Event],
    *,
    now: datetime,
    half_life: timedelta | None,
    kind_weights: Mapping[str, float],
    rated_kinds: Collection[str] = RATED_KINDS,
    recency: float = 1.0,
) -> dict[str, float]:
    """Return how much each past item counts, negative where the user does not want it; zeros are left out.

    An event counts its kind's weight, halved once per half-life that has passed (None: time does not
    matter); one dated in the future counts as if it were now. A kind without a weight does not count; of
    `rated_kinds` an event counts as its value says: see `liking`. With
    `recency` below 1 an event counts that much of what the next younger one in favour of an item does, too,
    whatever the time between them. The order of the events does not matter.
    """
    if half_life is not None and half_life <= timedelta(0):
        raise ConfigurationError(f"The half-life of an event must be positive, not {half_life}.")
    amounts: dict[str, list[float]] = defaultdict(list)
    youngest_first = sorted(events, key=lambda event: (event.at, event.key, event.kind), reverse=True)
    place = 0
    for event in youngest_first:
        age = 0.0 if half_life is None else max(now - event.at, timedelta(0)) / half_life
        liked = liking(event.value) if event.kind in rated_kinds else 1.0
        amount = kind_weights.get(event.kind, 0.0) * liked * 0.5**age
        amounts[event.key].append(amount * recency**place)
        place += amount > 0
    totals = {key: math.fsum(values) for key, values in amounts.items()}
    return {key: total for key, total in totals.items() if total}


def liking(value: float | None) -> float:
    """Return how far a rating lies above (to 1) or below (to -1) indifference; 1 where it names no value."""
    if value is None:
        return 1.0
    return min(1.0, max(-1.0, (value - INDIFFERENT_RATING) / RATING_REACH))
