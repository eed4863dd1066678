"""Where meaning ends and noise begins, measured per encoder and catalogue, never assumed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import InvalidVector

NONSENSE_REFUSED = 0.95
MATCHES_KEPT = 0.9
MIN_REFUSED = 0.5
MIN_SAMPLES = 10


def similarity_floor(nonsense_best: NDArray[np.floating], matches: NDArray[np.floating]) -> float | None:
    """The least cosine of a meaningful match, or None where no cosine tells meaning from noise.

    `nonsense_best` holds the best cosine that each meaningless query finds, `matches` the cosine
    of items to short queries that they answer. The floor refuses 95 % of the nonsense, or less
    where it would otherwise refuse more than 10 % of the matches: encoders whose cosines lie in a
    narrow band have no floor that does both. With less than half of the nonsense refused, or with
    under 10 samples of either, there is none.
    """
    if not (np.isfinite(nonsense_best).all() and np.isfinite(matches).all()):
        raise InvalidVector("A cosine measured for the similarity floor is not finite; check the encoder.")
    if min(nonsense_best.size, matches.size) < MIN_SAMPLES:
        return None
    floor = min(
        float(np.quantile(nonsense_best, NONSENSE_REFUSED)), float(np.quantile(matches, 1 - MATCHES_KEPT))
    )
    return floor if float(np.mean(nonsense_best < floor)) >= MIN_REFUSED else None
