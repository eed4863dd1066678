"""Says how much more often a result is clicked for standing higher, told from results that moved up or down.

P(clicked) = P(relevant) * k^-exponent at position k, the first being 1 (Joachims, Swaminathan and Schnabel,
WSDM 2017). Where one query showed one item at several positions, its relevance is the same at each, so how
its clicks are spread over them tells the exponent alone (Agarwal et al., "Estimating Position Bias without
Intrusive Interventions", WSDM 2019); here by conditional maximum likelihood, in which relevance cancels out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST = 3.0
"""Exponents above it are taken for it."""
CLIP = 20.0
"""No click counts more than so many: few far down the list would decide alone."""
HALVINGS = 40


@dataclass(frozen=True, kw_only=True)
class PositionBias:
    """Holds the exponent with what it rests on."""

    exponent: float
    """0: positions make no difference; 1: the tenth is looked at a tenth as often as the first."""
    error: float
    """Standard error; infinite where no result stood at several positions."""
    clicks: int
    """On results that did."""

    def weights(self, positions: ArrayLike, *, errors: float = 0.0) -> NDArray[np.float64]:
        """Return what a click at each position counts: one over how likely it was looked at, at most CLIP;
        with an exponent so many standard errors higher, never below 0."""
        exponent = max(self.exponent + errors * self.error, 0.0)
        return np.minimum(np.asarray(positions, np.float64) ** exponent, CLIP)


def fit_position_bias(pairs: ArrayLike, positions: ArrayLike, clicked: ArrayLike) -> PositionBias:
    """Learn the exponent from each time that a result was shown: which query with which item (a number),
    where, and whether it was clicked. Results that always stood at one position tell nothing."""
    places = np.column_stack([np.asarray(pairs, np.int64), np.asarray(positions, np.int64)])
    clicks = np.asarray(clicked, np.float64)
    if not len(places):
        return PositionBias(exponent=0.0, error=math.inf, clicks=0)
    found, place_of = np.unique(places, axis=0, return_inverse=True)
    shown = np.bincount(place_of.ravel(), minlength=len(found))
    hits: NDArray[np.float64] = np.bincount(place_of.ravel(), weights=clicks).astype(np.float64)
    _, pair_of, variety = np.unique(found[:, 0], return_inverse=True, return_counts=True)
    logs = np.log(found[:, 1])
    by_pair = np.bincount(pair_of, weights=hits)
    telling = int(by_pair[variety > 1].sum())
    slopes = partial(_slopes, shown=shown, hits=hits, logs=logs, pair_of=pair_of)
    low, high = 0.0, MOST
    for _ in range(HALVINGS):  # the slope falls all the way
        middle = (low + high) / 2
        low, high = (middle, high) if slopes(middle)[0] > 0 else (low, middle)
    information = slopes(high)[1]
    if not information > 0:
        return PositionBias(exponent=0.0, error=math.inf, clicks=telling)
    return PositionBias(exponent=high, error=information**-0.5, clicks=telling)


def _slopes(
    exponent: float,
    *,
    shown: NDArray[np.int64],
    hits: NDArray[np.float64],
    logs: NDArray[np.float64],
    pair_of: NDArray[np.intp],
) -> tuple[float, float]:
    """Return the first derivative of the log-likelihood, and the second with its sign turned: clicks times
    the variance of log positions that the exponent foresees."""
    chances = shown * np.exp(-exponent * logs)
    whole = np.bincount(pair_of, weights=chances)
    mean = np.bincount(pair_of, weights=chances * logs) / whole
    square = np.bincount(pair_of, weights=chances * logs**2) / whole
    clicks = np.bincount(pair_of, weights=hits)
    slope = float(clicks @ mean - hits @ logs)
    return slope, float(clicks @ np.maximum(square - mean**2, 0.0))
