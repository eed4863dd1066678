"""Makes all directions of a catalogue's vectors count alike, so that what sets items apart outweighs what
they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.vectors import unit_rows
from llmrec_plugin.types import Matrix, Vector

EPSILON = 1e-3
"""Of the largest eigenvalue; keeps directions that hold nothing but noise from being blown up."""
MIN_ITEMS = 2


@dataclass(frozen=True, eq=False)
class Whitening:
    """Turns texts into w = unit((t - mean) @ matrix), computed from the catalogue alone: no user data is in
    it."""

    mean: Vector
    """Shape (d,)."""
    matrix: Matrix
    """Shape (d, d), symmetric (ZCA), so that whitened vectors stay close to the raw ones."""

    def apply(self, vectors: Matrix) -> Matrix:
        """Return unit rows, shape (n, d), for unit rows of the same encoder; the mean itself becomes zero."""
        moved = (vectors - self.mean) @ self.matrix
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        whitened: Matrix = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 0)
        return whitened


def fit_whitening(vectors: Matrix, *, epsilon: float = EPSILON) -> Whitening:
    """Return the whitening of a catalogue, shape (n, d); raises InvalidVector for fewer than two items."""
    if len(vectors) < MIN_ITEMS:
        raise InvalidVector(f"Whitening needs at least {MIN_ITEMS} items, not {len(vectors)}.")
    rows = unit_rows(list(vectors)).astype(np.float64)
    mean = rows.mean(axis=0)
    centred = rows - mean
    values, directions = np.linalg.eigh(centred.T @ centred / len(rows))
    values = values.clip(min=0.0)
    largest = float(values[-1])
    if largest == 0.0:
        raise InvalidVector(
            "All items have the same vector: their texts are equal, or the encoder is broken."
        )
    scale = 1.0 / np.sqrt(values + epsilon * largest)
    return Whitening(
        mean=mean.astype(np.float32), matrix=((directions * scale) @ directions.T).astype(np.float32)
    )
