"""Quality of one ranking against graded judgements; NaN where it cannot be measured, 0 where it is bad.

A ranking is a sequence of keys, best first; grades map a key to 0 (not relevant) or more. A key
without a grade is unjudged: it counts as not relevant, except in the condensed variant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """NDCG@k with gain 2^grade - 1 and discount log2(rank + 1); NaN without a relevant item."""
    ideal = _dcg(sorted(grades.values(), reverse=True)[:k])
    if ideal == 0:
        return math.nan
    return _dcg([grades.get(key, 0) for key in ranking[:k]]) / ideal


def condensed_ndcg(ranking: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """NDCG@k after unjudged items are struck from the ranking: no penalty for what nobody judged."""
    return ndcg([key for key in ranking if key in grades], grades, k=k)


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """1 / rank of the first relevant item within k, else 0; NaN without a relevant item."""
    if not _relevant(grades):
        return math.nan
    return next((1 / rank for rank, key in enumerate(ranking[:k], 1) if grades.get(key, 0) > 0), 0.0)


def recall(ranking: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """Share of the relevant items that the first k hold; NaN without a relevant item."""
    relevant = _relevant(grades)
    return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else math.nan


def judged(ranking: Sequence[str], grades: Mapping[str, int], *, k: int) -> float:
    """Share of the first k that anyone judged; NaN for an empty ranking."""
    shown = ranking[:k]
    return sum(key in grades for key in shown) / len(shown) if shown else math.nan


def _relevant(grades: Mapping[str, int]) -> set[str]:
    return {key for key, grade in grades.items() if grade > 0}


def _dcg(grades: Sequence[int]) -> float:
    return math.fsum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
