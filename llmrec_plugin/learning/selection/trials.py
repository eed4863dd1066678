"""Tries settings of each source, and blends of the sources, and lets the folds choose among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from llmrec_plugin.evaluation.protocol import Case, Events
from llmrec_plugin.learning.prediction.calibration import Pointwise, fit_pointwise, pairs
from llmrec_plugin.learning.scorers.catalogue_scores import Amounts
from llmrec_plugin.learning.scorers.ease import ease_fits
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.selection.blends import Blends, BlendWeights, Sources
from llmrec_plugin.learning.selection.case_metrics import CaseMetrics, Scores
from llmrec_plugin.learning.selection.fits import FitCache, NeighbourScoring, TextConfig
from llmrec_plugin.learning.selection.folds import Folds, Selected, Setting, Values
from llmrec_plugin.learning.selection.model_config import SEED, HeadConfig, ScorerConfig, points
from llmrec_plugin.types import Matrix

GAMMAS = (0.6, 0.8, 1.0)
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
MIXES = (0.3, 1.0, 3.0, 30.0)
NEIGHBOUR_GAMMAS = (0.6, 0.8, 0.9, 1.0)
EASE = tuple(NeighbourConfig(method="ease", strength=ridge) for ridge in (10.0, 100.0, 500.0))
ITEM_KNN = tuple(NeighbourConfig(method="item-knn", strength=shrink) for shrink in (5.0, 50.0, 200.0))
RECENCIES = (0.3, 0.1)
ORDERS = (0.1, 0.3)
LIKENESSES = (10.0, 100.0)

FROZEN = tuple(TextConfig(None, gamma) for gamma in GAMMAS)
WHITENED = tuple(TextConfig(HeadConfig(), gamma) for gamma in GAMMAS)
HEADS = tuple(
    TextConfig(HeadConfig(ridge=ridge, mix=mix), gamma)
    for gamma, ridge, mix in product(GAMMAS, RIDGES, MIXES)
)


class SelectedSources(NamedTuple):
    """Holds what was chosen of each source by itself."""

    text: Selected[TextConfig]
    neighbours: Selected[NeighbourScoring]

    @property
    def final(self) -> Sources:
        """Return what all cases together choose."""
        return Sources(self.text.final, self.neighbours.final)

    @property
    def picks(self) -> list[Sources]:
        """Return the sources by chooser."""
        return [Sources(*pair) for pair in zip(self.text.picks, self.neighbours.picks, strict=True)]


@dataclass(frozen=True, eq=False)
class TrialEvaluator:
    """Learns from some events what settings ask for, and measures it on cases that come after them."""

    fits: FitCache
    metrics: CaseMetrics
    folds: Folds
    blends: Blends

    @classmethod
    def of(
        cls,
        events: Events,
        cases: Sequence[Case],
        vectors: Matrix,
        *,
        folds: Folds,
        past_amounts: Amounts = None,
    ) -> TrialEvaluator:
        """Return an evaluator of these events and cases; `vectors`: shape (items, d), unit rows;
        `past_amounts`: by case, of its history."""
        fits = FitCache(events, vectors)
        metrics = CaseMetrics.of(cases, events=events, items=len(vectors), past_amounts=past_amounts)
        return cls(fits, metrics, folds, Blends(fits, metrics))

    def select(self, settings: Sequence[Setting], score: Callable[[Setting], Scores]) -> Selected[Setting]:
        """Choose among settings, one at a time: what each needs is as large as the catalogue's vectors."""
        return self.folds.select(settings, np.stack([self.metrics.ndcg(score(one)) for one in settings]))

    def select_neighbours(self) -> Selected[NeighbourScoring]:
        """Choose method and strength, then what the likeness of texts counts, how fast old events fade, and
        what the order counts: each round starts from what the choosers took in the one before, which stays in
        the running."""
        methods = [*(EASE if ease_fits(len(self.fits.vectors)) else ()), *ITEM_KNN]
        known: dict[NeighbourScoring, Values] = {}
        selected = self._select_among(known, methods)
        for variants in (_likenesses, _recencies, _orders):
            taken = dict.fromkeys(pick.config for pick in selected.picks)
            selected = self._select_among(known, [one for config in taken for one in variants(config)])
        return selected

    def _select_among(
        self, known: dict[NeighbourScoring, Values], configs: Sequence[NeighbourConfig]
    ) -> Selected[NeighbourScoring]:
        """Choose the best of all that is known by now; what these are worth is added to it."""
        for scoring in (NeighbourScoring(config, gamma) for config in configs for gamma in NEIGHBOUR_GAMMAS):
            known[scoring] = self.metrics.ndcg(self.fits.neighbours(scoring))
        return self.folds.select(list(known), np.stack(list(known.values())))

    def select_blend(
        self, sources: SelectedSources, allowed: Sequence[BlendWeights]
    ) -> Selected[BlendWeights]:
        """Choose among blends; each chooser blends the sources that it chose itself."""
        values = [self.blends.ndcg(pick) for pick in sources.picks]
        return self.folds.select(allowed, *(np.stack([one[blend] for blend in allowed]) for one in values))

    def config(self, sources: Sources, blend: BlendWeights) -> ScorerConfig:
        """Return what decides an order by this blend of these sources."""
        text, neighbours = sources
        return ScorerConfig(
            weights=self.blends.weights(sources, blend),
            gamma=text.gamma,
            head=text.head,
            neighbours=neighbours.config,
            neighbour_gamma=neighbours.gamma,
            popularity=blend.kind,
        )

    def pointwise(self, config: ScorerConfig) -> Pointwise | None:
        """Return how scores are read as probabilities; None where the weights are not learned."""
        if config.weights is None:
            return None
        rng, fitted = np.random.default_rng(SEED), self.fits.fitted(config)
        found = [
            pairs(points(config.weights, fitted, batch.past, batch.amounts), batch.cases, rng)
            for batch in self.metrics.batches()
        ]
        return fit_pointwise(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _likenesses(config: NeighbourConfig) -> list[NeighbourConfig]:
    return [replace(config, likeness=likeness) for likeness in LIKENESSES]


def _recencies(config: NeighbourConfig) -> list[NeighbourConfig]:
    return [replace(config, recency=recency) for recency in RECENCIES]


def _orders(config: NeighbourConfig) -> list[NeighbourConfig]:
    return [replace(config, order=order) for order in ORDERS]
