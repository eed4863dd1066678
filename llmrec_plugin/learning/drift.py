"""How far two samples of vectors differ: whether a simple classifier can tell which of them one is from.

The classifier two-sample test of Lopez-Paz and Oquab (2017): an area under the curve of .5 means that
nobody could tell, 1 that they have nothing in common. Logistic regression on the principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """Cross-validated area under the curve of telling `now` from `before`, shapes (n, d) and (m, d).

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
        areas.append(area_under_curve(features[held] @ weights, labels[held]))
    return float(np.mean(areas))


def area_under_curve(scores: ArrayLike, labels: ArrayLike) -> float:
    """Chance that one of `labels` is scored above one of the others, ties half; NaN without both."""
    values, positive = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not (positives and negatives):
        return float("nan")
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # mean rank of those that tie
    above = middle[places][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def promises(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10
) -> list[tuple[float, float, int]]:
    """(mean probability promised, share that came true, how many), in bins of equal width; empty ones are
    left out."""
    true, given = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    place = np.minimum((given * bins).astype(np.int64), bins - 1)
    held = [place == number for number in np.unique(place).tolist()]
    return [(float(given[one].mean()), float(true[one].mean()), int(one.sum())) for one in held]


def _drawn(rows: Matrix, rng: np.random.Generator) -> Matrix:
    if len(rows) <= MOST:
        return rows
    drawn: Matrix = rows[np.sort(rng.choice(len(rows), MOST, replace=False))]
    return drawn


def _components(rows: Values) -> Values:
    """The first principal components, each with variance 1, and a constant."""
    centred = rows - rows.mean(axis=0)
    spread, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    largest = np.argsort(spread)[::-1][:COMPONENTS]
    kept = largest[spread[largest] > 1e-9 * max(float(spread.max()), 1e-12)]
    scaled = (centred @ axes[:, kept]) / np.sqrt(spread[kept])
    return np.column_stack([scaled, np.ones(len(rows))])


def _logistic(features: Values, labels: NDArray[np.bool_]) -> Values:
    """Weights of a logistic regression with a ridge, by Newton's method; both sides weigh the same."""
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
