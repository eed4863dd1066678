"""Computes the Gaussian mechanism and its bill: how far noise hides one person, and what several releases
come to.

A release whose sum one person moves by at most s, with noise of standard deviation s / mu on every number,
is "mu-GDP" (Dong, Roth and Su, Gaussian Differential Privacy, 2019). That says exactly which pairs (epsilon,
delta) hold, and releases add up by their squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llmrec_plugin.exceptions import ConfigurationError

LARGEST = 1e4
"""Of mu and of epsilon; above, nothing is hidden."""
ROUNDS = 200


def delta_of(mu: float, epsilon: float) -> float:
    """Return the smallest delta, 0..1, with which a mu-GDP release is (epsilon, delta)-differentially private
    (Balle and Wang, 2018, theorem 8)."""
    from scipy.special import log_ndtr, ndtr

    if mu <= 0:
        return 0.0
    outside = math.exp(min(0.0, epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))))
    return max(0.0, float(ndtr(mu / 2 - epsilon / mu)) - outside)


def mu_of(epsilon: float, delta: float) -> float:
    """Return the largest mu that keeps to (epsilon, delta): noise is the sensitivity divided by it.

    Raises ConfigurationError unless epsilon is above 0 and delta between 0 and 1.
    """
    if not (0 < epsilon < LARGEST and 0 < delta < 1):
        raise ConfigurationError(
            "Differential privacy needs an epsilon above 0 and a delta between 0 and 1, not "
            f"{epsilon} and {delta}."
        )
    return _border(lambda mu: delta_of(mu, epsilon) <= delta)


def epsilon_of(mu: float, delta: float) -> float:
    """Return the smallest epsilon that a mu-GDP release keeps to with this delta."""
    if mu <= 0:
        return 0.0
    return _border(lambda epsilon: delta_of(mu, epsilon) > delta)


def together(*mus: float) -> float:
    """Return what several releases about the same people come to, each chosen by those before (corollary
    3.3)."""
    return math.hypot(*mus)


def _border(holds: Callable[[float], bool]) -> float:
    """Return up to where, from 0, a condition holds."""
    low, high = 0.0, LARGEST
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
