"""What reorders a list after it was found: each stage adds contributions and returns new items.

A stage leaves the order of the list alone unless it says otherwise; the ranker sorts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.ranking.vectors import stack
from llmrec_plugin.types import Matrix, RankedItem, Vector

Stage: TypeAlias = Callable[[Sequence[RankedItem]], list[RankedItem]]

NAMED_PARTS = 3
"""Past items that a taste contribution names per candidate."""


@dataclass(frozen=True, eq=False)
class Taste:
    """Adds how much closer to the user's taste an item is than the other candidates.

    strength * (cosine - mean) / (highest - lowest) over the candidates, so that the list as a
    whole gains nothing and best and worst lie `strength` apart. The largest parts are named
    `taste:<past item>`, the rest is `taste`. An item without a vector counts as average.
    """

    profile: Profile
    vectors: Mapping[str, Vector]
    strength: float

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        result = list(items)
        positions, matrix = stack([item.key for item in items], self.vectors)
        if self.strength == 0 or not positions:
            return result
        if matrix.shape[1] != self.profile.parts.shape[1]:
            raise InvalidVector(
                f"The profile has {self.profile.parts.shape[1]} dimensions, "
                f"the items have {matrix.shape[1]}: two encoders."
            )
        for position, contributions in zip(positions, self._contributions(matrix), strict=True):
            result[position] = add(result[position], contributions)
        return result

    def _contributions(self, matrix: Matrix) -> Iterator[dict[str, float]]:
        shares = self.profile.attribute(matrix)
        cosines = shares.sum(axis=1)
        span = float(cosines.max() - cosines.min())
        factor = self.strength / span if span > 0 else 0.0
        shares = (shares - shares.mean(axis=0)) * factor
        totals = shares.sum(axis=1).tolist()
        named = np.argsort(-shares, axis=1, kind="stable")[:, :NAMED_PARTS]
        amounts = np.take_along_axis(shares, named, axis=1).tolist()
        keys = self.profile.keys
        for total, columns, values in zip(totals, named.tolist(), amounts, strict=True):
            contributions = {
                f"taste:{keys[column]}": value
                for column, value in zip(columns, values, strict=True)
                if keys[column]
            }
            contributions["taste"] = total - sum(contributions.values())
            yield contributions


@dataclass(frozen=True, eq=False)
class Also:
    """Adds what people who took the user's items took as well, one `also:<past item>` per cause.

    Scaled so that the best candidate gets `weight`; a pair that nobody took together counts 0.
    """

    also: Mapping[str, Mapping[str, float]]
    """candidate -> past item -> how strongly the one leads to the other."""
    weight: float

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        totals = [sum(self.also.get(item.key, {}).values()) for item in items]
        span = max([0.0, *totals]) - min([0.0, *totals])
        if not np.isfinite(span):
            raise InvalidVector("A neighbour's weight is not finite; fit the neighbours again.")
        if self.weight == 0 or span <= 0:
            return list(items)
        factor = self.weight / span
        return [
            add(item, {f"also:{key}": value * factor for key, value in self.also.get(item.key, {}).items()})
            for item in items
        ]


@dataclass(frozen=True, eq=False)
class Prior:
    """Adds `weight` times a value known of items beforehand, such as how popular they are.

    An item without a value gets the mean of the other candidates: being new is no fault.
    """

    values: Mapping[str, float]
    weight: float
    name: str = "popularity"

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        known = [self.values[item.key] for item in items if item.key in self.values]
        if self.weight == 0 or not known:
            return list(items)
        mean = sum(known) / len(known)
        if not np.isfinite(mean):
            raise InvalidVector(f"A {self.name} value is not finite.")
        return [add(item, {self.name: self.weight * self.values.get(item.key, mean)}) for item in items]


@dataclass(frozen=True, eq=False)
class Diversity:
    """Holds an item back for resembling those above it (greedy maximal marginal relevance).

    The first `limit` places are filled one by one with the item whose score, less `strength` times
    its largest cosine to an item already placed, is highest; the others are held back for
    resembling those. A negative cosine counts 0, hence scores never rise along the list, and
    sorting by score gives this very order. Returns the best first.
    """

    vectors: Mapping[str, Vector]
    strength: float
    limit: int

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        if self.strength == 0 or not items:
            return list(items)
        by_key = sorted(items, key=lambda item: item.key)  # argmax takes the first of equals
        scores = np.array([item.score for item in by_key])
        positions, rows = stack([item.key for item in by_key], self.vectors)
        matrix = np.zeros((len(by_key), rows.shape[1]), dtype=np.float32)
        matrix[positions] = rows  # without a vector: like nothing
        likeness = np.zeros(len(by_key))
        waiting = np.ones(len(by_key), dtype=bool)
        for _ in range(min(self.limit, len(by_key))):
            best = np.argmax(np.where(waiting, scores - self.strength * likeness, -np.inf))
            waiting[best] = False
            np.maximum(likeness, matrix @ matrix[best], out=likeness, where=waiting)
        penalties = (-self.strength * likeness).tolist()
        return best_first(
            add(item, {"diversity": penalty}) if penalty else item
            for item, penalty in zip(by_key, penalties, strict=True)
        )
