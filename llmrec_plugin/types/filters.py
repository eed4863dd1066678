"""Filters: what a list is confined to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from llmrec_plugin.types.documents import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The field holds at least one of the values."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The number or date (epoch seconds) lies within the given bounds."""

    field: str
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Filter: TypeAlias = Terms | Range
"""Several filters are joined by AND."""
