"""Ranks candidates for a user without a query: his taste, other people's behaviour, popularity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.ranking.stages import AdditiveStage, Also, Prior, Taste
from llmrec_plugin.types import RankedItem, Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonalWeights:
    """How far apart each source puts its best and its worst candidate."""

    taste: float
    also: float
    popularity: float


def rank_for_user(
    candidates: Sequence[str],
    *,
    profile: Profile | None,
    vectors: Mapping[str, Vector],
    also: Mapping[str, Mapping[str, float]],
    prior: Mapping[str, float],
    weights: PersonalWeights,
) -> list[RankedItem]:
    """The candidates, best first, each source scaled by its range over the candidates.

    `also` maps a candidate to the past items that lead to it and how strongly. Without a profile
    and without such items the order is that of the prior. Contributions: taste:<past item>, taste,
    also:<past item>, popularity.
    """
    keys = list(dict.fromkeys(candidates))
    known = {key: prior[key] for key in keys if key in prior}
    sources: list[AdditiveStage] = [Also(also, weights.also), Prior(_min_max(known), weights.popularity)]
    if profile is not None:
        sources.insert(0, Taste(profile, vectors, weights.taste))
    given = [source.contributions(keys) for source in sources]
    items = []
    for key, *parts in zip(keys, *given, strict=True):
        contributions = {name: value for part in parts for name, value in part.items()}
        items.append(RankedItem(key=key, score=sum(contributions.values()), contributions=contributions))
    return best_first(items)


def _min_max(values: Mapping[str, float]) -> dict[str, float]:
    """Brought to 0..1; values that do not differ tell nothing and all become 0."""
    if not values:
        return {}
    if not all(map(math.isfinite, values.values())):
        raise InvalidVector("A popularity value is not finite.")
    lowest, highest = min(values.values()), max(values.values())
    span = highest - lowest
    return {key: (value - lowest) / span if span > 0 else 0.0 for key, value in values.items()}
