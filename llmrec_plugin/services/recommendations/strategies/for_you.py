"""Makes the list for-you: by the user's taste, by what people like them took, and by popularity."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.personal_ranking import (
    liked_items,
    rank_for_context,
    strongest,
    user_profile,
)
from llmrec_plugin.services.recommendations.strategy import (
    CandidateList,
    ListStrategy,
    register_strategy,
    with_fallbacks,
)
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.types import Hit, RankedItem

POPULAR_CANDIDATES = 50
NEWEST_WEIGHT = 0.5
"""What the newest item counts against the most popular one where nothing is known of the user."""


@register_strategy
class ForYou(ListStrategy):
    name = "for-you"
    label = _("for you")
    help_text = _("What suits the visitor; for one of whom nothing is known, popular and new items mixed.")
    is_personal = True
    can_fill = True
    is_spread_out = True
    hides_taken = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        return personal_list(context)

    def own_items(self, context: RecommendationContext, hidden: Collection[str]) -> Sequence[RankedItem]:
        return [item for item in personal_list(context).items if item.key not in hidden]


def personal_list(context: RecommendationContext) -> CandidateList:
    """Return candidates by taste, by other people and by popularity, ranked together and spread out."""
    profile, degraded = user_profile(context)
    liked = liked_items(context)
    if profile is None and not liked:
        return replace(_list_for_nobody(context), degraded=degraded)
    # What they looked at lately is known to them: it only fills a list that would be too short.
    hidden = context.hidden | {event.key for event in context.user.events}
    near: list[Hit] = []
    if context.pair is not None and profile is not None and profile.seed is not None:
        near, missing = context.nearest(context.pair, profile.seed, exclude=hidden)
        degraded += missing
    neighbours = context.model.scores_by_history(liked)
    popular = context.popular(hidden)
    candidates = [hit.key for hit in near] + strongest(neighbours, hidden, limit=context.limit)
    passing = context.passing_keys(candidates)
    candidates = [key for key in candidates if key in passing]
    candidates += [item.key for item in popular[:POPULAR_CANDIDATES]]
    ranked, pointwise = rank_for_context(context, candidates, profile, neighbours, popular)
    items = with_fallbacks(context, ranked, lambda: popular, of=ForYou)
    reason_context = reasons.context_of(
        items,
        sources=context.user.kinds(context.configuration),
        has_declared_taste=not context.user.events,
        neighbours_kind=context.model.kind,
        pointwise=pointwise,
    )
    return CandidateList(items=items, context=reason_context, degraded=tuple(dict.fromkeys(degraded)))


def _list_for_nobody(context: RecommendationContext) -> CandidateList:
    """Return popular and new items mixed, for one of whom nothing is known."""
    contributions: dict[str, dict[str, float]] = {}
    for item in context.popular():
        contributions[item.key] = dict(item.contributions)
    for item in context.latest():
        contributions.setdefault(item.key, {})["freshness"] = NEWEST_WEIGHT * item.score
    items = best_first(
        RankedItem(key=key, score=sum(parts.values()), contributions=parts)
        for key, parts in contributions.items()
    )[: context.limit]
    return CandidateList(items=items, context=reasons.context_of(items))
