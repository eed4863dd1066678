"""Reads a score as a probability: r = sigmoid(scale * score + bias), calibrated on events held back.

A learned score is one inner product <v_u, v_c>: of (taste, what counts of each past item, 1) with
(text, what each past item leads to, popularity). Its pointwise reading says how likely a user takes this
item and not one drawn at random, where both were as likely before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.evaluation.protocol import Case
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix

LEAST_PAIRS = 100
PRIOR_WEIGHT = 1e-3
"""Of a pull towards scale 0, so that scores which tell everything do not ask for an endless scale."""
ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """The calibrated form."""

    scale: float
    """Never negative: a better score is no less likely."""
    bias: float

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, 0..1."""
        return _sigmoid(self.scale * np.asarray(scores, dtype=np.float64) + self.bias)


def fit_pointwise(taken: ArrayLike, others: ArrayLike) -> Pointwise | None:
    """From scores of items that were taken and of as many drawn at random (Platt 1999, by Newton's method);
    None where there are too few."""
    positive, negative = np.asarray(taken, np.float64), np.asarray(others, np.float64)
    if min(len(positive), len(negative)) < LEAST_PAIRS:
        return None
    scores = np.concatenate([positive, negative])
    if not np.isfinite(scores).all():
        raise InvalidVector("A score is not finite; train again.")
    labels = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    centre, spread = scores.mean(), float(scores.std()) or 1.0
    inputs = np.column_stack([(scores - centre) / spread, np.ones(len(scores))])
    pull = np.diag([PRIOR_WEIGHT * len(scores), 0.0])
    weights = np.zeros(2)
    for _ in range(ROUNDS):
        likely = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (likely - labels) + pull @ weights
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + pull
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] < 0:
        return Pointwise(scale=0.0, bias=0.0)
    scale = float(weights[0] / spread)
    return Pointwise(scale=scale, bias=float(weights[1]) - scale * float(centre))


def pairs(
    scores: Matrix, cases: Sequence[Case], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The score of each case's target, and of one item drawn at random that its user has not taken.

    `scores`: shape (cases, items). Left out: users of whom nothing is known, and who have taken all.
    """
    taken: list[float] = []
    others: list[float] = []
    items = scores.shape[1]
    for row, case in enumerate(cases):
        known = {*case.history, case.target}
        if case.history and len(known) < items:
            taken.append(float(scores[row, case.target]))
            while (other := int(rng.integers(items))) in known:
                pass
            others.append(float(scores[row, other]))
    return np.array(taken, np.float32), np.array(others, np.float32)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    likely: NDArray[np.float64] = 0.5 * (1 + np.tanh(values / 2))
    return likely
