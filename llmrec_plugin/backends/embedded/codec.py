"""How vectors are kept, on disk and in memory alike."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.types import Matrix, Vector

Dtype: TypeAlias = Literal["float32", "float16"]

_FIXED_POINT = 32_767
"""What 1.0 is kept as in 16 bits."""

Rows = NDArray[Any]
"""Shape (n, dimensions), of the codec's own type."""


class Codec:
    """float32 as it is, or "float16": 16 bits a component, half the memory and the disk.

    The 16 bits are fixed-point, not IEEE half precision: components of unit vectors lie within -1
    and 1, so cosines are as exact (about 2e-5), and numpy reads integers ten times as fast as halves.
    """

    def __init__(self, name: str) -> None:
        self.name: Literal["float32", "float16"] = "float16" if name == "float16" else "float32"
        self._halved = name == "float16"
        self.dtype: np.dtype[Any] = np.dtype("<i2" if self._halved else "<f4")

    def encode(self, unit: Matrix) -> Rows:
        if self._halved:
            fixed: Rows = np.rint(unit * np.float32(_FIXED_POINT)).astype(self.dtype)
            return fixed
        return unit.astype(self.dtype, copy=False)

    def decode(self, rows: Rows) -> Matrix:
        """Unit rows again: rounding to 16 bits leaves lengths off by some 1e-5."""
        if not self._halved:
            return rows.astype(np.float32, copy=False)
        wide = rows.astype(np.float32)
        unit: Matrix = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        return unit

    def from_bytes(self, blobs: list[bytes], dimensions: int) -> Rows:
        return np.frombuffer(b"".join(blobs), self.dtype).reshape(len(blobs), dimensions)

    def prepare(self, query: Vector) -> Vector:
        """The query in such a scale that `products` are cosines."""
        scaled: Vector = query / np.float32(_FIXED_POINT) if self._halved else query
        return scaled

    def products(self, rows: Rows, prepared: Vector, out: Vector) -> None:
        """Dot products of the rows with a prepared query."""
        wide = rows.astype(np.float32) if self._halved else rows
        np.dot(wide, prepared, out=out)
