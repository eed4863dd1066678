"""Ranks candidates for a user without a query: their taste, other people's behaviour, popularity."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.explanation import personal_points
from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.ranking.stages import NAMED_PARTS, AdditiveStage, Neighbours, Prior, Taste
from llmrec_plugin.types import RankedItem, Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonalWeights:
    """How much each source counts."""

    taste: float
    neighbours: float
    popularity: float
    learned: bool = False
    """Whether these are points per unit of a source, the same for every list, as `learning.setups` weighs
    them. If not, each source puts its best and its worst candidate that far apart."""
    average: float = 0.0
    """Learned only: what an item without a prior counts as."""


def rank_for_user(
    candidates: Sequence[str],
    *,
    profile: Profile | None,
    vectors: Mapping[str, Vector],
    neighbours: Mapping[str, Mapping[str, float]],
    prior: Mapping[str, float],
    weights: PersonalWeights,
    text_neighbours: Mapping[str, Collection[str]] | None = None,
    named: int | None = NAMED_PARTS,
) -> list[RankedItem]:
    """The candidates, best first.

    `neighbours` maps a candidate to the past items that lead to it and how strongly. Without a profile
    and without such items the order is that of the prior. Contributions: taste:<past item>, taste,
    neighbours:<past item>, text_neighbours:<past item>, popularity. `text_neighbours` are as of
    `Neighbours`, `named` is as of `Taste`.
    """
    keys = list(dict.fromkeys(candidates))
    known = {key: prior[key] for key in keys if key in prior}
    span = 1.0 if weights.learned else None
    sources: list[AdditiveStage] = [
        Neighbours(neighbours, weights.neighbours, span, text_neighbours or {}),
        _prior(known, weights),
    ]
    if profile is not None:
        sources.insert(0, Taste(profile, vectors, weights.taste, span, named))
    given = [source.contributions(keys) for source in sources]
    items = []
    for key, *parts in zip(keys, *given, strict=True):
        contributions = {name: value for part in parts for name, value in part.items()}
        items.append(RankedItem(key=key, score=sum(contributions.values()), contributions=contributions))
    return best_first(items)


def common_points(
    item: RankedItem,
    *,
    profile: Profile,
    vectors: Mapping[str, Vector],
    prior: Mapping[str, float],
    weights: PersonalWeights,
) -> tuple[float, float, float]:
    """What taste, other people and popularity contribute, by learned weights, to every item of a list above
    its contributions: these leave out what all have in common. `item` is any of it that has a vector."""
    taste, _, popularity = personal_points(item) or (0.0, 0.0, 0.0)
    cosine = float(profile.attribute(vectors[item.key][None, :]).sum())
    popular = prior.get(item.key, weights.average)
    return weights.taste * cosine - taste, 0.0, weights.popularity * popular - popularity


def _prior(values: Mapping[str, float], weights: PersonalWeights) -> Prior:
    """Counted from the least popular candidate on: what all have tells nothing, and is no reason."""
    if not values:
        return Prior({}, weights.popularity)
    if not all(map(math.isfinite, values.values())):
        raise InvalidVector("A popularity value is not finite.")
    lowest, highest = min(values.values()), max(values.values())
    if weights.learned:
        above = {key: value - lowest for key, value in values.items()}
        return Prior(above, weights.popularity, average=weights.average - lowest)
    span = highest - lowest
    scaled = {key: (value - lowest) / span if span > 0 else 0.0 for key, value in values.items()}
    return Prior(scaled, weights.popularity)
