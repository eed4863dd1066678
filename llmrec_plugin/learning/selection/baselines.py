"""Holds the methods that a site's lists are measured against, each with settings chosen as carefully as ours.

A baseline with untuned settings flatters whatever it is compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.comparison import PRIMARY, mean
from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import Case, Events, Plan, histories, rank_cases
from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative, Histories, Linear, constant
from llmrec_plugin.learning.scorers.ease import ease
from llmrec_plugin.learning.scorers.item_knn import item_knn
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig, Neighbours, taken
from llmrec_plugin.learning.scorers.projection_head import collect, fit_head
from llmrec_plugin.learning.scorers.tfidf import WordLikeness
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.model_config import SEED, likeness, recent
from llmrec_plugin.types import Matrix, Progress

Scores: TypeAlias = Callable[[Histories], Matrix]
Settings: TypeAlias = Mapping[str, float]

GAMMAS = (1.0, 0.9, 0.8, 0.6)
NEIGHBOURS = 100


@dataclass(frozen=True, eq=False, kw_only=True)
class Catalogue:
    """Holds what is known of the items beforehand."""

    vectors: Matrix
    """Shape (items, d)."""
    words: Any
    """Of each text, as `tfidf` gives them."""

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def whitening(self) -> Whitening:
        return fit_whitening(self.vectors)

    @cached_property
    def whitened(self) -> Matrix:
        """Return them whitened, shape as of `vectors`."""
        return self.whitening.apply(self.vectors)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A family of rankings, one for each setting."""

    learn: Callable[[Events, Catalogue], Callable[[Settings], Scores]]
    """Its rankings after these events; those that share what is learned stand side by side in `grid`."""
    grid: Sequence[Settings] = field(default=({},))


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A method that has learned from everything before the test."""

    score: Scores
    before: Scores
    """The same as it was learned before the validation cases."""
    settings: Settings
    """Chosen on the validation cases."""
    seconds: float
    """For choosing and learning."""

    def __call__(self, cases: Sequence[Case]) -> Matrix:
        return self.score(recent(cases))


def fit(method: Method, plan: Plan, catalogue: Catalogue, *, progress: Progress | None = None) -> Fitted:
    """Learn from `plan.train`, choose by `plan.valid`, learn again from `plan.known`.

    Without validation cases the first setting stands.
    """
    started = time.perf_counter()
    best = method.grid[0]
    ranking = method.learn(plan.train, catalogue)
    if len(method.grid) > 1 and plan.valid:
        values = []
        for done, settings in enumerate(method.grid, start=1):
            values.append(_value(ranking(settings), plan.valid))
            if progress is not None:
                progress(done, len(method.grid))
        best = method.grid[int(np.argmax(values))]
    score = method.learn(plan.known, catalogue)(best)
    seconds = time.perf_counter() - started
    return Fitted(score=score, before=ranking(best), settings=best, seconds=seconds)


def _value(score: Scores, cases: Sequence[Case]) -> float:
    outcome = rank_cases(lambda batch: score(recent(batch)), cases)
    return mean(accuracy(outcome.ranks)[PRIMARY])


def _grid(**choices: Sequence[float]) -> list[dict[str, float]]:
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def _popularity(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    return lambda settings: _counted(events.items, catalogue)


def _recent_popularity(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    def ranking(settings: Settings) -> Scores:
        latest = events.items[-max(1, round(len(events) * settings["share"])) :]
        return _counted(latest, catalogue)

    return ranking


def _counted(items: NDArray[np.int64], catalogue: Catalogue) -> Scores:
    return constant(np.bincount(items, minlength=len(catalogue)).astype(np.float32))


def _item_knn(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    matrix = taken(events.users, events.items, catalogue=len(catalogue))
    neighbours = lru_cache(maxsize=1)(lambda shrink: item_knn(matrix, shrink=shrink, top=NEIGHBOURS))
    return lambda settings: Collaborative(neighbours(settings["shrink"]), settings["gamma"])


def _ease(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    matrix = taken(events.users, events.items, catalogue=len(catalogue))
    neighbours = lru_cache(maxsize=1)(
        lambda regularisation: ease(matrix, regularisation=regularisation, top=NEIGHBOURS)
    )
    return lambda settings: Collaborative(neighbours(settings["regularisation"]), settings["gamma"])


def _tfidf(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    return lambda settings: WordLikeness(catalogue.words, settings["gamma"])


def _text_frozen(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    return lambda settings: Linear(catalogue.vectors, catalogue.vectors, settings["gamma"])


def _text_head(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    known = histories(events)
    sums = lru_cache(maxsize=1)(
        lambda gamma: collect(known, catalogue.whitened, gamma=gamma, rng=np.random.default_rng(SEED))
    )

    def ranking(settings: Settings) -> Scores:
        gamma = settings["gamma"]
        head = fit_head(
            sums(gamma), catalogue.whitening, gamma=gamma, ridge=settings["ridge"], mix=settings["mix"]
        )
        return likeness(head, catalogue.vectors, gamma=gamma)

    return ranking


def _text_ease(events: Events, catalogue: Catalogue) -> Callable[[Settings], Scores]:
    matrix = taken(events.users, events.items, catalogue=len(catalogue))

    @lru_cache(maxsize=1)
    def neighbours(regularisation: float, likeness: float) -> Neighbours:
        config = NeighbourConfig(strength=regularisation, likeness=likeness)
        return fit_neighbours(matrix, config=config, whitened=catalogue.whitened, top=NEIGHBOURS)[0]

    def ranking(settings: Settings) -> Scores:
        return Collaborative(neighbours(settings["regularisation"], settings["likeness"]), settings["gamma"])

    return ranking


METHODS: Mapping[str, Method] = {
    "popularity": Method(learn=_popularity),
    "recent popularity": Method(learn=_recent_popularity, grid=_grid(share=(0.1, 0.01, 0.03, 0.2))),
    "item-knn": Method(learn=_item_knn, grid=_grid(shrink=(50.0, 5.0, 200.0), gamma=GAMMAS)),
    "ease": Method(learn=_ease, grid=_grid(regularisation=(100.0, 10.0, 500.0), gamma=GAMMAS)),
    "tf-idf": Method(learn=_tfidf, grid=_grid(gamma=GAMMAS)),
    "text-frozen": Method(learn=_text_frozen, grid=_grid(gamma=GAMMAS)),
    "text-head": Method(
        learn=_text_head,
        grid=_grid(gamma=(1.0, 0.8, 0.6), mix=(1.0, 0.3, 3.0, 30.0), ridge=(1e-2, 1e-4, 1e-3, 1e-1)),
    ),
    "text-ease": Method(
        learn=_text_ease, grid=_grid(regularisation=(100.0, 500.0), likeness=(10.0, 100.0), gamma=GAMMAS)
    ),
}
"""By name; the better of two equal settings is the one that stands first."""

BASELINES = ("popularity", "recent popularity", "item-knn", "ease", "tf-idf")
"""What served lists are compared with."""
