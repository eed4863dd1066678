"""Scores of a whole catalogue for many users at once: the methods that an evaluation compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.types import Matrix

Histories = Sequence[Sequence[int]]
"""Per user the rows of their items, oldest first."""
Amounts = Sequence[Sequence[float]] | None
"""What each item of the histories counts; None: all alike."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Scores items as score_i = sum_j gamma^age_j <direction_j, item_i>, the user's vector at unit length:
    all methods that compare vectors, frozen or adapted."""

    directions: Matrix
    """Shape (n, d): what a past item adds to the user."""
    items: Matrix
    """Shape (n, d): what candidates are compared by."""
    gamma: float

    def __call__(self, histories: Histories, amounts: Amounts = None) -> Matrix:
        users = decayed(histories, amounts, len(self.directions), gamma=self.gamma) @ self.directions
        lengths = np.linalg.norm(users, axis=1, keepdims=True)
        scores: Matrix = _divided(users, lengths) @ self.items.T
        return scores


@dataclass(frozen=True, eq=False)
class Collaborative:
    """Scores items as score_i = sum_j gamma^age_j * weight(j -> i) over the stored neighbours of the past
    items."""

    neighbours: Neighbours
    gamma: float = 1.0

    def __call__(self, histories: Histories, amounts: Amounts = None) -> Matrix:
        past = decayed(histories, amounts, len(self.neighbours.indices), gamma=self.gamma)
        scores: Matrix = (past @ self._leading).toarray()
        return scores

    @cached_property
    def _leading(self) -> Any:
        return self.neighbours.leading()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Holds what a unit of each source is worth: the same for every user and list."""

    taste: float = 0.0
    """Per cosine."""
    neighbours: float = 0.0
    """Per weight of a neighbour."""
    popularity: float = 0.0
    """Per 1 of the prior."""

    def fused(self, taste: Matrix, neighbours: Matrix, popularity: NDArray[np.floating]) -> Matrix:
        """Return scores, shape as `taste` and `neighbours`, (cases, n); `popularity`: shape (n,)."""
        scores: Matrix = self.personal(taste, neighbours) + self.common(popularity)
        return scores

    def personal(self, taste: Matrix, neighbours: Matrix) -> Matrix:
        """Return the points of both sources that differ from user to user."""
        points: Matrix = np.float32(self.taste) * taste + np.float32(self.neighbours) * neighbours
        return points

    def common(self, popularity: NDArray[np.floating]) -> Matrix:
        """Return the points of popularity as one row for all, shape (1, n)."""
        row: Matrix = np.float32(self.popularity) * np.asarray(popularity, dtype=np.float32)[None, :]
        return row

    def parts(
        self, taste: Matrix, neighbours: Matrix, popularity: NDArray[np.floating]
    ) -> tuple[Matrix, ...]:
        """Return the points of each source, that of popularity as one row for all."""
        return (
            np.float32(self.taste) * taste,
            np.float32(self.neighbours) * neighbours,
            self.common(popularity),
        )

    def divided(self, by: float) -> Weights:
        """Return the same order with all scores divided; as they are where `by` is 0."""
        if not by > 0:
            return self
        return Weights(
            taste=self.taste / by, neighbours=self.neighbours / by, popularity=self.popularity / by
        )


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Holds how far apart each source puts the best and the worst item of the catalogue."""

    taste: float = 0.0
    neighbours: float = 0.0
    popularity: float = 0.0


@dataclass(frozen=True, eq=False)
class Scaled:
    """Holds the sources of some cases, each brought to the range that `ranking.personal` gives it."""

    taste: Matrix
    neighbours: Matrix
    popularity: Matrix
    """Shape (1, n) or (cases, n)."""

    def fused(self, shares: Shares) -> Matrix:
        scores: Matrix = (
            np.float32(shares.taste) * self.taste
            + np.float32(shares.neighbours) * self.neighbours
            + np.float32(shares.popularity) * self.popularity
        )
        return scores


def scaled(taste: Matrix, neighbours: Matrix, popularity: NDArray[np.floating]) -> Scaled:
    """Return rows of scores divided by their range; a row that tells nothing becomes zero.

    In `neighbours` an item that nothing leads to counts 0 in the range, as there.
    """
    low, high = taste.min(axis=1, keepdims=True), taste.max(axis=1, keepdims=True)
    least = np.minimum(neighbours.min(axis=1, keepdims=True), 0.0)
    most = np.maximum(neighbours.max(axis=1, keepdims=True), 0.0)
    row = np.asarray(popularity, dtype=np.float32)[None, :]
    return Scaled(
        taste=_divided(taste - low, high - low),
        neighbours=_divided(neighbours, most - least),
        popularity=_divided(row - row.min(), np.atleast_2d(row.max() - row.min())),
    )


def _divided(values: Matrix, spans: Matrix) -> Matrix:
    result: Matrix = np.divide(values, spans, out=np.zeros_like(values), where=spans > 0)
    return result


def constant(values: NDArray[np.floating]) -> Callable[..., Matrix]:
    """Return the same scores for everybody, such as popularity."""
    row = np.asarray(values, dtype=np.float32)
    return lambda histories, amounts=None: np.tile(row, (len(histories), 1))


def decayed(histories: Histories, amounts: Amounts, items: int, *, gamma: float) -> Any:
    """Return a sparse matrix, histories x items: what each past item counts, its amount times gamma to the
    number of younger ones; repeats are summed up."""
    from scipy import sparse

    lengths = np.fromiter(map(len, histories), dtype=np.int64, count=len(histories))
    ends = np.concatenate([[0], lengths.cumsum()])
    columns = np.fromiter(chain.from_iterable(histories), dtype=np.int64, count=int(ends[-1]))
    ages = np.repeat(ends[1:], lengths) - 1 - np.arange(len(columns))
    weights = np.power(np.float32(gamma), ages.astype(np.float32))
    if amounts is not None:
        weights *= np.fromiter(chain.from_iterable(amounts), dtype=np.float32, count=len(columns))
    return sparse.csr_array((weights, columns, ends), shape=(len(histories), items))
