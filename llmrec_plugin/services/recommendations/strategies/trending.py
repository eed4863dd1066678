"""Makes the list trending: what is chosen most now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.strategy import ListStrategy, register_strategy
from llmrec_plugin.types import RankedItem


@register_strategy
class Trending(ListStrategy):
    name = "trending"
    label = _("trending")
    help_text = _("What is chosen most now: events fade, by the half-life of the configuration.")
    can_fill = True

    def own_items(self, context: RecommendationContext, hidden: Collection[str]) -> Sequence[RankedItem]:
        return context.trending(hidden)
