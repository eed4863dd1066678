"""Says what decides the order of a personal list, and how each part of it is learned from events.

The same sums are formed item by item where a list is served (ranking.personal); here they are formed for
a whole catalogue and many users at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Case, Events, amounts_by_user, histories
from llmrec_plugin.learning.scorers.catalogue_scores import (
    Amounts,
    Collaborative,
    Histories,
    Linear,
    Shares,
    Weights,
    scaled,
)
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.scorers.popularity import popularity_prior
from llmrec_plugin.learning.scorers.projection_head import (
    HISTORY,
    Head,
    HeadSums,
    collect,
    fit_head,
    identity_head,
)
from llmrec_plugin.learning.scorers.sequential import neighbours_from
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.types import Matrix

Popularity: TypeAlias = Literal["all-time", "recent", "latest"]
COUNTED_SHARE: Mapping[Popularity, float] = {"all-time": 1.0, "recent": 0.1, "latest": 0.03}
"""Of the events in order of time, how many of the last are counted."""
KINDS = tuple(COUNTED_SHARE)
SEED = 0
USUAL_NEIGHBOURS = NeighbourConfig(order=0.1, likeness=3.0)
"""Where nothing is proven yet: so little of the order helped on each of four sites, and so little likeness on
one, with no harm on the others (docs/measurements.md)."""


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Holds how a head is fitted."""

    ridge: float | None = None
    """None: the whitening alone, nothing is learned from events."""
    mix: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """Holds all that decides an order, apart from what is fitted."""

    shares: Shares = field(default_factory=Shares)
    """How the sources are weighed where no `weights` were learned."""
    weights: Weights | None = None
    gamma: float = 1.0
    """What a past item adds to the taste, of what the next younger one does."""
    head: HeadConfig | None = None
    """None: likeness by the frozen vectors."""
    neighbours: NeighbourConfig = USUAL_NEIGHBOURS
    """How neighbours are learned."""
    neighbour_gamma: float = 1.0
    """What the neighbours of a past item count, of what those of the next younger one do."""
    popularity: Popularity = "all-time"
    """Which events an item is called popular for."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A config with all that it learned from some events; ranks a whole catalogue."""

    config: ScorerConfig
    text: Linear
    neighbours: Collaborative
    prior: NDArray[np.float32]

    def __call__(self, past: Histories, amounts: Amounts = None) -> Matrix:
        """Scores, shape (histories, items)."""
        taste, neighbours = self.text(past, amounts), self.neighbours(past, amounts)
        if self.config.weights is not None:
            return self.config.weights.fused(taste, neighbours, self.prior)
        return scaled(taste, neighbours, self.prior).fused(self.config.shares)


def points(weights: Weights, fitted: Fitted, past: Histories, amounts: Amounts = None) -> list[Matrix]:
    """Return what each source contributes to the scores, each of shape (histories, items)."""
    taste, neighbours = fitted.text(past, amounts), fitted.neighbours(past, amounts)
    return [np.broadcast_to(part, taste.shape) for part in weights.parts(taste, neighbours, fitted.prior)]


def fit_scorer(config: ScorerConfig, events: Events, vectors: Matrix) -> Fitted:
    """Return what `config` learns from all events given; `vectors`: shape (items, d), unit rows."""
    whitened = fit_whitening(vectors).apply(vectors) if config.neighbours.likeness > 0 else None
    neighbours, _ = neighbours_from(
        events, catalogue=len(vectors), config=config.neighbours, whitened=whitened
    )
    return Fitted(
        config=config,
        text=likeness(fit_text(config, events, vectors), vectors, gamma=config.gamma),
        neighbours=Collaborative(neighbours, config.neighbour_gamma),
        prior=fit_prior(events, config.popularity, len(vectors)),
    )


def fit_text(config: ScorerConfig, events: Events, vectors: Matrix) -> Head | None:
    """Return the head of this config from all events given, None where it has none; the same events give the
    same head."""
    if config.head is None:
        return None
    whitening = fit_whitening(vectors)
    if config.head.ridge is None:
        return identity_head(whitening, gamma=config.gamma)
    sums = head_sums(events, whitening.apply(vectors), gamma=config.gamma)
    return fit_head(sums, whitening, gamma=config.gamma, ridge=config.head.ridge, mix=config.head.mix)


def head_sums(events: Events, whitened: Matrix, *, gamma: float) -> HeadSums:
    """Return what the events say of heads; the same events give the same sums."""
    amounts = amounts_by_user(events)
    return collect(
        histories(events),
        whitened,
        None if amounts is None else list(amounts.values()),
        gamma=gamma,
        rng=np.random.default_rng(SEED),
    )


def likeness(head: Head | None, vectors: Matrix, *, gamma: float) -> Linear:
    """Scores by the texts alone, as the head turns them."""
    return Linear(vectors if head is None else head.directions(vectors), vectors, gamma)


def fit_prior(events: Events, kind: Popularity, size: int) -> NDArray[np.float32]:
    """Return popularity by item, 0..1. What nobody took yet counts as average."""
    return popularity_prior(counted(events, kind, size), seen=np.bincount(events.items, minlength=size) > 0)


def counted(events: Events, kind: Popularity, size: int) -> NDArray[np.int64]:
    """Return users by item: all who took it, or those of the last part of all first takings."""
    _, firsts = np.unique(events.users * size + events.items, return_index=True)
    items = events.items[np.sort(firsts)]
    items = items[len(items) - math.ceil(len(items) * COUNTED_SHARE[kind]) :]
    return np.bincount(items, minlength=size)


def recent(cases: Sequence[Case]) -> list[tuple[int, ...]]:
    """Return the part of each history that a user's state is made of."""
    return [case.history[-HISTORY:] for case in cases]


def recent_amounts(cases: Sequence[Case], by_user: Mapping[int, Sequence[float]] | None) -> Amounts:
    """Return the amounts of `recent`."""
    if by_user is None:
        return None
    return [by_user[case.user][: len(case.history)][-HISTORY:] for case in cases]
