"""Learns each source of a personal list once from some events, however many settings ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative, Linear
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig, Neighbours, UserItem
from llmrec_plugin.learning.scorers.projection_head import Head, HeadSums, fit_head, identity_head
from llmrec_plugin.learning.scorers.sequential import in_order, neighbours_from, transitions
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.model_config import (
    KINDS,
    Fitted,
    HeadConfig,
    Popularity,
    ScorerConfig,
    fit_prior,
    head_sums,
    likeness,
)
from llmrec_plugin.types import Matrix


class TextConfig(NamedTuple):
    """Holds how texts are compared."""

    head: HeadConfig | None
    gamma: float


class NeighbourScoring(NamedTuple):
    """Holds how neighbours are learned, and what those of older items count."""

    config: NeighbourConfig
    gamma: float


@dataclass(frozen=True, eq=False)
class FitCache:
    """Holds what was learned from `events`; the same settings are learned once."""

    events: Events
    vectors: Matrix
    """Shape (items, d), unit rows."""
    _sums: dict[float, HeadSums] = field(default_factory=dict)
    _neighbours: dict[NeighbourConfig, Neighbours] = field(default_factory=dict)

    @cached_property
    def whitening(self) -> Whitening:
        return fit_whitening(self.vectors)

    @cached_property
    def whitened(self) -> Matrix:
        """Return them whitened, shape as of `vectors`."""
        return self.whitening.apply(self.vectors)

    @cached_property
    def priors(self) -> dict[Popularity, NDArray[np.float32]]:
        """Return popularity by item, for each way of counting it."""
        return {kind: fit_prior(self.events, kind, len(self.vectors)) for kind in KINDS}

    def text(self, config: TextConfig) -> Linear:
        """Return scores by the texts alone."""
        return likeness(self._head(config), self.vectors, gamma=config.gamma)

    def _head(self, config: TextConfig) -> Head | None:
        head, gamma = config
        if head is None:
            return None
        if head.ridge is None:
            return identity_head(self.whitening, gamma=gamma)
        if gamma not in self._sums:
            self._sums[gamma] = head_sums(self.events, self.whitened, gamma=gamma)
        return fit_head(self._sums[gamma], self.whitening, gamma=gamma, ridge=head.ridge, mix=head.mix)

    def neighbours(self, scoring: NeighbourScoring) -> Collaborative:
        """Return scores by neighbours alone."""
        return Collaborative(self._neighbours_by(scoring.config), scoring.gamma)

    def _neighbours_by(self, config: NeighbourConfig) -> Neighbours:
        known = self._neighbours.get(config)
        if known is None:
            known = self._neighbours[config] = self._learned_neighbours(config)
        return known

    def _learned_neighbours(self, config: NeighbourConfig) -> Neighbours:
        """Learn them; those by company are shared by all that differ in what the order counts."""
        if config.order > 0:
            company = self._neighbours_by(replace(config, order=0.0))
            return in_order(company, self._transitions, config.order)
        found, _ = neighbours_from(
            self.events, catalogue=len(self.vectors), config=config, whitened=self.whitened
        )
        return found

    @cached_property
    def _transitions(self) -> UserItem:
        return transitions(self.events, catalogue=len(self.vectors))

    def fitted(self, config: ScorerConfig) -> Fitted:
        """Return the same as `fit_scorer`, of what was learned here already."""
        return Fitted(
            config=config,
            text=self.text(TextConfig(config.head, config.gamma)),
            neighbours=self.neighbours(NeighbourScoring(config.neighbours, config.neighbour_gamma)),
            prior=self.priors[config.popularity],
        )
