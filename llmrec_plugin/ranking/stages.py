"""What reorders a list after it was found: each stage adds contributions and returns new items.

A stage leaves the order of the list alone unless it says otherwise; the ranker sorts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.ranking.vectors import stack
from llmrec_plugin.types import ContributionCode, Matrix, RankedItem, Vector

Stage: TypeAlias = Callable[[Sequence[RankedItem]], list[RankedItem]]

NAMED_PARTS = 3
"""Past items that taste names per candidate in a visitor's list; the others together are `taste`."""

CAP_STEP = 1e-6
"""Between the scores of items held back, so that they keep their order."""

MIN_SPAN = 1e-5
"""Cosines of half-precision vectors that differ by less are equal; stretching them would rank by noise."""


class AdditiveStage(ABC):
    """A stage whose contributions follow from the candidates alone, whatever their scores are."""

    @abstractmethod
    def contributions(self, keys: Sequence[str]) -> list[dict[str, float]]:
        """Return for each candidate what it gets, by name; empty where the stage has nothing to say."""

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        contributions = self.contributions([item.key for item in items])
        return [add(item, given) for item, given in zip(items, contributions, strict=True)]


@dataclass(frozen=True, eq=False)
class Taste(AdditiveStage):
    """Adds how much closer to the user's taste an item is than the other candidates.

    strength * (cosine - mean) / (highest - lowest) over the candidates, so that the list as a
    whole gains nothing and best and worst lie `strength` apart; with a `span` given, this much cosine
    lies `strength` apart, whatever the candidates. The largest parts are named `taste:<past item>`, the
    rest is `taste`. An item without a vector counts as average.
    """

    profile: Profile
    vectors: Mapping[str, Vector]
    strength: float
    span: float | None = None
    named: int | None = NAMED_PARTS
    """Past items that are named per candidate; None: all."""

    def contributions(self, keys: Sequence[str]) -> list[dict[str, float]]:
        result: list[dict[str, float]] = [{} for _ in keys]
        positions, matrix = stack(keys, self.vectors)
        if self.strength == 0 or not positions:
            return result
        shares = self.profile.attribute(matrix)
        cosines = shares.sum(axis=1)
        span = float(np.ptp(cosines)) if self.span is None else self.span
        if span > MIN_SPAN:
            for position, parts in zip(positions, self._named(shares, self.strength / span), strict=True):
                result[position] = parts
        return result

    def _named(self, shares: Matrix, factor: float) -> list[dict[str, float]]:
        scaled = (shares - shares.mean(axis=0, dtype=np.float64)) * factor
        names = np.array([str(ContributionCode("taste", key)) for key in self.profile.keys], dtype=object)
        if self.named is None or len(names) <= self.named:
            return [dict(zip(names, values, strict=True)) for values in scaled.tolist()]
        largest = np.argpartition(scaled, -self.named, axis=1)[:, -self.named :]
        amounts = np.take_along_axis(scaled, largest, axis=1)
        rest = scaled.sum(axis=1) - amounts.sum(axis=1)
        columns = np.column_stack([names[largest], np.full(len(rest), "taste", dtype=object)])
        values = np.column_stack([amounts, rest])
        return [dict(zip(*row, strict=True)) for row in zip(columns.tolist(), values.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class Neighbours(AdditiveStage):
    """Adds what people who took the user's items took as well, one `neighbours:<past item>` per cause; of
    what goes with a past item though nobody took both, `text_neighbours:<past item>`.

    Best and worst candidate lie `weight` apart, where a pair that nobody took together counts 0; with a
    `span` given, this much strength counts `weight`, whatever the candidates.
    """

    neighbours: Mapping[str, Mapping[str, float]]
    """candidate -> past item -> how strongly the one leads to the other; negative: away from it."""
    weight: float
    span: float | None = None
    text_neighbours: Mapping[str, Collection[str]] = field(default_factory=dict)
    """past item -> candidates that nobody took together with it"""

    def contributions(self, keys: Sequence[str]) -> list[dict[str, float]]:
        causes = [self.neighbours.get(key, {}) for key in keys]
        totals = [0.0, *(sum(cause.values()) for cause in causes)]
        span = max(totals) - min(totals) if self.span is None else self.span
        if not math.isfinite(sum(totals)):
            raise InvalidVector("A neighbour's weight is not finite; fit the neighbours again.")
        factor = self.weight / span if span > 0 else 0.0
        if factor == 0:
            return [{} for _ in keys]
        pasts = {past for cause in causes for past in cause}
        together = {past: str(ContributionCode("neighbours", past)) for past in pasts}
        apart = {past: str(ContributionCode("text_neighbours", past)) for past in pasts}
        return [
            {
                (apart if key in self.text_neighbours.get(past, ()) else together)[past]: value * factor
                for past, value in cause.items()
            }
            for key, cause in zip(keys, causes, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Prior(AdditiveStage):
    """Adds `weight` times a value known of items beforehand, such as how popular they are.

    An item without a value gets `average`, by default the mean of the other candidates: being new is no
    fault.
    """

    values: Mapping[str, float]
    weight: float
    name: str = "popularity"
    average: float | None = None

    def contributions(self, keys: Sequence[str]) -> list[dict[str, float]]:
        known = [self.values[key] for key in keys if key in self.values]
        if self.weight == 0 or not known:
            return [{} for _ in keys]
        mean = sum(known) / len(known) if self.average is None else self.average
        if not math.isfinite(mean):
            raise InvalidVector(f"A {self.name} value is not finite.")
        return [{self.name: self.weight * self.values.get(key, mean)} for key in keys]


@dataclass(frozen=True, eq=False)
class Cap:
    """Lets a group, such as a brand, take `most` of the first `places`; what is too much of it comes next.

    Where too few other items are left to fill the places, it follows them there. Items without a group
    are free, one of several groups needs room in each. Returns the best first.
    """

    groups: Mapping[str, Sequence[Hashable]]
    most: int
    places: int

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        ordered = best_first(items)
        taken: Counter[Hashable] = Counter()
        placed: list[RankedItem] = []
        held: list[RankedItem] = []
        for item in ordered:
            if len(placed) == self.places:
                break
            groups = self.groups.get(item.key, ())
            if any(taken[group] >= self.most for group in groups):
                held.append(item)
            else:
                taken.update(groups)
                placed.append(item)
        if not held or not placed:
            return ordered
        last = placed[-1].score
        lowered = {
            item.key: add(item, {"cap": min(item.score, last - place * CAP_STEP) - item.score})
            for place, item in enumerate(held, 1)
        }
        return best_first(lowered.get(item.key, item) for item in ordered)


@dataclass(frozen=True, eq=False)
class Diversity:
    """Holds an item back for resembling those above it (greedy maximal marginal relevance).

    The first `limit` places are filled one by one with the item whose score, less `strength` times
    its largest cosine to an item already placed, is highest. Items that were near enough to
    compete for these places stay held back for resembling the winners. A negative cosine counts 0,
    hence scores never rise along the list, and sorting by score gives this very order. Returns the
    best first.
    """

    vectors: Mapping[str, Vector]
    strength: float
    limit: int

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        if self.strength == 0 or not items[: self.limit]:
            return list(items)
        ordered = best_first(items)
        # Nobody loses more than `strength` (and a rounding), so the last place costs at least this.
        least = ordered[: self.limit][-1].score - 1.001 * self.strength
        rivals = sorted((item for item in items if item.score >= least), key=attrgetter("key"))
        penalties = self._penalties(rivals).tolist()
        held = [
            add(item, {"diversity": -penalty}) if penalty else item
            for item, penalty in zip(rivals, penalties, strict=True)
        ]
        return best_first([*held, *ordered[len(rivals) :]])

    def _penalties(self, items: Sequence[RankedItem]) -> NDArray[np.floating]:
        """Return the penalties of items sorted by key, so that argmax gives the first of equals."""
        positions, rows = stack([item.key for item in items], self.vectors)
        matrix = np.zeros((len(items), rows.shape[1]), dtype=np.float32)
        matrix[positions] = rows  # without a vector: like nothing
        waiting = np.array([item.score for item in items], dtype=np.float64)
        likeness = np.zeros(len(items), dtype=np.float32)
        final = likeness.copy()
        for _ in range(min(self.limit, len(items))):
            best = int((waiting - self.strength * likeness).argmax())
            final[best] = likeness[best]
            waiting[best] = -np.inf
            np.maximum(likeness, matrix @ matrix[best], out=likeness)
        return self.strength * np.where(np.isinf(waiting), final, likeness)
