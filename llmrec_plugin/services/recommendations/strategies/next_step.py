"""Makes the list next: what the user may take next, first what leads on from what they have taken."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.strategies.for_you import personal_list
from llmrec_plugin.services.recommendations.strategy import CandidateList, ListStrategy, register_strategy
from llmrec_plugin.types import ContributionCode, RankedItem

NEXT_WEIGHT = 0.5
"""What leads on from something taken counts this much more, about as much as what others took next."""


@register_strategy
class NextStep(ListStrategy):
    name = "next"
    label = _("next step (prerequisites and level)")
    help_text = _("What the visitor may take next: what leads on from what they have taken comes first.")
    is_personal = True
    needs_progression = True
    hides_taken = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        personal = personal_list(context)
        follow_ups = context.progress.follow_ups() if context.progress else {}
        passing = context.passing_keys([key for key in follow_ups if key not in context.hidden])
        items = {item.key: item for item in personal.items}
        for key in passing:
            codes = [str(ContributionCode("next", cause)) for cause in follow_ups[key]]
            item = items.get(key, RankedItem(key=key, score=0.0, contributions={}))
            items[key] = add(item, dict.fromkeys(codes, NEXT_WEIGHT / len(codes)))
        return replace(personal, items=best_first(items.values()))
