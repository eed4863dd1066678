"""Methods side by side: means, slices and paired differences with their intervals, ready for a report."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.significance import paired_bootstrap

Values = NDArray[np.float64]
ByMethod = Mapping[str, Mapping[str, Values]]
"""Method -> metric -> one value per case, NaN where it cannot be measured."""

PRIMARY = "NDCG@10"
MRR_PLACES = 100
"""A target further down counts 0 in MRR, whoever ranked it."""
SEED = 0


def values_of(ranks: Values) -> dict[str, Values]:
    """Per case NDCG@10, HR@10, Recall@10 and MRR, of the ranks of one target each."""
    found = accuracy(ranks)
    return {
        "NDCG@10": found["NDCG@10"],
        "HR@10": found["HR@10"],
        "Recall@10": found["HR@10"],
        "MRR": accuracy(ranks, k=MRR_PLACES)[f"MRR@{MRR_PLACES}"],
    }


def mean(values: Values) -> float:
    """Of the cases that can be measured; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def table(methods: ByMethod, *, where: NDArray[np.bool_] | None = None) -> dict[str, dict[str, float]]:
    """Method -> metric -> mean, over all cases or over those of a slice."""
    return {
        name: {metric: mean(values if where is None else values[where]) for metric, values in metrics.items()}
        for name, metrics in methods.items()
    }


def best_of(methods: ByMethod, names: Sequence[str], *, metric: str = PRIMARY) -> str | None:
    """The one with the highest mean, the first of equals; None where none can be measured."""
    known = {name: value for name in names if not math.isnan(value := mean(methods[name][metric]))}
    return max(known, key=lambda name: known[name], default=None)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One method against another, on the cases that both could be measured on."""

    metric: str
    method: str
    baseline: str
    difference: float
    low: float
    high: float
    """Of the difference, with 95 % confidence."""
    ratio: float
    """Mean of the method / mean of the baseline."""
    cases: int


def contrast(
    methods: ByMethod,
    method: str,
    baseline: str,
    *,
    groups: Sequence[Hashable],
    metric: str = PRIMARY,
) -> Contrast:
    """The paired difference; whole groups (users, queries) are drawn."""
    one, other = methods[method][metric], methods[baseline][metric]
    found = paired_bootstrap(one, other, rng=np.random.default_rng(SEED), groups=groups)
    both = ~(np.isnan(one) | np.isnan(other))
    base = mean(other[both])
    return Contrast(
        metric=metric,
        method=method,
        baseline=baseline,
        difference=found.difference,
        low=found.low,
        high=found.high,
        ratio=mean(one[both]) / base if base > 0 else math.nan,
        cases=found.cases,
    )
