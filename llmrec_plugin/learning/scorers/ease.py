"""Learns neighbours as Steck's closed-form linear autoencoder does, from who took what and from texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.scorers.neighbours import (
    TOP,
    USUAL_RIDGE,
    Neighbours,
    Row,
    UserItem,
    checked,
    dense_products,
    gathered,
)
from llmrec_plugin.types import Matrix

MAX_ITEMS_FOR_EASE = 10_000
"""The inverse of EASE holds items x items numbers (at 10,000: 0.4 GB) and takes time cubic in them."""
WELL_CONDITIONED = 1e4
"""Below this condition number single precision inverts with about three correct digits, enough to
order neighbours and half the memory and time; above it double precision is used."""


def ease_fits(items: int) -> bool:
    """Return whether so many are few enough for EASE."""
    return items <= MAX_ITEMS_FOR_EASE


def ease(
    user_item: UserItem,
    *,
    features: Matrix | None = None,
    regularisation: float = USUAL_RIDGE,
    top: int = TOP,
) -> Neighbours:
    """Return the `top` positive weights per item of Steck's closed-form linear autoencoder (2019).

    `features`, shape (items, d), stand for d more users, each of whom took every item by so much, which tells
    of items that few or none took (Jeunen, Van Balen and Goethals, Closed-Form Models for Collaborative
    Filtering with Side-Information, 2020). Needs memory for one items x items matrix; see
    MAX_ITEMS_FOR_EASE.
    """
    if not regularisation > 0:
        raise ConfigurationError(f"EASE needs a positive regularisation, not {regularisation}.")
    matrix = checked(user_item)
    return gathered(_ease_rows(matrix, features, regularisation), matrix.shape[1], top)


def _ease_rows(matrix: UserItem, features: Matrix | None, regularisation: float) -> Iterator[Row]:
    from scipy.linalg import lapack

    items = matrix.shape[1]
    if items == 0:
        return
    largest = float((matrix.T @ (matrix @ np.ones(items))).max())  # largest row sum, bounds the eigenvalues
    if features is not None:
        largest += float(np.linalg.eigvalsh(features.T @ features)[-1])
    single = 1.0 + largest / regularisation < WELL_CONDITIONED
    full = np.empty((items, items), dtype=np.float32 if single else np.float64, order="F")
    for start, block in dense_products(matrix, features):
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
