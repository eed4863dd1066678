"""Chooses how much words, meaning and taste count in search, from what each gives to each candidate.

The legs are run once per query; every setting is then a weighted sum of the same columns. One half of the
queries chooses, the other has to confirm it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.significance import paired_bootstrap
from llmrec_plugin.learning.selection.folds import Values

TEXT_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
CONFIDENCE = 0.95
"""Of the interval whose lower bound must lie above zero."""
CUT = 10
EQUAL = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """Holds one way to weigh."""

    text_weight: float
    strength: float = 0.0
    """Of taste."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Holds what a query found, by item in the order of the keys, and what each source gives to it."""

    keys: Sequence[str]
    """Sorted, so that of equal scores the first key comes first, as everywhere."""
    text: Values
    """At full weight; NaN: words did not find it."""
    vector: Values
    """Likewise by meaning."""
    other: Values
    """What no setting changes, such as freshness."""

    @cached_property
    def places(self) -> Mapping[str, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def scores(self, settings: Sequence[Setting], taste: Values | None = None) -> Values:
        """Return scores, shape (settings, items); -inf: this setting does not find the item.

        As served: where one leg alone found something it counts in full, and a leg without weight is not
        asked at all. `taste`: per item, at strength 1.
        """
        by_text, by_vector = ~np.isnan(self.text), ~np.isnan(self.vector)
        both = bool(by_text.any() and by_vector.any())
        text, vector = np.nan_to_num(self.text), np.nan_to_num(self.vector)
        rows = np.empty((len(settings), len(self.keys)))
        for row, setting in enumerate(settings):
            weight = setting.text_weight
            shares = (weight, 1.0 - weight) if both else (1.0, 1.0)
            rows[row] = shares[0] * text + shares[1] * vector + self.other
            if taste is not None:
                rows[row] += setting.strength * taste
            if weight == 1.0:
                rows[row, ~by_text] = -np.inf
            elif weight == 0.0:
                rows[row, ~by_vector] = -np.inf
        return rows


def graded_values(scores: Values, candidates: Candidates, grades: Mapping[str, int]) -> Values:
    """Return NDCG@10 of each setting, 0 where it finds nothing; `grades` has a relevant item."""
    gains = np.zeros(len(candidates.keys))
    for key, grade in grades.items():
        if key in candidates.places:
            gains[candidates.places[key]] = 2.0**grade - 1
    ideal = sorted((2.0**grade - 1 for grade in grades.values()), reverse=True)[:CUT]
    discounts = 1 / np.log2(np.arange(2, CUT + 2))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :CUT]
    found = np.take_along_axis(scores, best, axis=1) > -np.inf
    dcg: Values = (np.where(found, gains[best], 0.0) * discounts[: best.shape[1]]).sum(axis=1)
    return dcg / math.fsum(gain * discount for gain, discount in zip(ideal, discounts, strict=False))


def click_values(scores: Values, places: Sequence[int]) -> Values:
    """Return 1 / log2(rank + 1) of each clicked item under each setting: shape (settings, clicks)."""
    columns = np.arange(scores.shape[1])
    found = np.empty((len(scores), len(places)))
    for number, place in enumerate(places):
        own = scores[:, place][:, None]
        ahead = (scores > own) | ((scores == own) & (columns < place))
        found[:, number] = np.where(own[:, 0] > -np.inf, 1 / np.log2(ahead.sum(axis=1) + 2), 0.0)
    return found


def first_half(names: Iterable[str]) -> NDArray[np.bool_]:
    """Return whether each is among those that choose: always the same for a name, upper and lower case
    alike."""
    return np.array(
        [
            hashlib.sha256(name.casefold().encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0
            for name in names
        ],
        dtype=np.bool_,
    )


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Holds what was chosen by one half, and how it did on the other."""

    setting: int
    """Which of the settings is to be taken: the current one unless another one is proven."""
    tried: int
    """Which one was chosen."""
    before: float
    after: float
    gain: float
    low: float
    """Lower bound of the gain."""
    cases: int
    """That confirmed or did not; the choice was made by about as many others."""

    @property
    def proven(self) -> bool:
        return self.low > 0


def prove(
    values: Values,
    *,
    current: int,
    chooses: NDArray[np.bool_],
    groups: Sequence[Hashable],
    rng: np.random.Generator,
    under: Sequence[Values] = (),
) -> Proof:
    """Choose by the cases of the one half, and keep it only if it is better on those of the other.

    `values`: shape (settings, cases), the higher the better; `groups`: of each case what is drawn as a whole.
    `under`: the same values by other assumptions, by each of which the gain must hold as well. Of equally
    good settings the one next to the current is chosen. Both halves need cases.
    """
    means = values[:, chooses].mean(axis=1)
    best = min(np.flatnonzero(means >= means.max() - EQUAL).tolist(), key=lambda row: abs(row - current))
    held = ~chooses
    drawn = [name for name, kept in zip(groups, held.tolist(), strict=True) if kept]
    gains = [
        paired_bootstrap(
            found[best, held], found[current, held], rng=rng, groups=drawn, confidence=CONFIDENCE
        )
        for found in (values, *under)
    ]
    low = min(gain.low for gain in gains)
    return Proof(
        setting=best if low > 0 else current,
        tried=best,
        before=float(values[current, held].mean()),
        after=float(values[best, held].mean()),
        gain=gains[0].difference,
        low=low,
        cases=gains[0].cases,
    )
