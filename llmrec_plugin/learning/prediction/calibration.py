"""Reads a learned score as a probability: r = sigmoid(<v_u, v_c> + bias), calibrated on events held back.

v_u holds the taste, what counts of each past item, and 1; v_c holds the text, what each past item leads to,
and the popularity. A score is their inner product; a probability scales its three parts anew, for what puts
ten items on top is not what tells any item from any other. It says how likely a user takes this item and not
one drawn at random, where both were as likely before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.evaluation.protocol import Case
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix

MIN_PAIRS = 100
PRIOR_WEIGHT = 1e-3
"""Of a pull towards 0, so that points which tell everything do not ask for endless scales."""
ROUNDS = 25
"""Of Newton's method, which the pull keeps from running away."""
PARTS = 3


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """Holds the calibrated form: log-odds per point of each source, never negative: more is no less
    likely."""

    taste: float
    neighbours: float
    popularity: float
    bias: float

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return probabilities, 0..1, of items whose points are the rows, shape (n, 3): taste, neighbours,
        popularity."""
        scales = np.array([self.taste, self.neighbours, self.popularity])
        return _sigmoid(np.asarray(points, dtype=np.float64) @ scales + self.bias)


def fit_pointwise(taken: ArrayLike, others: ArrayLike) -> Pointwise | None:
    """Learn it from the points, shape (n, 3), of items that were taken and of as many drawn at random;
    logistic regression (Platt 1999). None where there are too few."""
    positive, negative = (np.asarray(rows, np.float64).reshape(-1, PARTS) for rows in (taken, others))
    if min(len(positive), len(negative)) < MIN_PAIRS:
        return None
    points = np.concatenate([positive, negative])
    if not np.isfinite(points).all():
        raise InvalidVector("The points of an item are not finite; train again.")
    labels = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    centre, spread = points.mean(axis=0), points.std(axis=0)
    used = spread > 0
    while True:
        inputs = (points[:, used] - centre[used]) / spread[used]
        weights = _logistic(np.column_stack([inputs, np.ones(len(inputs))]), labels)
        scales = np.zeros(PARTS)
        scales[used] = weights[:-1] / spread[used]
        if (scales >= 0).all():
            bias = float(weights[-1] - scales @ centre)
            taste, neighbours, popularity = scales.tolist()
            return Pointwise(taste=taste, neighbours=neighbours, popularity=popularity, bias=bias)
        used &= scales >= 0


def _logistic(inputs: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights by Newton's method; the last column is the constant."""
    pull = PRIOR_WEIGHT * len(inputs) * np.diag([*[1.0] * (inputs.shape[1] - 1), 0.0])
    weights = np.zeros(inputs.shape[1])
    for _ in range(ROUNDS):
        likely = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (likely - labels) + pull @ weights
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + pull
        weights -= np.linalg.solve(curvature, gradient)
    return weights


def pairs(
    parts: Sequence[Matrix], cases: Sequence[Case], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the points, shape (n, 3), of each case's target, and of one item drawn at random that its user
    has not taken.

    `parts`: of each source, shape (cases, items). Left out: users of whom nothing is known, and who have
    taken all.
    """
    rows: list[int] = []
    taken: list[int] = []
    others: list[int] = []
    items = parts[0].shape[1]
    for row, case in enumerate(cases):
        known = {*case.history, case.target}
        if case.history and len(known) < items:
            other = case.target
            while other in known:
                other = int(rng.integers(items))
            rows.append(row)
            taken.append(case.target)
            others.append(other)
    found = [
        np.stack([part[rows, columns] for part in parts], axis=1, dtype=np.float32)
        for columns in (taken, others)
    ]
    return found[0], found[1]


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    likely: NDArray[np.float64] = 0.5 * (1 + np.tanh(values / 2))
    return likely
