"""Tells what a user took from an item drawn at random that they did not: yes or no, for implicit events.

Drawn evenly it is mostly a question of popularity, drawn by popularity one of taste. A report needs both, and
beside them what popularity alone achieves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.evaluation.pointwise import measures
from llmrec_plugin.evaluation.protocol import BATCH, Case
from llmrec_plugin.learning.prediction.logistic import fit_logistic
from llmrec_plugin.learning.scorers.catalogue_scores import Histories
from llmrec_plugin.learning.selection.model_config import recent
from llmrec_plugin.types import Matrix

Scores = Callable[[Histories], Matrix]
Features = NDArray[np.float64]

POPULARITY = ("popularity", "recent popularity")
"""Methods that the popularity-only line is made of."""
TRIES = 50
"""Draws for a case before its target's neighbour in the catalogue has to do."""


def draw_negatives(
    cases: Sequence[Case], weights: ArrayLike, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return for each case an item that its user neither has nor takes now, drawn by `weights` of the
    items."""
    chances = np.asarray(weights, dtype=np.float64)
    steps = np.cumsum(chances) / chances.sum()
    drawn = np.empty(len(cases), np.int64)
    for number, case in enumerate(cases):
        taken = {*case.history, case.target}
        found = np.searchsorted(steps, rng.random(TRIES), side="right")
        other = (case.target + 1) % len(chances)
        drawn[number] = next((item for item in found.tolist() if item not in taken), other)
    return drawn


def pair_features(methods: Mapping[str, Scores], cases: Sequence[Case], items: NDArray[np.int64]) -> Features:
    """Return what each method says of one item for each case: how it compares with the catalogue, in standard
    deviations, and the logarithm of its rank. Shape (cases, 2 * methods)."""
    columns = [np.concatenate([*_said(score, cases, items)]) for score in methods.values()]
    return np.concatenate(columns, axis=1)


def _said(score: Scores, cases: Sequence[Case], items: NDArray[np.int64]) -> Iterator[Features]:
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        scores = score(recent(batch)).astype(np.float64)
        own = scores[np.arange(len(batch)), items[start : start + BATCH]][:, None]
        spread = scores.std(axis=1)
        above = (own[:, 0] - scores.mean(axis=1)) / np.where(spread > 0, spread, 1.0)
        better = (scores > own).sum(axis=1) + (scores == own).sum(axis=1) / 2
        yield np.column_stack([above, np.log(better)])


def sampled_measures(
    before: Mapping[str, Scores],
    choosing: Sequence[Case],
    after: Mapping[str, Scores],
    cases: Sequence[Case],
    weights: ArrayLike,
    *,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Measure accuracy and its kin of "popularity" and of "fused", all methods in one probability.

    Weighed on the cases `choosing` with the methods as they were before these, measured on `cases` with the
    methods as they are then; one drawn item stands against each case.
    """
    learned = _pairs(before, choosing, weights, rng)
    asked = _pairs(after, cases, weights, rng)
    names = list(before)
    found = {}
    for name, wanted in (("popularity", [n for n in names if n in POPULARITY]), ("fused", names)):
        columns = [2 * names.index(n) + part for n in wanted for part in (0, 1)]
        fusion = fit_logistic(learned[0][:, columns], learned[1])
        found[name] = measures(asked[1], fusion.probabilities(asked[0][:, columns]))
    return found


def _pairs(
    methods: Mapping[str, Scores], cases: Sequence[Case], weights: ArrayLike, rng: np.random.Generator
) -> tuple[Features, NDArray[np.bool_]]:
    targets = np.array([case.target for case in cases], np.int64)
    drawn = draw_negatives(cases, weights, rng=rng)
    features = [pair_features(methods, cases, items) for items in (targets, drawn)]
    return np.concatenate(features), np.arange(2 * len(cases)) < len(cases)
