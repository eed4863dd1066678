"""Learns neighbours as the cosine between who took one item and who took another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.scorers.neighbours import (
    TOP,
    Neighbours,
    Row,
    UserItem,
    checked,
    dense_products,
    gathered,
    products,
)
from llmrec_plugin.types import Matrix

USUAL_SHRINK = 50.0


def item_knn(
    user_item: UserItem,
    *,
    features: Matrix | None = None,
    shrink: float = USUAL_SHRINK,
    top: int = TOP,
) -> Neighbours:
    """Return the cosines between the items' columns, shrunk towards 0 where few users took both.

    `features` as of `ease`. Memory stays bounded: the products are formed for a few items at a time.
    """
    matrix = checked(user_item)
    return gathered(_knn_rows(matrix, features, shrink), matrix.shape[1], top)


def _knn_rows(matrix: UserItem, features: Matrix | None, shrink: float) -> Iterator[Row]:
    squares = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()
    if features is None:
        lengths = np.sqrt(squares)
        for start, block in products(matrix):
            for item, begin, end in zip(itertools.count(start), block.indptr, block.indptr[1:], strict=False):
                yield _cosines(item, block.indices[begin:end], block.data[begin:end], lengths, shrink)
        return
    lengths = np.sqrt(squares + np.square(features).sum(axis=1))
    columns = np.arange(matrix.shape[1])
    for start, dense in dense_products(matrix, features):
        for item, dots in enumerate(dense, start):
            yield _cosines(item, columns, dots, lengths, shrink)


def _cosines(
    item: int,
    columns: NDArray[np.integer],
    dots: NDArray[np.floating],
    lengths: NDArray[np.floating],
    shrink: float,
) -> Row:
    below = lengths[item] * lengths[columns] + shrink
    weights = np.divide(dots, below, out=np.zeros_like(dots), where=below > 0)
    weights[columns == item] = 0.0
    return columns, weights
