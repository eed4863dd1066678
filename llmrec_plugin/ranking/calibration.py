"""Where meaning ends and noise begins, measured per encoder and catalogue, never assumed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import InvalidVector

NONSENSE_REFUSED = 0.95
MATCHES_KEPT = 0.95
LEAST_SAMPLES = 10


def similarity_floor(nonsense_best: NDArray[np.floating], self_matches: NDArray[np.floating]) -> float | None:
    """The least cosine of a meaningful match, or None where no cosine tells meaning from noise.

    `nonsense_best` holds the best cosine that each meaningless query finds, `self_matches` the
    cosine of items to their own titles as queries. The floor refuses 95 % of the nonsense; where
    it would also refuse more than 5 % of the true matches, or with under 10 samples of either,
    there is none.
    """
    if not (np.isfinite(nonsense_best).all() and np.isfinite(self_matches).all()):
        raise InvalidVector("A cosine measured for the similarity floor is not finite; check the encoder.")
    if min(nonsense_best.size, self_matches.size) < LEAST_SAMPLES:
        return None
    floor = float(np.quantile(nonsense_best, NONSENSE_REFUSED))
    return floor if floor <= float(np.quantile(self_matches, 1 - MATCHES_KEPT)) else None
