"""Holds which items follow from which, and how it is gathered from who took what.

Direction: row s of `Neighbours` lists what to recommend to one who took item s. How the weights come about is
`ease` and `item_knn`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix

Method: TypeAlias = Literal["ease", "item-knn"]
UserItem: TypeAlias = Any
"""scipy.sparse matrix or array, users x items; 1 or a weight where the user took the item."""
TOP = 50
"""Neighbours kept per item; all of them rank no better (docs/measurements.md)."""
USUAL_RIDGE = 100.0
BLOCK_NUMBERS = 4_000_000
"""Size of the intermediate results, in numbers."""


@dataclass(frozen=True, kw_only=True)
class NeighbourConfig:
    """Says how neighbours are learned."""

    method: Method = "ease"
    """EASE gives way to item-kNN where there are too many items for it."""
    strength: float = USUAL_RIDGE
    """Of the regularisation of EASE, or of the shrinkage of item-kNN."""
    recency: float | None = None
    """The share of the time of all events after which an event counts 1/e of what the latest counts; None:
    old ones count as much as new ones."""
    order: float = 0.0
    """What neighbours by order (`transitions`) count beside those by company, as a ratio of their usual sums
    per item; 0: order does not matter."""
    likeness: float = 0.0
    """As how many users in common two items count whose texts say the same; by the cosine of their whitened
    vectors fewer where these say something else. 0: texts do not matter."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Holds the strongest positive weights of each item, strongest first, equal ones by index."""

    indices: NDArray[np.int32]
    """Shape (n, top): row s holds the items to recommend to one who took s, padded with -1."""
    weights: NDArray[np.float32]
    """Shape (n, top): how strongly, padded with 0."""

    def of(self, item: int) -> list[tuple[int, float]]:
        """Return what to recommend to one who took the item, strongest first."""
        count = int((self.indices[item] >= 0).sum())
        return list(
            zip(self.indices[item, :count].tolist(), self.weights[item, :count].tolist(), strict=True)
        )

    def leading(self) -> UserItem:
        """Return them as a sparse matrix, items x items: from a past item to what it leads to."""
        from scipy import sparse

        known = self.indices >= 0
        ends = np.concatenate([[0], known.sum(axis=1).cumsum()])
        shape = (len(known), len(known))
        return sparse.csr_array((self.weights[known], self.indices[known], ends), shape=shape)


def taken(
    users: NDArray[np.integer],
    items: NDArray[np.integer],
    amounts: NDArray[np.float32] | None = None,
    *,
    catalogue: int,
) -> UserItem:
    """Return the matrix of who took what, from one entry per event; shape (largest user + 1, catalogue).

    Of several events of a pair the largest amount counts; without `amounts` each counts 1.
    """
    from scipy import sparse

    shape = (int(users.max()) + 1 if len(users) else 0, catalogue)
    if amounts is None:
        amounts = np.ones(len(users), np.float32)
    order = np.lexsort((-amounts, items, users))
    users, items, amounts = users[order], items[order], amounts[order]
    first = changes(users, items)
    return sparse.csr_array((amounts[first], (users[first], items[first])), shape=shape)


def changes(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a pair of two columns differs from the one before it; the first does."""
    found = np.ones(len(one), np.bool_)
    found[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    return found


def taken_together(user_item: UserItem, neighbours: Neighbours) -> NDArray[np.bool_]:
    """Return whether any user took both, the item and its neighbour; shape as of `neighbours`."""
    together = np.zeros(neighbours.indices.shape, np.bool_)
    for start, block in products(checked(user_item)):
        for item, begin, end in zip(itertools.count(start), block.indptr, block.indptr[1:], strict=False):
            together[item] = np.isin(neighbours.indices[item], block.indices[begin:end])
    return together


def strongest(leading: UserItem, *, top: int = TOP) -> Neighbours:
    """Return the `top` positive weights of each row of a sparse matrix, items x items."""
    leading = leading.tocsr()
    rows = (
        (leading.indices[begin:end], leading.data[begin:end])
        for begin, end in itertools.pairwise(leading.indptr)
    )
    return gathered(rows, leading.shape[0], top)


def blended(one: Neighbours, other: Neighbours, *, share: float, top: int = TOP) -> Neighbours:
    """Return both together; the `other` counts `share` once the weights of both sum up to the same."""
    first, second = one.leading(), other.leading()
    if not (share > 0 and first.sum() > 0 and second.sum() > 0):
        return one
    return strongest(first + second * np.float32(share * first.sum() / second.sum()), top=top)


def checked(user_item: UserItem) -> UserItem:
    """Return the matrix as float32; raises InvalidVector where it is not finite or below 0."""
    from scipy import sparse

    matrix = sparse.csr_array(user_item, dtype=np.float32)
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise InvalidVector("Weights of interactions must be finite and not negative.")
    return matrix


Row: TypeAlias = tuple[NDArray[np.integer], NDArray[np.floating]]


def dense_products(matrix: UserItem, features: Matrix | None) -> Iterator[tuple[int, Matrix]]:
    """Yield the same as `products`, filled up, with those of the features."""
    for start, block in products(matrix):
        dense: Matrix = block.toarray()
        if features is not None:
            dense += features[start : start + len(dense)] @ features.T
        yield start, dense


def products(matrix: UserItem) -> Iterator[tuple[int, UserItem]]:
    """Yield the dot products of all pairs of items, some rows at a time: (first item, sparse rows)."""
    by_item = matrix.T.tocsr()
    items = matrix.shape[1]
    step = max(1, BLOCK_NUMBERS // max(1, items))
    for start in range(0, items, step):
        yield start, by_item[start : start + step] @ matrix


def gathered(rows: Iterator[Row], items: int, top: int) -> Neighbours:
    """Return the `top` strongest of each row: (columns, weights), one row per item."""
    indices = np.full((items, top), -1, dtype=np.int32)
    weights = np.zeros((items, top), dtype=np.float32)
    for item, (columns, values) in enumerate(rows):
        best = _strongest(columns, values, top)
        indices[item, : len(best)] = columns[best]
        weights[item, : len(best)] = values[best]
    return Neighbours(indices, weights)


def _strongest(columns: NDArray[np.integer], values: NDArray[np.floating], top: int) -> NDArray[np.intp]:
    """Return positions of the largest positive values, largest first, equal ones by column."""
    positive = np.flatnonzero(values > 0)
    if len(positive) > top:
        least = np.partition(values[positive], -top)[-top]
        positive = positive[values[positive] >= least]
    order = np.lexsort((columns[positive], -values[positive]))
    return positive[order[:top]]
