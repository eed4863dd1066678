"""Picks few examples that stand for many: every other one lies near one of those that are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.types import Matrix

PROJECTED = 64
"""Numbers that distances are taken from: a random projection keeps them, at a tenth of the time."""


def k_centre(vectors: Matrix, size: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return rows of `size` vectors, sorted: the greedy k-centre choice (Gonzalez 1985), at most twice as far
    from any vector as the best choice could be. All rows where there are no more than `size`."""
    if len(vectors) <= size:
        return np.arange(len(vectors))
    points = _projected(vectors, rng)
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf, np.float32)
    while len(chosen) < size:
        moved = points - points[chosen[-1]]
        np.minimum(nearest, np.einsum("ij,ij->i", moved, moved), out=nearest)
        nearest[chosen[-1]] = -1.0  # never again, even where all that is left lies in one point
        chosen.append(int(nearest.argmax()))
    return np.sort(np.asarray(chosen, np.int64))


def _projected(vectors: Matrix, rng: np.random.Generator) -> Matrix:
    if vectors.shape[1] <= PROJECTED:
        return vectors
    turn = rng.standard_normal((vectors.shape[1], PROJECTED)).astype(np.float32)
    projected: Matrix = vectors @ turn
    return projected
