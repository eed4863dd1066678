"""Makes the list latest: the newest items first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.strategy import ListStrategy, register_strategy
from llmrec_plugin.types import RankedItem


@register_strategy
class Latest(ListStrategy):
    name = "latest"
    label = _("latest")
    help_text = _("The newest items first.")
    can_fill = True
    fallback = ()

    def own_items(self, context: RecommendationContext, hidden: Collection[str]) -> Sequence[RankedItem]:
        return context.latest(hidden)
