"""Makes the list also-bought: what people who took the page's item took as well."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.item_lists import (
    items_taken_together,
    list_about,
    nearest_items,
)
from llmrec_plugin.services.recommendations.strategy import CandidateList, ListStrategy, register_strategy
from llmrec_plugin.services.serving.popular_items import concat_unique


@register_strategy
class AlsoBought(ListStrategy):
    name = "also-bought"
    label = _("taken along with the item of the page")
    help_text = _("What people who took the item took as well; where that is not known yet, similar items.")
    needs_item = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        near, degraded = nearest_items(context, context.anchor)
        together = items_taken_together(context, context.anchor)
        items = concat_unique(together, lambda: near, limit=context.limit)
        return list_about(context, context.anchor, items, degraded, of=AlsoBought)
