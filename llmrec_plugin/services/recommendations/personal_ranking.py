"""Ranks items for one user: their profile, what people like them took, and popularity, in one order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.ranking.personal import rank_for_user
from llmrec_plugin.ranking.profile import Profile, declared_profile
from llmrec_plugin.ranking.stages import NAMED_PARTS, Diversity
from llmrec_plugin.services.profiles import declared_interests, taste
from llmrec_plugin.services.recommendations import weights as weighing
from llmrec_plugin.services.recommendations.context import DIVERSIFIED_PLACES, RecommendationContext
from llmrec_plugin.types import RankedItem


def rank_items(context: RecommendationContext, keys: Sequence[str]) -> list[RankedItem]:
    """Return these items as for-you would rank them, best first."""
    profile, _ = user_profile(context)
    neighbours = context.model.scores_by_history(liked_items(context))
    ranked, _ = rank_for_context(context, keys, profile, neighbours, context.popular())
    return ranked


def liked_items(context: RecommendationContext) -> dict[str, float]:
    """Return how much each past item of the user counts, as `taste.history_weights`."""
    return taste.history_weights(
        context.user,
        configuration=context.configuration,
        now=context.now,
        adaptation=context.adaptation,
    )


def user_profile(context: RecommendationContext) -> tuple[Profile | None, tuple[str, ...]]:
    """Return the taste that the user's events show, or before there are any, what they say about themselves;
    and what is degraded."""
    user = context.user
    if not user.consented or context.pair is None:
        return None, ()
    version = context.pair.index_version
    if user.events:
        profile = taste.cached_taste(
            user,
            version,
            configuration=context.configuration,
            now=context.now,
            adaptation=context.adaptation,
        )
        return profile, ()
    vector, degraded = declared_interests.vector_of(user.key, version=version)
    return (None if vector is None else declared_profile(vector)), degraded


def strongest(
    neighbours: Mapping[str, Mapping[str, float]], hidden: Collection[str], *, limit: int
) -> list[str]:
    """Return the keys with the largest sums of causes, largest first, those hidden left out."""
    totals = {key: sum(causes.values()) for key, causes in neighbours.items() if key not in hidden}
    return sorted(totals, key=lambda key: (-totals[key], key))[:limit]


def rank_for_context(
    context: RecommendationContext,
    candidates: Sequence[str],
    profile: Profile | None,
    neighbours: Mapping[str, Mapping[str, float]],
    popular: Sequence[RankedItem],
) -> tuple[list[RankedItem], Pointwise | None]:
    """Return the candidates best first, and what makes probabilities of their contributions."""
    vectors = context.vectors(candidates)
    prior = context.model.popularity_of(candidates) or {item.key: item.score for item in popular}
    weights = weighing.weights_of(context.adaptation, context.model, context.configuration)
    sources = {source for causes in neighbours.values() for source in causes}
    ranked = rank_for_user(
        candidates,
        profile=profile,
        vectors=vectors,
        neighbours=neighbours,
        text_neighbours={source: context.model.text_neighbours(source) for source in sources},
        prior=prior,
        weights=weights,
        named=None if context.explain else NAMED_PARTS,
    )
    pointwise = weighing.pointwise_of(
        context.adaptation, ranked, profile=profile, vectors=vectors, prior=prior, weights=weights
    )
    named = [item if item.key in prior else _as_average(item) for item in ranked]
    return Diversity(vectors, context.diversity, DIVERSIFIED_PLACES)(named), pointwise


def _as_average(item: RankedItem) -> RankedItem:
    """Return an item that nobody chose yet: it counts as average in popularity, but is not called popular."""
    contributions = {
        "average" if name == "popularity" else name: value for name, value in item.contributions.items()
    }
    return item._replace(contributions=contributions)
