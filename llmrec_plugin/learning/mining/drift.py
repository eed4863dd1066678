"""Says how far two samples of vectors differ: whether a simple classifier can tell which of them one is from.

The classifier two-sample test of Lopez-Paz and Oquab (2017): an area under the curve of .5 means that
nobody could tell, 1 that they have nothing in common. Logistic regression on the principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.pointwise import area_under_curve
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix

COMPONENTS = 32
FOLDS = 5
LEAST = 50
"""Vectors on either side below which nothing is said: the luck of the sample alone is .04 and more."""
MOST = 2_000
"""Vectors of either side that are looked at; more tell no more."""
RIDGE = 1.0
STEPS = 8

Values = NDArray[np.float64]


def separability(before: Matrix, now: Matrix, *, rng: np.random.Generator) -> float:
    """Return the cross-validated area under the curve of telling `now` from `before`, shapes (n, d) and (m,
    d).

    .5 to 1, below .5 by luck only; NaN where one side has fewer than LEAST rows. Raises InvalidVector for
    values that are not finite.
    """
    if min(len(before), len(now)) < LEAST:
        return float("nan")
    rows = np.concatenate([_drawn(before, rng), _drawn(now, rng)]).astype(np.float64)
    if not np.isfinite(rows).all():
        raise InvalidVector("Vectors to be compared over time must be finite; check the encoder.")
    labels = np.zeros(len(rows), np.bool_)
    labels[min(len(before), MOST) :] = True
    features = _components(rows)
    fold = np.empty(len(rows), np.int64)
    for side in (labels, ~labels):  # each fold holds its share of both
        fold[side] = rng.permutation(side.sum()) % FOLDS
    areas = []
    for number in range(FOLDS):
        held = fold == number
        weights = _logistic(features[~held], labels[~held])
        areas.append(area_under_curve(labels[held], features[held] @ weights))
    return float(np.mean(areas))


def _drawn(rows: Matrix, rng: np.random.Generator) -> Matrix:
    if len(rows) <= MOST:
        return rows
    drawn: Matrix = rows[np.sort(rng.choice(len(rows), MOST, replace=False))]
    return drawn


def _components(rows: Values) -> Values:
    """Return the first principal components, each with variance 1, and a constant."""
    centred = rows - rows.mean(axis=0)
    spread, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    largest = np.argsort(spread)[::-1][:COMPONENTS]
    kept = largest[spread[largest] > 1e-9 * max(float(spread.max()), 1e-12)]
    scaled = (centred @ axes[:, kept]) / np.sqrt(spread[kept])
    return np.column_stack([scaled, np.ones(len(rows))])


def _logistic(features: Values, labels: NDArray[np.bool_]) -> Values:
    """Return weights of a logistic regression with a ridge, by Newton's method; both sides weigh the same."""
    share = labels.mean()
    importance = np.where(labels, 0.5 / share, 0.5 / (1 - share))
    weights = np.zeros(features.shape[1])
    penalty = RIDGE * np.eye(features.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (importance * (labels - chance)) - RIDGE * weights
        bend = (features * (importance * chance * (1 - chance))[:, None]).T @ features + penalty
        weights += np.linalg.solve(bend, slope)
    return weights
