"""Which items follow from which, learned from who took what: EASE where it fits, item-kNN above.

Direction: row s of `Neighbours` lists what to recommend to one who took item s.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector
from llmrec_plugin.types import Matrix

Method: TypeAlias = Literal["ease", "item-knn"]
UserItem: TypeAlias = Any
"""scipy.sparse matrix or array, users x items; 1 or a weight where the user took the item."""

TOP = 50
"""Neighbours kept per item; all of them rank no better (docs/measurements.md)."""
USUAL_RIDGE = 100.0
USUAL_SHRINK = 50.0

MAX_ITEMS_FOR_EASE = 10_000
"""The inverse of EASE holds items x items numbers (at 10,000: 0.4 GB) and takes time cubic in them."""

MAX_ITEMS_FOR_LIKENESS = 50_000
"""The likeness of all pairs of texts takes time that grows with the square of their number: a minute here."""

WELL_CONDITIONED = 1e4
"""Below this condition number single precision inverts with about three correct digits, enough to
order neighbours and half the memory and time; above it double precision is used."""

BLOCK_NUMBERS = 4_000_000
"""Size of the intermediate results, in numbers."""


@dataclass(frozen=True, kw_only=True)
class NeighbourConfig:
    """How neighbours are learned."""

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
    """The strongest positive weights of each item, strongest first, equal ones by index."""

    indices: NDArray[np.int32]
    """Shape (n, top): row s holds the items to recommend to one who took s, padded with -1."""
    weights: NDArray[np.float32]
    """Shape (n, top): how strongly, padded with 0."""

    def of(self, item: int) -> list[tuple[int, float]]:
        """What to recommend to one who took the item, strongest first."""
        count = int((self.indices[item] >= 0).sum())
        return list(
            zip(self.indices[item, :count].tolist(), self.weights[item, :count].tolist(), strict=True)
        )

    def leading(self) -> UserItem:
        """Sparse, items x items: from a past item to what it leads to."""
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
    """The matrix of who took what, from one entry per event; shape (largest user + 1, catalogue).

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
    """Where a pair of two columns differs from the one before it; the first does."""
    found = np.ones(len(one), np.bool_)
    found[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    return found


USUAL = NeighbourConfig()


def fit_neighbours(
    user_item: UserItem,
    *,
    config: NeighbourConfig = USUAL,
    whitened: Matrix | None = None,
    top: int = TOP,
) -> tuple[Neighbours, Method]:
    """Neighbours by the method asked for, as far as the size of the catalogue allows it, and by which.

    `whitened`: shape (items, d), unit rows or zero ones for texts that are not known; needed for `likeness`,
    which counts nothing where `texts_fit` says no.
    """
    features = None
    if whitened is not None and config.likeness > 0 and texts_fit(len(whitened)):
        features = np.float32(math.sqrt(config.likeness)) * whitened
    if config.method == "item-knn":
        return item_knn(user_item, features=features, shrink=config.strength, top=top), "item-knn"
    if ease_fits(user_item.shape[1]):
        return ease(user_item, features=features, regularisation=config.strength, top=top), "ease"
    return item_knn(user_item, features=features, top=top), "item-knn"


def ease_fits(items: int) -> bool:
    """Whether so many are few enough for EASE."""
    return items <= MAX_ITEMS_FOR_EASE


def texts_fit(items: int) -> bool:
    """Whether so many are few enough for the likeness of all pairs of texts."""
    return items <= MAX_ITEMS_FOR_LIKENESS


def ease(
    user_item: UserItem,
    *,
    features: Matrix | None = None,
    regularisation: float = USUAL_RIDGE,
    top: int = TOP,
) -> Neighbours:
    """Steck's closed-form linear autoencoder (2019), its `top` positive weights per item.

    `features`, shape (items, d), stand for d more users, each of whom took every item by so much, which tells
    of items that few or none took (Jeunen, Van Balen and Goethals, Closed-Form Models for Collaborative
    Filtering with Side-Information, 2020). Needs memory for one items x items matrix; see
    MAX_ITEMS_FOR_EASE.
    """
    if not regularisation > 0:
        raise ConfigurationError(f"EASE needs a positive regularisation, not {regularisation}.")
    matrix = _checked(user_item)
    return _gathered(_ease_rows(matrix, features, regularisation), matrix.shape[1], top)


def item_knn(
    user_item: UserItem,
    *,
    features: Matrix | None = None,
    shrink: float = USUAL_SHRINK,
    top: int = TOP,
) -> Neighbours:
    """Cosine between the items' columns, shrunk towards 0 where few users took both; `features` as of `ease`.

    Memory stays bounded: the products are formed for a few items at a time.
    """
    matrix = _checked(user_item)
    return _gathered(_knn_rows(matrix, features, shrink), matrix.shape[1], top)


def taken_together(user_item: UserItem, neighbours: Neighbours) -> NDArray[np.bool_]:
    """Shape as of `neighbours`: whether any user took both, the item and its neighbour."""
    together = np.zeros(neighbours.indices.shape, np.bool_)
    for start, block in _products(_checked(user_item)):
        for item, begin, end in zip(itertools.count(start), block.indptr, block.indptr[1:], strict=False):
            together[item] = np.isin(neighbours.indices[item], block.indices[begin:end])
    return together


def strongest(leading: UserItem, *, top: int = TOP) -> Neighbours:
    """Of each row of a sparse matrix, items x items, its `top` positive weights."""
    leading = leading.tocsr()
    rows = (
        (leading.indices[begin:end], leading.data[begin:end])
        for begin, end in itertools.pairwise(leading.indptr)
    )
    return _gathered(rows, leading.shape[0], top)


def blended(one: Neighbours, other: Neighbours, *, share: float, top: int = TOP) -> Neighbours:
    """Both together; the `other` counts `share` once the weights of both sum up to the same."""
    first, second = one.leading(), other.leading()
    if not (share > 0 and first.sum() > 0 and second.sum() > 0):
        return one
    return strongest(first + second * np.float32(share * first.sum() / second.sum()), top=top)


def _checked(user_item: UserItem) -> UserItem:
    from scipy import sparse

    matrix = sparse.csr_array(user_item, dtype=np.float32)
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise InvalidVector("Weights of interactions must be finite and not negative.")
    return matrix


_Row: TypeAlias = tuple[NDArray[np.integer], NDArray[np.floating]]


def _ease_rows(matrix: UserItem, features: Matrix | None, regularisation: float) -> Iterator[_Row]:
    from scipy.linalg import lapack

    items = matrix.shape[1]
    if items == 0:
        return
    largest = float((matrix.T @ (matrix @ np.ones(items))).max())  # largest row sum, bounds the eigenvalues
    if features is not None:
        largest += float(np.linalg.eigvalsh(features.T @ features)[-1])
    single = 1.0 + largest / regularisation < WELL_CONDITIONED
    full = np.empty((items, items), dtype=np.float32 if single else np.float64, order="F")
    for start, block in _dense_products(matrix, features):
        full[:, start : start + len(block)] = block.T
    full[np.diag_indices(items)] += regularisation
    factorise, invert = (lapack.spotrf, lapack.spotri) if single else (lapack.dpotrf, lapack.dpotri)
    factor, _ = factorise(full, overwrite_a=1)
    inverse, _ = invert(factor, overwrite_c=1)
    columns = np.arange(items)
    diagonal = inverse.diagonal().copy()
    for item in range(items):
        # Only the upper triangle is filled: what lies left of the diagonal stands above it.
        weights = np.concatenate([inverse[:item, item], inverse[item, item:]]) / -diagonal
        weights[item] = 0.0
        yield columns, weights


def _knn_rows(matrix: UserItem, features: Matrix | None, shrink: float) -> Iterator[_Row]:
    squares = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()
    if features is None:
        lengths = np.sqrt(squares)
        for start, block in _products(matrix):
            for item, begin, end in zip(itertools.count(start), block.indptr, block.indptr[1:], strict=False):
                yield _cosines(item, block.indices[begin:end], block.data[begin:end], lengths, shrink)
        return
    lengths = np.sqrt(squares + np.square(features).sum(axis=1))
    columns = np.arange(matrix.shape[1])
    for start, dense in _dense_products(matrix, features):
        for item, dots in enumerate(dense, start):
            yield _cosines(item, columns, dots, lengths, shrink)


def _cosines(
    item: int,
    columns: NDArray[np.integer],
    dots: NDArray[np.floating],
    lengths: NDArray[np.floating],
    shrink: float,
) -> _Row:
    below = lengths[item] * lengths[columns] + shrink
    weights = np.divide(dots, below, out=np.zeros_like(dots), where=below > 0)
    weights[columns == item] = 0.0
    return columns, weights


def _dense_products(matrix: UserItem, features: Matrix | None) -> Iterator[tuple[int, Matrix]]:
    """As `_products`, filled up, with those of the features."""
    for start, block in _products(matrix):
        dense: Matrix = block.toarray()
        if features is not None:
            dense += features[start : start + len(dense)] @ features.T
        yield start, dense


def _products(matrix: UserItem) -> Iterator[tuple[int, UserItem]]:
    """The dot products of all pairs of items, some rows at a time: (first item, sparse rows)."""
    by_item = matrix.T.tocsr()
    items = matrix.shape[1]
    step = max(1, BLOCK_NUMBERS // max(1, items))
    for start in range(0, items, step):
        yield start, by_item[start : start + step] @ matrix


def _gathered(rows: Iterator[_Row], items: int, top: int) -> Neighbours:
    indices = np.full((items, top), -1, dtype=np.int32)
    weights = np.zeros((items, top), dtype=np.float32)
    for item, (columns, values) in enumerate(rows):
        best = _strongest(columns, values, top)
        indices[item, : len(best)] = columns[best]
        weights[item, : len(best)] = values[best]
    return Neighbours(indices, weights)


def _strongest(columns: NDArray[np.integer], values: NDArray[np.floating], top: int) -> NDArray[np.intp]:
    """Positions of the largest positive values, largest first, equal ones by column."""
    positive = np.flatnonzero(values > 0)
    if len(positive) > top:
        least = np.partition(values[positive], -top)[-top]
        positive = positive[values[positive] >= least]
    order = np.lexsort((columns[positive], -values[positive]))
    return positive[order[:top]]
