"""Makes one probability, or one number, of several that each tell something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Features = NDArray[np.float64]
Values = NDArray[np.float64]

STEPS = 25
"""Of Newton's method; each doubles the right digits once the first is right."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Computes bias + sum of weight * (feature - mean) / deviation."""

    means: Values
    deviations: Values
    weights: Values
    """The last one is the bias."""

    def values(self, features: Features) -> Values:
        found: Values = _standard(features, self.means, self.deviations) @ self.weights
        return found

    def probabilities(self, features: Features) -> Values:
        """Return the values through the logistic function."""
        return _logistic(self.values(features))


def fit_logistic(features: Features, labels: ArrayLike, *, penalty: float = 1.0) -> Weighted:
    """Fit the most likely probabilities, weights kept small by `penalty` (as many observations of
    nothing), so that labels that are all alike or told apart without fault do no harm."""
    liked = np.asarray(labels, dtype=np.float64)
    means, deviations = _spread(features)
    rows = _standard(features, means, deviations)
    weights = np.zeros(rows.shape[1])
    keep = penalty * np.eye(rows.shape[1])
    for _ in range(STEPS):
        given = _logistic(rows @ weights)
        slope = rows.T @ (liked - given) - penalty * weights
        step = np.linalg.solve((rows * (given * (1.0 - given))[:, None]).T @ rows + keep, slope)
        weights = weights + step
    return Weighted(means, deviations, weights)


def fit_linear(features: Features, values: ArrayLike, *, penalty: float = 1.0) -> Weighted:
    """Fit by least squares, with weights kept small as in `fit_logistic`, the bias excepted."""
    wanted = np.asarray(values, dtype=np.float64)
    means, deviations = _spread(features)
    rows = _standard(features, means, deviations)
    keep = penalty * np.eye(rows.shape[1])
    keep[-1, -1] = 0.0
    weights = np.linalg.solve(rows.T @ rows + keep, rows.T @ wanted)
    return Weighted(means, deviations, weights.astype(np.float64))


def _spread(features: Features) -> tuple[Values, Values]:
    deviations: Values = features.std(axis=0)
    deviations[deviations == 0] = 1.0
    means: Values = features.mean(axis=0)
    return means, deviations


def _standard(features: Features, means: Values, deviations: Values) -> Features:
    return np.column_stack([(features - means) / deviations, np.ones(len(features))])


def _logistic(values: Values) -> Values:
    found: Values = 0.5 * (1.0 + np.tanh(0.5 * values))  # never overflows
    return found
