"""Makes one list of the lists that the legs (words, meaning) found, keeping what each leg gave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.types import Hit, RankedItem


def linear(legs: Mapping[str, Sequence[Hit]], weights: Mapping[str, float]) -> list[RankedItem]:
    """Return the weighted sum of scores that each leg's own minimum and maximum bring to 0..1.

    A leg with a single distinct score counts 1 for all its hits. What a leg did not find gets
    nothing from it. Each contribution bears the name of its leg.
    """
    return _fused(
        {
            name: dict(zip(found, (weights[name] * _min_max(found)).tolist(), strict=True))
            for name, found in _scores_by_leg(legs).items()
        }
    )


def reciprocal_rank(
    legs: Mapping[str, Sequence[Hit]], weights: Mapping[str, float], *, k: int = 60
) -> list[RankedItem]:
    """Return the weighted sum of (k + 1) / (k + rank), the first rank being 1.

    The factor k + 1 changes no order; with it a first place counts the leg's full weight, as in
    `linear`, so the strengths of later stages mean the same after either fusion.
    """
    parts = {}
    for name, found in _scores_by_leg(legs).items():
        ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        parts[name] = {
            key: weights[name] * (k + 1) / (k + rank) for rank, (key, _) in enumerate(ordered, start=1)
        }
    return _fused(parts)


def complete(legs: Mapping[str, Sequence[Hit]], cosines: Mapping[str, float]) -> dict[str, Sequence[Hit]]:
    """Return the legs with the cosine added to "vector" for candidates that only "text" found.

    Without it an item that the words found counts as unlike the query in meaning only because
    it missed the cut of the nearest. Candidates without a known cosine stay as they are.
    """
    found = legs.get("vector", ())
    known = {hit.key for hit in found}
    missing = dict.fromkeys(hit.key for hit in legs.get("text", ()) if hit.key not in known)
    added = [Hit(key, cosines[key]) for key in missing if key in cosines]
    if not added:
        return dict(legs)
    return {**legs, "vector": sorted([*found, *added], key=lambda hit: (-hit.score, hit.key))}


def _scores_by_leg(legs: Mapping[str, Sequence[Hit]]) -> dict[str, dict[str, float]]:
    """Return the score of each key, its best should it come twice, per leg that found something."""
    by_score = attrgetter("score")
    result = {}
    for name, hits in legs.items():
        if not all(map(math.isfinite, map(by_score, hits))):
            raise InvalidVector(f"The {name} leg has a score that is not finite; check the encoder.")
        scores = {hit.key: hit.score for hit in hits}
        if len(scores) < len(hits):
            scores = {hit.key: hit.score for hit in sorted(hits, key=by_score)}
        if scores:
            result[name] = scores
    return result


def _min_max(found: Mapping[str, float]) -> NDArray[np.float64]:
    scores = np.fromiter(found.values(), dtype=np.float64, count=len(found))
    halves = scores * 0.5  # the difference of two finite halves is finite, that of the scores may not be
    lowest = halves.min()
    span = halves.max() - lowest
    return (halves - lowest) / span if span > 0 else np.ones_like(scores)


def _fused(parts: Mapping[str, Mapping[str, float]]) -> list[RankedItem]:
    contributions: dict[str, dict[str, float]] = {}
    for name, values in parts.items():
        for key, value in values.items():
            known = contributions.get(key)
            if known is None:
                contributions[key] = {name: value}
            else:
                known[name] = value
    return best_first(RankedItem(key, sum(values.values()), values) for key, values in contributions.items())
