"""Makes lists about one item: what is near to it in meaning, and what people took along with it."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec_plugin.conf import get_settings
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.items import preparation
from llmrec_plugin.services.recommendations.context import Anchor, RecommendationContext
from llmrec_plugin.services.recommendations.strategy import CandidateList, ListStrategy, with_fallbacks
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.types import ContributionCode, RankedItem, Vector


def list_about(
    context: RecommendationContext,
    anchor: Anchor,
    items: Sequence[RankedItem],
    degraded: tuple[str, ...],
    *,
    of: type[ListStrategy],
    anchor_kind: str = "",
) -> CandidateList:
    """Return the items with their fallbacks, without the anchor; `anchor_kind`: what the user did with it."""
    hidden = context.hidden | {anchor.key}
    filled = with_fallbacks(context, items, of=of, hidden=hidden)
    reason_context = reasons.context_of(
        filled, anchor=anchor.key, anchor_kind=anchor_kind, neighbours_kind=context.model.kind
    )
    return CandidateList(
        items=filled, context=reason_context, degraded=degraded, excluded=frozenset({anchor.key})
    )


def items_taken_together(context: RecommendationContext, anchor: Anchor) -> list[RankedItem]:
    """Return what people with the anchor took as well, the strongest first; it counts 1."""
    hidden = context.hidden | {anchor.key}
    rows = [row for row in context.model.co_interacted(anchor.key) if row[0] not in hidden]
    passing = context.passing_keys([key for key, _ in rows])
    rows = [row for row in rows if row[0] in passing]
    code = str(ContributionCode("neighbours", anchor.key))
    largest = rows[0][1] if rows else 1.0
    return [
        RankedItem(key=key, score=weight / largest, contributions={code: weight / largest})
        for key, weight in rows
    ]


def nearest_items(context: RecommendationContext, anchor: Anchor) -> tuple[list[RankedItem], tuple[str, ...]]:
    """Return items whose text means something alike, the nearest first, by cosine; and what is degraded."""
    if not get_settings().ENABLED:
        return [], ()
    if context.pair is None:
        return [], ("engine",)
    vector = context.vectors([anchor.key]).get(anchor.key)
    if vector is None:
        vector = _encoded(context, context.pair, anchor)
        if vector is None:
            return [], ("vector",)
    hits, degraded = context.nearest(context.pair, vector, exclude=context.hidden | {anchor.key})
    items = [
        RankedItem(key=hit.key, score=hit.score, contributions={"vector": hit.score})
        for hit in hits
        if hit.score > 0
    ]
    return items, degraded


def _encoded(context: RecommendationContext, pair: LivePair, anchor: Anchor) -> Vector | None:
    """Return the vector of an item that is too new to be in the index."""
    prepared = preparation.prepared_if_it_can_be(context.document, anchor.object)
    if prepared is None:
        return None
    return query_embeddings.encode_document(prepared.passage, version=pair.index_version)
