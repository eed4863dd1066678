"""The stage that has the first items of a list read more closely."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.types import RankedItem


@dataclass(frozen=True, eq=False)
class Rerank:
    """Adds to the first `most` items how well each answers the query: the best of them gets `weight`, the
    worst nothing, the others in between.

    Nothing is taken away, so what was not read stays below what was (until a later stage moves it). An item
    that `read` does not answer for gets nothing; where it answers for none, the list is left as it is.
    """

    read: Callable[[Sequence[str]], Mapping[str, float]]
    """Keys, best first -> key to score, any finite numbers."""
    most: int
    weight: float

    def __call__(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        ordered = best_first(items)
        scores = self.read([item.key for item in ordered[: self.most]])
        if not all(map(math.isfinite, scores.values())):
            raise InvalidVector("A reranker's score is not finite.")
        least, most = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
        if most <= least:
            return ordered
        factor = self.weight / (most - least)
        return [
            add(item, {"rerank": (scores[item.key] - least) * factor}) if item.key in scores else item
            for item in ordered
        ]
