"""Measures settings of each source, and mixtures of the sources, on the cases that a ladder climbs by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby, product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.lists import accuracy, coverage
from llmrec_plugin.evaluation.protocol import BATCH, Case, Events, Outcome, expected_ranks, first_items
from llmrec_plugin.learning.prediction.calibration import Pointwise, fit_pointwise, pairs
from llmrec_plugin.learning.scorers.catalogue_scores import Amounts, Collaborative, Histories, Linear, Weights
from llmrec_plugin.learning.scorers.neighbours import Neighbours, NeighbourSettings, UserItem, ease_fits
from llmrec_plugin.learning.scorers.projection_head import Head, HeadSums, fit_head, identity_head
from llmrec_plugin.learning.scorers.sequential import in_order, neighbours_from, transitions
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.folds import Folds, Selected, Setting, Values
from llmrec_plugin.learning.selection.model_config import (
    KINDS,
    SEED,
    Fitted,
    HeadSettings,
    Popularity,
    ScorerConfig,
    fit_prior,
    head_sums,
    likeness,
    points,
    recent,
)
from llmrec_plugin.types import Matrix

METRIC = "NDCG@10"
GAMMAS = (0.6, 0.8, 1.0)
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
MIXES = (0.3, 1.0, 3.0, 30.0)
ALSO_GAMMAS = (0.6, 0.8, 0.9, 1.0)
EASE = tuple(NeighbourSettings(method="ease", strength=ridge) for ridge in (10.0, 100.0, 500.0))
ITEM_KNN = tuple(NeighbourSettings(method="item-knn", strength=shrink) for shrink in (5.0, 50.0, 200.0))
RECENCIES = (0.3, 0.1)
ORDERS = (0.1, 0.3)
LIKENESSES = (10.0, 100.0)

MIN_COLD = 20
"""Cases about new items below which nothing is said of them."""
SPREAD_CASES = 500
"""How many of the cases say how far the scores of a source usually lie apart."""

Scores: TypeAlias = Callable[[Histories, Amounts], Matrix]


class TextSettings(NamedTuple):
    """How texts are compared."""

    head: HeadSettings | None
    gamma: float


class NeighbourScoring(NamedTuple):
    """How neighbours are learned, and what those of older items count."""

    neighbours: NeighbourSettings
    gamma: float


class BlendWeights(NamedTuple):
    """What the sources count, taste and neighbours in units of their usual spread."""

    taste: float
    also: float
    popularity: float
    kind: Popularity


FROZEN = tuple(TextSettings(None, gamma) for gamma in GAMMAS)
WHITENED = tuple(TextSettings(HeadSettings(), gamma) for gamma in GAMMAS)
HEADS = tuple(
    TextSettings(HeadSettings(ridge=ridge, mix=mix), gamma)
    for gamma, ridge, mix in product(GAMMAS, RIDGES, MIXES)
)
BLENDS = tuple(
    BlendWeights(taste, also, popularity, kind)
    for taste, also in [*product((0.0, 0.25, 0.5, 1.0, 2.0, 4.0), (1.0,)), (1.0, 0.0)]
    for popularity, kind in [(0.0, KINDS[0]), *product((2.0, 4.0, 8.0, 16.0, 32.0, 64.0), KINDS)]
)


@dataclass(eq=False)
class TrialEvaluator:
    """Everything is learned from `events` and measured on `cases`, which come after them."""

    events: Events
    cases: Sequence[Case]
    vectors: Matrix
    """Shape (items, d), unit rows."""
    folds: Folds
    past_amounts: Amounts = None
    """By case, of its history."""
    _sums: dict[float, HeadSums] = field(default_factory=dict)
    _neighbours: dict[NeighbourSettings, Neighbours] = field(default_factory=dict)
    _mixed: dict[tuple[TextSettings, NeighbourScoring], dict[BlendWeights, Values]] = field(
        default_factory=dict
    )

    @cached_property
    def whitening(self) -> Whitening:
        return fit_whitening(self.vectors)

    @cached_property
    def whitened(self) -> Matrix:
        """Shape as of `vectors`."""
        return self.whitening.apply(self.vectors)

    @cached_property
    def priors(self) -> dict[Popularity, NDArray[np.float32]]:
        return {kind: fit_prior(self.events, kind, len(self.vectors)) for kind in KINDS}

    @cached_property
    def new(self) -> NDArray[np.bool_]:
        """Items that nobody had taken yet."""
        known = np.zeros(len(self.vectors), np.bool_)
        known[self.events.items] = True
        return ~known

    def text(self, settings: TextSettings) -> Linear:
        """Scores by the texts alone."""
        return likeness(self._head(settings), self.vectors, gamma=settings.gamma)

    def _head(self, settings: TextSettings) -> Head | None:
        head, gamma = settings
        if head is None:
            return None
        if head.ridge is None:
            return identity_head(self.whitening, gamma=gamma)
        if gamma not in self._sums:
            self._sums[gamma] = head_sums(self.events, self.whitened, gamma=gamma)
        return fit_head(self._sums[gamma], self.whitening, gamma=gamma, ridge=head.ridge, mix=head.mix)

    def also(self, settings: NeighbourScoring) -> Collaborative:
        """Scores by neighbours alone."""
        return Collaborative(self._neighbours_by(settings.neighbours), settings.gamma)

    def _neighbours_by(self, settings: NeighbourSettings) -> Neighbours:
        known = self._neighbours.get(settings)
        if known is None:
            if settings.order > 0:
                company = self._neighbours_by(replace(settings, order=0.0))
                known = in_order(company, self._transitions, settings.order)
            else:
                known, _ = neighbours_from(
                    self.events, catalogue=len(self.vectors), settings=settings, whitened=self.whitened
                )
            self._neighbours[settings] = known
        return known

    @cached_property
    def _transitions(self) -> UserItem:
        return transitions(self.events, catalogue=len(self.vectors))

    def fitted(self, setup: ScorerConfig) -> Fitted:
        """As `fit_setup`, with what was learned here already."""
        return Fitted(
            setup=setup,
            text=self.text(TextSettings(setup.head, setup.gamma)),
            also=self.also(NeighbourScoring(setup.also, setup.also_gamma)),
            prior=self.priors[setup.popularity],
        )

    def measure(self, score: Scores, *, among: NDArray[np.bool_] | None = None) -> Values:
        """NDCG@10 per case."""
        ranks = [
            expected_ranks(score(past, amounts), batch, among=among)
            for batch, past, amounts in self._batches()
        ]
        return accuracy(np.concatenate(ranks))[METRIC]

    def cold_mean(self, score: Scores) -> float:
        """NDCG@10 of new items among themselves; NaN: too few to tell."""
        values = self.measure(score, among=self.new)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) >= MIN_COLD else float("nan")

    def coverage(self, score: Scores) -> float:
        """Share of the catalogue that stands in some list of ten."""
        shown = [first_items(score(past, amounts), batch) for batch, past, amounts in self._batches()]
        return coverage(Outcome(ranks=np.empty(0), shown=np.concatenate(shown)), len(self.vectors))

    def pointwise(self, setup: ScorerConfig) -> Pointwise | None:
        """How scores by this setup are read as probabilities; None where its weights are not learned."""
        if setup.weights is None:
            return None
        rng, fitted = np.random.default_rng(SEED), self.fitted(setup)
        found = [
            pairs(points(setup.weights, fitted, past, amounts), batch, rng)
            for batch, past, amounts in self._batches()
        ]
        return fit_pointwise(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def select(self, settings: Sequence[Setting], score: Callable[[Setting], Scores]) -> Selected[Setting]:
        """One at a time: what each needs is as large as the catalogue's vectors."""
        return self.folds.select(settings, np.stack([self.measure(score(one)) for one in settings]))

    def select_also(self) -> Selected[NeighbourScoring]:
        """By method and strength, then by what the likeness of texts counts, how fast old events fade, and
        what the order counts: each round starts from what the choosers took in the one before, which stays in
        the running."""
        methods = [*(EASE if ease_fits(len(self.vectors)) else ()), *ITEM_KNN]
        known: dict[NeighbourScoring, Values] = {}
        selected = self._select_among(known, methods)
        selected = self._select_among(
            known,
            [replace(pick, likeness=likeness) for pick in _methods(selected) for likeness in LIKENESSES],
        )
        selected = self._select_among(
            known, [replace(pick, recency=recency) for pick in _methods(selected) for recency in RECENCIES]
        )
        return self._select_among(
            known, [replace(pick, order=order) for pick in _methods(selected) for order in ORDERS]
        )

    def _select_among(
        self, known: dict[NeighbourScoring, Values], methods: Sequence[NeighbourSettings]
    ) -> Selected[NeighbourScoring]:
        """The best of all that is known by now; what these methods are worth is added to it."""
        for settings in (NeighbourScoring(method, gamma) for method in methods for gamma in ALSO_GAMMAS):
            known[settings] = self.measure(self.also(settings))
        return self.folds.select(list(known), np.stack(list(known.values())))

    def by_mixture(self, text: TextSettings, also: NeighbourScoring) -> dict[BlendWeights, Values]:
        """NDCG@10 per case, for each mixture; a batch of cases is scored once for all of them."""
        if (text, also) not in self._mixed:
            self._mixed[text, also] = self._by_mixture(text, also)
        return self._mixed[text, also]

    def _by_mixture(self, text: TextSettings, also: NeighbourScoring) -> dict[BlendWeights, Values]:
        found: dict[BlendWeights, list[Values]] = {mixture: [] for mixture in BLENDS}
        for batch, mixtures, score in self._mixing(text, also):
            for mixture in mixtures:
                found[mixture].append(accuracy(expected_ranks(score(mixture), batch))[METRIC])
        return {mixture: np.concatenate(parts) for mixture, parts in found.items()}

    def covering(self, text: TextSettings, also: NeighbourScoring, *, least: float) -> list[BlendWeights]:
        """The mixtures whose lists of ten together show at least this share of the catalogue."""
        shown = {mixture: np.zeros(len(self.vectors), np.bool_) for mixture in BLENDS}
        for batch, mixtures, score in self._mixing(text, also):
            for mixture in mixtures:
                if shown[mixture].mean() < least:  # further lists can only show more
                    rows = first_items(score(mixture), batch)
                    shown[mixture][rows[rows >= 0]] = True
        return [mixture for mixture, seen in shown.items() if seen.mean() >= least]

    def _mixing(
        self, text: TextSettings, also: NeighbourScoring
    ) -> Iterator[tuple[Sequence[Case], Sequence[BlendWeights], Callable[[BlendWeights], Matrix]]]:
        """Batches of cases, mixtures that differ in popularity alone, and the scores by any of these; what
        they share is worked out once. The scores order as by `weights`, whose scale they lack."""
        by_text, by_also = self.text(text), self.also(also)
        spreads = self._spreads(by_text, by_also)
        for batch, past, amounts in self._batches():
            taste, others = by_text(past, amounts), by_also(past, amounts)
            for _, group in groupby(BLENDS, key=lambda mixture: (mixture.taste, mixture.also)):
                mixtures = list(group)
                personal = weights_of(mixtures[0], spreads).personal(taste, others)
                yield batch, mixtures, partial(self._fused, spreads, personal)

    def _fused(self, spreads: tuple[float, float], personal: Matrix, mixture: BlendWeights) -> Matrix:
        scores: Matrix = personal + weights_of(mixture, spreads).common(self.priors[mixture.kind])
        return scores

    def weights(self, text: TextSettings, also: NeighbourScoring, mixture: BlendWeights) -> Weights:
        """Of the mixture, such that best and worst of a list usually lie 1 apart."""
        by_text, by_also = self.text(text), self.also(also)
        weights = weights_of(mixture, self._spreads(by_text, by_also))
        scores = weights.fused(by_text(*self._sample), by_also(*self._sample), self.priors[mixture.kind])
        return weights.divided(float(np.ptp(scores, axis=1).mean()))

    def _spreads(self, text: Linear, also: Collaborative) -> tuple[float, float]:
        taste, others = text(*self._sample), also(*self._sample)
        return float(taste.std(axis=1).mean()), float(others.std(axis=1).mean())

    @property
    def _sample(self) -> tuple[Histories, Amounts]:
        return self._past(slice(None, None, -(-len(self.cases) // SPREAD_CASES)))

    def _batches(self) -> Iterator[tuple[Sequence[Case], Histories, Amounts]]:
        for start in range(0, len(self.cases), BATCH):
            part = slice(start, start + BATCH)
            yield self.cases[part], *self._past(part)

    def _past(self, part: slice) -> tuple[Histories, Amounts]:
        amounts = self.past_amounts
        return recent(self.cases[part]), None if amounts is None else amounts[part]


def _methods(selected: Selected[NeighbourScoring]) -> list[NeighbourSettings]:
    """What the choosers took, each once."""
    return list(dict.fromkeys(pick.neighbours for pick in selected.picks))


def weights_of(mixture: BlendWeights, spreads: tuple[float, float]) -> Weights:
    """`spreads`: of taste and neighbours; a source that tells nothing counts nothing."""
    taste, also = spreads
    return Weights(
        taste=mixture.taste / taste if taste > 0 else 0.0,
        also=mixture.also / also if also > 0 else 0.0,
        popularity=mixture.popularity,
    )
