"""Makes the list because-you-viewed: what goes with the item that the user turned to last."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.services.recommendations.context import Anchor, RecommendationContext
from llmrec_plugin.services.recommendations.item_lists import (
    items_taken_together,
    list_about,
    nearest_items,
)
from llmrec_plugin.services.recommendations.strategies.for_you import personal_list
from llmrec_plugin.services.recommendations.strategy import CandidateList, ListStrategy, register_strategy
from llmrec_plugin.types import ContributionCode, RankedItem

ANCHORS_TRIED = 10
"""Latest items of the user that are looked through for one that still exists."""


@register_strategy
class BecauseYouViewed(ListStrategy):
    name = "because-you-viewed"
    label = _("because you viewed")
    help_text = _("What goes with the item that the visitor turned to last; without one, as for you.")
    is_personal = True
    hides_taken = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        anchor, kind = _latest_anchor(context)
        if anchor is None:
            return personal_list(context)
        near, degraded = nearest_items(context, anchor)
        weight = context.configuration.recommendation_taste
        weight_together = context.configuration.recommendation_neighbours
        contributions: dict[str, dict[str, float]] = {}
        for item in near:
            contributions[item.key] = {"vector": weight * item.score}
        code = str(ContributionCode("neighbours", anchor.key))
        for item in items_taken_together(context, anchor):
            contributions.setdefault(item.key, {})[code] = weight_together * item.score
        items = best_first(
            RankedItem(key=key, score=sum(parts.values()), contributions=parts)
            for key, parts in contributions.items()
        )
        return list_about(context, anchor, items, degraded, of=BecauseYouViewed, anchor_kind=kind)


def _latest_anchor(context: RecommendationContext) -> tuple[Anchor | None, str]:
    """Return the item that the user turned to last, as far as it still exists, and what they did with it."""
    anchor_kinds = context.placement.anchor_kinds()
    kinds: dict[str, str] = {}
    for event in context.user.events:
        if event.kind in anchor_kinds:
            kinds.setdefault(event.key, event.kind)
    tried = list(kinds)[:ANCHORS_TRIED]
    objects = context.document.in_bulk(tried) if tried else {}
    key = next((key for key in tried if key in objects), None)
    return (None, "") if key is None else (Anchor(key, objects[key]), kinds[key])
