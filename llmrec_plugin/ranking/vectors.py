"""The gate through which vectors enter the ranking: finite, of one size, not zero, brought to unit length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix, Vector


def stack(keys: Iterable[str], vectors: Mapping[str, Vector]) -> tuple[list[int], Matrix]:
    """The positions of the keys that have a vector, and those vectors as unit rows, shape (m, d).

    No vector at all gives shape (0, 0). Stored vectors are rounded to half precision, so their
    length is made exactly one again here.
    """
    positions: list[int] = []
    rows: list[Vector] = []
    for position, key in enumerate(keys):
        vector = vectors.get(key)
        if vector is not None:
            positions.append(position)
            rows.append(vector)
    return positions, unit_rows(rows)


def unit_rows(rows: list[Vector]) -> Matrix:
    """The vectors as one float32 matrix of unit rows; raises InvalidVector for what has no direction."""
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    size = rows[0].shape
    if len(size) != 1 or any(row.shape != size for row in rows):
        shapes = sorted({row.shape for row in rows})
        raise InvalidVector(f"Vectors of one space are one-dimensional and of one size, not {shapes}.")
    matrix = np.concatenate(rows).reshape(len(rows), size[0]).astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    if not (np.isfinite(lengths).all() and lengths.all()):
        bad = int(np.argmin(np.isfinite(lengths) & (lengths > 0)))
        raise InvalidVector(f"Vector {bad} of {len(rows)} is zero or not finite; check the encoder.")
    return matrix / lengths[:, None]


def unit(vector: Vector) -> Vector:
    """The vector at unit length."""
    return unit_rows([vector])[0]
