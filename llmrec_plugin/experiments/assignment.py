"""Which arm a visitor sees: a salted hash, so that the answer is always the same and nothing is stored."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate


def place(unit: str, *, salt: str) -> float:
    """Where the unit stands between 0 (included) and 1 (excluded), as if drawn at random, once for all.

    Another salt draws anew: without one of its own, each experiment would meet the same visitors in the same
    arm, together with what the experiments before did to them.
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    # 53 bits are what a float holds exactly: with all 64 the largest would round up to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(unit: str, *, salt: str, shares: Sequence[float]) -> int:
    """Number of the arm that the unit sees; over many units each arm gets its part of the shares.

    Raises ValueError for shares that are negative or all 0.
    """
    bounds = list(accumulate(shares))
    if not bounds or min(shares) < 0 or bounds[-1] <= 0:
        raise ValueError(f"Shares of an experiment are 0 or more and not all 0: {list(shares)}.")
    return bisect_right(bounds, place(unit, salt=salt) * bounds[-1])
