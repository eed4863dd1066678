"""Whether one method beats another by more than the luck of the sample."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Mean of method - baseline over the cases that both could be measured on; NaN when there are none."""

    difference: float
    low: float
    high: float
    """Bounds of the interval that holds the true mean with the asked confidence."""
    cases: int


def paired_bootstrap(
    method: ArrayLike,
    baseline: ArrayLike,
    *,
    rng: np.random.Generator,
    groups: Sequence[Hashable] | None = None,
    samples: int = 2000,
    confidence: float = 0.95,
) -> PairedDifference:
    """Percentile interval of the mean difference, pairing the two values of each case.

    With `groups`, one per case (its user, its query), whole groups are drawn: cases of one user
    are no independent evidence. Pairs with a NaN are left out.
    """
    differences = np.asarray(method, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    measured = ~np.isnan(differences)
    differences = differences[measured]
    if not differences.size:
        return PairedDifference(difference=np.nan, low=np.nan, high=np.nan, cases=0)
    names = range(len(measured)) if groups is None else groups
    number: dict[Hashable, int] = {}
    member = [
        number.setdefault(name, len(number)) for name, kept in zip(names, measured, strict=True) if kept
    ]
    sums = np.bincount(member, weights=differences)
    sizes = np.bincount(member)
    means = np.empty(samples)
    for sample in range(samples):
        drawn = rng.integers(len(sums), size=len(sums))
        means[sample] = sums[drawn].sum() / sizes[drawn].sum()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return PairedDifference(
        difference=float(differences.mean()), low=float(low), high=float(high), cases=len(differences)
    )
