"""What an outcome is worth: per case for the accuracy of lists, over all cases for their breadth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.evaluation.protocol import Outcome

Values = NDArray[np.float64]


def accuracy(ranks: Values, *, k: int = 10) -> Mapping[str, Values]:
    """Per case, one relevant item each: NDCG@k, HR@k and MRR@k; NaN where the target was not ranked.

    Recall@k equals HR@k with a single target.
    """
    hit = ranks <= k
    unknown = np.isnan(ranks)
    values = {
        f"NDCG@{k}": np.where(hit, 1 / np.log2(np.where(hit, ranks, 1.0) + 1), 0.0),
        f"HR@{k}": hit.astype(np.float64),
        f"MRR@{k}": np.where(hit, 1 / np.where(hit, ranks, 1.0), 0.0),
    }
    return {name: np.where(unknown, np.nan, found) for name, found in values.items()}


def coverage(outcome: Outcome, items: int) -> float:
    """Share of the catalogue that stands in some list; NaN without lists or items."""
    if not (outcome.shown.size and items):
        return float("nan")
    return len(np.unique(_filled(outcome))) / items


def novelty(outcome: Outcome, counts: ArrayLike) -> float:
    """Mean surprise of what is shown in bits, -log2 of the share of events that an item has (Vargas and
    Castells 2011); an item without events counts as having one. NaN without lists."""
    amounts = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    filled = _filled(outcome)
    if not filled.size:
        return float("nan")
    return float(-np.log2(amounts[filled] / amounts.sum()).mean())


def _filled(outcome: Outcome) -> NDArray[np.int64]:
    """Places that hold an item."""
    return outcome.shown[outcome.shown >= 0]
