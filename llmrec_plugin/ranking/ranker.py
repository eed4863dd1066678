"""The walk of a list: fuse the legs, pass the stages, sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.stages import Stage
from llmrec_plugin.types import Hit, RankedItem


@dataclass(frozen=True)
class Ranker:
    """Ranks the hits of one request; the same input gives the same list, ties are broken by key."""

    fuse: Callable[[Mapping[str, Sequence[Hit]]], list[RankedItem]]
    """Makes one list of the legs, best first."""
    stages: tuple[Stage, ...] = ()

    def rank(self, legs: Mapping[str, Sequence[Hit]]) -> list[RankedItem]:
        items = self.fuse(legs)
        for stage in self.stages:
            items = stage(items)
        return best_first(items) if self.stages else items
