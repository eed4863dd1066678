"""The gate through which vectors enter the ranking: finite, of one size, not zero, brought to unit length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix, Vector

SINGLE_THREADED = 2**18
"""Multiplications that OpenBLAS does without threads."""


def stack(keys: Iterable[str], vectors: Mapping[str, Vector]) -> tuple[list[int], Matrix]:
    """The positions of the keys that have a vector, and those vectors as unit rows, shape (m, d).

    No vector at all gives shape (0, 0). Stored vectors are rounded to half precision, so their
    length is made exactly one again here.
    """
    found = [vectors.get(key) for key in keys]
    positions = [position for position, vector in enumerate(found) if vector is not None]
    rows = [vector for vector in found if vector is not None]
    return positions, unit_rows(rows)


def unit_rows(rows: list[Vector]) -> Matrix:
    """The vectors as one float32 matrix of unit rows; raises InvalidVector for what has no direction."""
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    shapes = {row.shape for row in rows}
    if len(shapes) > 1 or rows[0].ndim != 1:
        raise InvalidVector(
            f"Vectors of one space are one-dimensional and of one size, not {sorted(shapes)}."
        )
    matrix = np.concatenate(rows).reshape(len(rows), -1).astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    if not (np.isfinite(lengths).all() and lengths.all()):
        bad = int(np.argmin(np.isfinite(lengths) & (lengths > 0)))
        raise InvalidVector(f"Vector {bad} of {len(rows)} is zero or not finite; check the encoder.")
    unit_matrix: Matrix = matrix / lengths[:, None]
    return unit_matrix


def products(left: Matrix, right: Matrix) -> Matrix:
    """left @ right.T in pieces too small for the linear algebra library to wake its threads.

    At the sizes of one request the product takes 0.1 ms and the waking, on a busy machine, 8 ms.
    """
    if left.shape[1] != right.shape[1]:
        raise InvalidVector(
            f"Vectors of {left.shape[1]} and of {right.shape[1]} dimensions come from two encoders."
        )
    step = max(1, SINGLE_THREADED // max(1, right.size))
    pieces = [left[start : start + step] @ right.T for start in range(0, len(left), step)]
    result: Matrix = np.concatenate(pieces)
    return result


def cosines_to(query: Vector, keys: Iterable[str], vectors: Mapping[str, Vector]) -> dict[str, float]:
    """Key -> cosine, of those keys that have a vector; no length matters."""
    keys = list(dict.fromkeys(keys))
    positions, matrix = stack(keys, vectors)
    if not positions:
        return {}
    cosines = products(matrix, unit(query)[None, :])[:, 0].tolist()
    return {keys[position]: cosine for position, cosine in zip(positions, cosines, strict=True)}


def unit(vector: Vector) -> Vector:
    """The vector at unit length."""
    row: Vector = unit_rows([vector])[0]
    return row
