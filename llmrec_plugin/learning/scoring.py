"""Scores of a whole catalogue for many users at once: the methods that an evaluation compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.neighbours import Neighbours
from llmrec_plugin.types import Matrix

Histories = Sequence[Sequence[int]]
"""Per user the rows of his items, oldest first."""


@dataclass(frozen=True, eq=False)
class Linear:
    """score_i = sum_j gamma^age_j <direction_j, item_i>, the user's vector at unit length: all methods
    that compare vectors, frozen or adapted."""

    directions: Matrix
    """Shape (n, d): what a past item adds to the user."""
    items: Matrix
    """Shape (n, d): what candidates are compared by."""
    gamma: float

    def __call__(self, histories: Histories) -> Matrix:
        users = np.zeros((len(histories), self.directions.shape[1]), dtype=np.float32)
        for row, history in enumerate(histories):
            if history:
                vector = _decay(len(history), self.gamma) @ self.directions[list(history)]
                length = float(np.linalg.norm(vector))
                users[row] = vector / length if length > 0 else 0.0
        scores: Matrix = users @ self.items.T
        return scores


@dataclass(frozen=True, eq=False)
class Collaborative:
    """score_i = sum_j gamma^age_j * weight(j -> i) over the stored neighbours of the past items."""

    neighbours: Neighbours
    gamma: float = 1.0

    def __call__(self, histories: Histories) -> Matrix:
        scores = np.zeros((len(histories), len(self.neighbours.indices)), dtype=np.float32)
        for row, history in enumerate(histories):
            weights = _decay(len(history), self.gamma)
            for item, weight in zip(history, weights, strict=True):
                known = self.neighbours.indices[item] >= 0
                found = self.neighbours.indices[item][known]
                scores[row, found] += weight * self.neighbours.weights[item][known]
        return scores


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How far apart each source puts the best and the worst item of the catalogue."""

    taste: float = 0.0
    also: float = 0.0
    popularity: float = 0.0


@dataclass(frozen=True, eq=False)
class Scaled:
    """The sources of some cases, each brought to the range that `ranking.personal` gives it."""

    taste: Matrix
    also: Matrix
    popularity: Matrix
    """Shape (1, n) or (cases, n)."""

    def fused(self, shares: Shares) -> Matrix:
        scores: Matrix = (
            np.float32(shares.taste) * self.taste
            + np.float32(shares.also) * self.also
            + np.float32(shares.popularity) * self.popularity
        )
        return scores


def scaled(taste: Matrix, also: Matrix, popularity: NDArray[np.floating]) -> Scaled:
    """Rows of scores divided by their range; a row that tells nothing becomes zero.

    In `also` an item that nothing leads to counts 0 in the range, as there.
    """
    low, high = taste.min(axis=1, keepdims=True), taste.max(axis=1, keepdims=True)
    least = np.minimum(also.min(axis=1, keepdims=True), 0.0)
    most = np.maximum(also.max(axis=1, keepdims=True), 0.0)
    row = np.asarray(popularity, dtype=np.float32)[None, :]
    return Scaled(
        taste=_divided(taste - low, high - low),
        also=_divided(also, most - least),
        popularity=_divided(row - row.min(), np.atleast_2d(row.max() - row.min())),
    )


def _divided(values: Matrix, spans: Matrix) -> Matrix:
    result: Matrix = np.divide(values, spans, out=np.zeros_like(values), where=spans > 0)
    return result


def constant(values: NDArray[np.floating]) -> Callable[[Histories], Matrix]:
    """The same scores for everybody, such as popularity."""
    row = np.asarray(values, dtype=np.float32)
    return lambda histories: np.tile(row, (len(histories), 1))


def _decay(length: int, gamma: float) -> NDArray[np.float32]:
    ages = np.arange(length - 1, -1, -1, dtype=np.float32)
    weights: NDArray[np.float32] = np.power(np.float32(gamma), ages)
    return weights
