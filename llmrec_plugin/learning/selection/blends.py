"""Weighs the sources of a personal list against each other, and measures every blend of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import NamedTuple

import numpy as np

from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import expected_ranks, first_items
from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative, Linear, Weights
from llmrec_plugin.learning.selection.case_metrics import METRIC, Batch, CaseMetrics
from llmrec_plugin.learning.selection.fits import FitCache, NeighbourScoring, TextConfig
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.learning.selection.model_config import KINDS, Popularity
from llmrec_plugin.types import Matrix

SPREAD_CASES = 500
"""How many of the cases say how far the scores of a source usually lie apart."""


class BlendWeights(NamedTuple):
    """Holds what the sources count, taste and neighbours in units of their usual spread."""

    taste: float
    neighbours: float
    popularity: float
    kind: Popularity


BLENDS = tuple(
    BlendWeights(taste, neighbours, popularity, kind)
    for taste, neighbours in [*product((0.0, 0.25, 0.5, 1.0, 2.0, 4.0), (1.0,)), (1.0, 0.0)]
    for popularity, kind in [(0.0, KINDS[0]), *product((2.0, 4.0, 8.0, 16.0, 32.0, 64.0), KINDS)]
)


class Sources(NamedTuple):
    """Holds how the two sources that differ from user to user are learned."""

    text: TextConfig
    neighbours: NeighbourScoring


class Spreads(NamedTuple):
    """Holds how far the scores of a source usually lie apart, as standard deviations."""

    taste: float
    neighbours: float


@dataclass(frozen=True, eq=False)
class SourceScores:
    """Holds the scores by each source, learned once for all batches."""

    text: Linear
    neighbours: Collaborative

    def of(self, batch: Batch) -> tuple[Matrix, Matrix]:
        """Return the scores by texts and by neighbours, each of shape (cases, items)."""
        return self.text(batch.past, batch.amounts), self.neighbours(batch.past, batch.amounts)


@dataclass(frozen=True, eq=False)
class Blends:
    """Measures all of `BLENDS` on the cases; each pair of sources once."""

    fits: FitCache
    metrics: CaseMetrics
    _ndcg: dict[Sources, dict[BlendWeights, Values]] = field(default_factory=dict)

    def ndcg(self, sources: Sources) -> dict[BlendWeights, Values]:
        """Return NDCG@10 per case, of each blend."""
        if sources not in self._ndcg:
            self._ndcg[sources] = self._measured(sources)
        return self._ndcg[sources]

    def _measured(self, sources: Sources) -> dict[BlendWeights, Values]:
        found: dict[BlendWeights, list[Values]] = {blend: [] for blend in BLENDS}
        learned = self._learned(sources)
        spreads = self._spreads(learned)
        for batch in self.metrics.batches():
            for blend, scores in self._scores(batch, learned, spreads, BLENDS):
                found[blend].append(accuracy(expected_ranks(scores, batch.cases))[METRIC])
        return {blend: np.concatenate(parts) for blend, parts in found.items()}

    def covering(self, sources: Sources, *, least: float) -> list[BlendWeights]:
        """Return the blends whose lists of ten together show at least this share of the catalogue."""
        shown = {blend: np.zeros(len(self.metrics.new), np.bool_) for blend in BLENDS}
        learned = self._learned(sources)
        spreads = self._spreads(learned)
        for batch in self.metrics.batches():
            # Of the others further lists can only show more.
            wanted = [blend for blend in BLENDS if shown[blend].mean() < least]
            for blend, scores in self._scores(batch, learned, spreads, wanted):
                rows = first_items(scores, batch.cases)
                shown[blend][rows[rows >= 0]] = True
        return [blend for blend, seen in shown.items() if seen.mean() >= least]

    def _scores(
        self, batch: Batch, learned: SourceScores, spreads: Spreads, wanted: Sequence[BlendWeights]
    ) -> Iterator[tuple[BlendWeights, Matrix]]:
        """Yield the scores of one batch by each blend; blends that differ in popularity alone share the rest.

        They order as by `weights`, whose scale they lack.
        """
        taste, neighbours = learned.of(batch)
        for _, group in groupby(wanted, key=lambda blend: (blend.taste, blend.neighbours)):
            alike = list(group)
            personal = weights_of(alike[0], spreads).personal(taste, neighbours)
            for blend in alike:
                yield blend, personal + weights_of(blend, spreads).common(self.fits.priors[blend.kind])

    def weights(self, sources: Sources, blend: BlendWeights) -> Weights:
        """Return the weights of the blend, such that best and worst of a list usually lie 1 apart."""
        taste, neighbours = self._learned(sources).of(self._sample)
        weights = weights_of(blend, spreads_of(taste, neighbours))
        scores = weights.fused(taste, neighbours, self.fits.priors[blend.kind])
        return weights.divided(float(np.ptp(scores, axis=1).mean()))

    def _learned(self, sources: Sources) -> SourceScores:
        return SourceScores(self.fits.text(sources.text), self.fits.neighbours(sources.neighbours))

    def _spreads(self, learned: SourceScores) -> Spreads:
        return spreads_of(*learned.of(self._sample))

    @property
    def _sample(self) -> Batch:
        return self.metrics.sample(SPREAD_CASES)


def spreads_of(taste: Matrix, neighbours: Matrix) -> Spreads:
    """Return the mean spread of the rows of each, shape (cases, items)."""
    return Spreads(float(taste.std(axis=1).mean()), float(neighbours.std(axis=1).mean()))


def weights_of(blend: BlendWeights, spreads: Spreads) -> Weights:
    """Return what a unit of each source counts; a source that tells nothing counts nothing."""
    return Weights(
        taste=blend.taste / spreads.taste if spreads.taste > 0 else 0.0,
        neighbours=blend.neighbours / spreads.neighbours if spreads.neighbours > 0 else 0.0,
        popularity=blend.popularity,
    )
