"""Makes the list popular: what most people chose."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.strategy import ListStrategy, register_strategy
from llmrec_plugin.types import RankedItem


@register_strategy
class Popular(ListStrategy):
    name = "popular"
    label = _("popular")
    help_text = _("What most people chose, as the model learned it or, without one, as the events say.")
    can_fill = True

    def own_items(self, context: RecommendationContext, hidden: Collection[str]) -> Sequence[RankedItem]:
        return context.popular(hidden)
