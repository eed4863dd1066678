"""Measures scores of a catalogue on cases: what users took next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.lists import accuracy, coverage
from llmrec_plugin.evaluation.protocol import BATCH, Case, Events, Outcome, expected_ranks, first_items
from llmrec_plugin.learning.scorers.catalogue_scores import Amounts, Histories
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.learning.selection.model_config import recent
from llmrec_plugin.types import Matrix

METRIC = "NDCG@10"
MIN_COLD = 20
"""Cases about new items below which nothing is said of them."""

Scores: TypeAlias = Callable[[Histories, Amounts], Matrix]


class Batch(NamedTuple):
    """Holds some of the cases, as many as are scored at once."""

    cases: Sequence[Case]
    past: Histories
    amounts: Amounts


@dataclass(frozen=True, eq=False)
class CaseMetrics:
    """Holds the cases that scores are measured on."""

    cases: Sequence[Case]
    new: NDArray[np.bool_]
    """Items that nobody had taken before the cases, shape (items,)."""
    past_amounts: Amounts = None
    """By case, of its history."""

    @classmethod
    def of(
        cls, cases: Sequence[Case], *, events: Events, items: int, past_amounts: Amounts = None
    ) -> CaseMetrics:
        """Return the metrics of cases that come after `events`, in a catalogue of so many items."""
        new = np.ones(items, np.bool_)
        new[events.items] = False
        return cls(cases, new, past_amounts)

    @property
    def users(self) -> list[int]:
        """Return the user of each case."""
        return [case.user for case in self.cases]

    def ndcg(self, score: Scores, *, among: NDArray[np.bool_] | None = None) -> Values:
        """Return NDCG@10 per case, NaN where the target is not `among` the items that are ranked."""
        ranks = [
            expected_ranks(score(batch.past, batch.amounts), batch.cases, among=among)
            for batch in self.batches()
        ]
        return accuracy(np.concatenate(ranks))[METRIC]

    def cold_mean(self, score: Scores) -> float:
        """Return NDCG@10 of new items among themselves; NaN: too few to tell."""
        values = self.ndcg(score, among=self.new)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) >= MIN_COLD else float("nan")

    def coverage(self, score: Scores) -> float:
        """Return the share of the catalogue that stands in some list of ten."""
        shown = [first_items(score(batch.past, batch.amounts), batch.cases) for batch in self.batches()]
        return coverage(Outcome(ranks=np.empty(0), shown=np.concatenate(shown)), len(self.new))

    def batches(self) -> Iterator[Batch]:
        """Yield all cases, some at a time: their scores are as many as the catalogue has items, each."""
        for start in range(0, len(self.cases), BATCH):
            yield self._part(slice(start, start + BATCH))

    def sample(self, most: int) -> Batch:
        """Return at most so many cases, evenly spread over all of them."""
        return self._part(slice(None, None, -(-len(self.cases) // most)))

    def _part(self, part: slice) -> Batch:
        amounts = self.past_amounts
        return Batch(self.cases[part], recent(self.cases[part]), None if amounts is None else amounts[part])
