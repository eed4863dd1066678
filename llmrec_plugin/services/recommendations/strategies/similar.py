"""Makes the list similar: items whose text means nearly the same as that of the page's item."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.item_lists import list_about, nearest_items
from llmrec_plugin.services.recommendations.strategy import CandidateList, ListStrategy, register_strategy


@register_strategy
class Similar(ListStrategy):
    name = "similar"
    label = _("similar to the item of the page")
    help_text = _("Items whose text means nearly the same as that of the item.")
    needs_item = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        items, degraded = nearest_items(context, context.anchor)
        return list_about(context, context.anchor, items, degraded, of=Similar)
