"""What the later pairs say of an encoder beside its loss, from the vectors that the loss was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.pointwise import area_under_curve
from llmrec_plugin.types import Matrix

GOOD = 0.5
"""Ratings from here on, of 0..1, are good ones."""


class Measured(NamedTuple):
    """A batch of pairs."""

    users: Matrix
    """Vectors of the left sides."""
    targets: Matrix
    """Vectors of the right sides."""
    right: NDArray[np.int64]
    """Rows of the right sides, shape (pairs,)."""
    left: NDArray[np.int64]
    """Rows of the left sides, shape (pairs, history); -1: not there."""
    value: NDArray[np.float32]


def ndcg_at_10(batches: Sequence[Measured]) -> float:
    """Mean NDCG@10 of what followed, among all that followed anywhere but what the left side holds; ties at
    the rank to be expected."""
    users, targets, right, left, _ = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    items, first = np.unique(right, return_index=True)
    scores = users @ targets[first].T
    own = np.searchsorted(items, right)
    held = (left[:, :, None] == items[None, None, :]).any(axis=1)
    held[np.arange(len(own)), own] = False
    mine = scores[np.arange(len(own)), own][:, None]
    better = ((scores > mine) & ~held).sum(axis=1)
    equal = ((scores == mine) & ~held).sum(axis=1)
    return float(accuracy(1 + better + (equal - 1) / 2)["NDCG@10"].mean())


def rating_auc(batches: Sequence[Measured]) -> float:
    """The chance that a good rating has the larger cosine of two; NaN where all are good, or none."""
    users, targets, _, _, value = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    cosines = (users * targets).sum(axis=1, dtype=np.float64)
    return area_under_curve(value >= GOOD, cosines)
