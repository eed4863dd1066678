"""Makes the list basket: what people took along with what is in the basket."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.ranking.personal import PersonalWeights, rank_for_user
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.personal_ranking import strongest
from llmrec_plugin.services.recommendations.strategies.for_you import personal_list
from llmrec_plugin.services.recommendations.strategy import (
    CandidateList,
    ListStrategy,
    register_strategy,
    with_fallbacks,
)
from llmrec_plugin.services.serving import reasons


@register_strategy
class Basket(ListStrategy):
    name = "basket"
    label = _("goes with the basket")
    help_text = _("What people took along with what is in the basket; without a basket, as for you.")
    is_personal = True
    hides_taken = True

    def recommend(self, context: RecommendationContext) -> CandidateList:
        hidden = context.hidden | set(context.basket)
        together = context.model.scores_by_history(dict.fromkeys(context.basket, 1.0), together=True)
        passing = context.passing_keys(strongest(together, hidden, limit=context.limit))
        items = rank_for_user(
            [key for key in together if key in passing],
            profile=None,
            vectors={},
            neighbours=together,
            prior={},
            weights=PersonalWeights(taste=0.0, neighbours=1.0, popularity=0.0),
        )
        personal = personal_list(context)
        if not items and not context.basket:
            return personal
        rest = [item for item in personal.items if item.key not in hidden]
        items = with_fallbacks(context, items, lambda: rest, of=Basket, hidden=hidden)
        reason_context = reasons.context_of(
            items, sources=context.user.kinds(context.configuration), neighbours_kind=context.model.kind
        )
        return CandidateList(
            items=items,
            context=reason_context,
            degraded=personal.degraded,
            excluded=frozenset(context.basket),
        )
