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


def constant(values: NDArray[np.floating]) -> Callable[[Histories], Matrix]:
    """The same scores for everybody, such as popularity."""
    row = np.asarray(values, dtype=np.float32)
    return lambda histories: np.tile(row, (len(histories), 1))


def _decay(length: int, gamma: float) -> NDArray[np.float32]:
    ages = np.arange(length - 1, -1, -1, dtype=np.float32)
    weights: NDArray[np.float32] = np.power(np.float32(gamma), ages)
    return weights
