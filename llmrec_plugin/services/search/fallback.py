"""What a search shows while the engine does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from llmrec_plugin.services.items import filter_matching
from llmrec_plugin.services.model_registry.artefacts import LearnedModel, learned_by
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT, SearchContext
from llmrec_plugin.services.serving import popular_items, reasons
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.types import RankedItem

FALLBACK_ITEMS = 200


def without_engine(context: SearchContext) -> RankedList:
    """Return popular, then new items; filters and rules hold all the same."""
    model = learned_by(context.pair.model_version)
    items = context.rules.apply(_passing(context, _popular(context, model))).items
    query = context.query
    return RankedList(
        document=context.document,
        placement=SEARCH_PLACEMENT,
        items=items,
        context=replace(reasons.context_of(items), uses_recent_popularity=model.uses_recent_popularity),
        user=context.user,
        text=query.typed,
        words=query.words,
        degraded=(*query.degraded, "engine"),
        pair=context.pair,
        language=query.language,
    )


def _popular(context: SearchContext, model: LearnedModel) -> list[RankedItem]:
    document, hidden = context.document, context.rules.hidden
    return popular_items.concat_unique(
        popular_items.popular(
            document.label, model, context.configuration, limit=FALLBACK_ITEMS, hidden=hidden
        ),
        partial(popular_items.latest, document, limit=FALLBACK_ITEMS, hidden=hidden),
        limit=FALLBACK_ITEMS,
    )


def _passing(context: SearchContext, items: Sequence[RankedItem]) -> Sequence[RankedItem]:
    wanted, unless = context.filters, context.rules.unless
    if not (wanted or unless):
        return items
    keys = [item.key for item in items]
    passing = filter_matching.passing_rows(context.document, keys, wanted=wanted, unless=unless)
    return [item for item in items if item.key in passing]
