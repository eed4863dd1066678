"""Learns what an item is worth before anything is known of the user."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.exceptions import InvalidVector


def popularity_prior(counts: ArrayLike, *, seen: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return the logarithm of the counts, the most popular item at 1, shape (n,); counts may be decayed.

    An item without events gets the mean of the others: not yet seen is not disliked. Where the counts are
    of a part of the events, `seen` says which items had any at all; None: those that count above 0.
    """
    amounts = np.asarray(counts, dtype=np.float64)
    if not np.isfinite(amounts).all() or (amounts < 0).any():
        raise InvalidVector("Counts of events must be finite and not negative.")
    if not amounts.any():
        return np.zeros(amounts.shape, dtype=np.float32)
    seen = amounts > 0 if seen is None else seen | (amounts > 0)
    logarithms = np.log1p(amounts)
    values: NDArray[np.float32] = (logarithms / logarithms.max()).astype(np.float32)
    values[~seen] = values[seen].mean()
    return values
