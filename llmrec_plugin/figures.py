"""Says figures: to machines in JSON, which has no NaN, and to people, for whom what is unknown is a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:
    """Return the value as JSON can say it: what is not a number, or has no end, is null; arrays are lists."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def figure(value: float | None, form: str = ".4f") -> str:
    """Return the number in the form of a format specification; "–" for None."""
    return "–" if value is None else format(value, form)
