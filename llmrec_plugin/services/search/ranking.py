"""What was found, as one list: legs fused, moved by taste and signals, arranged by editors' rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking import fusion
from llmrec_plugin.ranking.ranker import Ranker
from llmrec_plugin.ranking.stages import NAMED_PARTS, Stage, Taste
from llmrec_plugin.ranking.vectors import cosines_to
from llmrec_plugin.services.inference import reranking
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.inference.reranking import RerankStage
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.search import ranking_signals
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT, SearchContext
from llmrec_plugin.services.search.ranking_signals import Values
from llmrec_plugin.services.search.retrieval import Retrieved
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.rule_application import RuleResult
from llmrec_plugin.types import EngineResult, Hit, RankedItem, Scalar, Vector

Legs: TypeAlias = Mapping[str, Sequence[Hit]]


def rank(retrieved: Retrieved) -> RankedList:
    """Return the whole list, best first, with its facets and what is to be said of it."""
    context, found = retrieved.context, retrieved.result
    query = context.query
    ruled = _ruled(context, found, _ordered(context, found, _reranker(context, found)))
    return RankedList(
        document=context.document,
        placement=SEARCH_PLACEMENT,
        items=ruled.items,
        context=reasons.context_of(ruled.items, sources=context.user.kinds(context.configuration)),
        user=context.user,
        total=found.total + len(ruled.added) - ruled.gone,
        text=query.typed,
        words=query.words,
        facets=_sorted_facets(ruled.counted(found.facets)),
        degraded=query.degraded,
        pair=context.pair,
        relaxed=retrieved.relaxed,
        language=query.language,
        synonyms=query.synonyms,
        did_you_mean=retrieved.did_you_mean,
        explain=context.request.explain,
    )


def _reranker(context: SearchContext, found: EngineResult) -> RerankStage | None:
    """Return None for a list whose order is not that of relevance, too."""
    if context.request.sort or found.listing:
        return None
    return reranking.rerank_stage_for(context.document, context.query.text)


def _ordered(context: SearchContext, found: EngineResult, reranker: RerankStage | None) -> list[RankedItem]:
    """Return the items in the order that was asked for, before any rule."""
    if found.listing:
        return [RankedItem(key=hit.key, score=0.0, contributions={}) for hit in found.listing]
    ranked = _by_relevance(context, found, reranker)
    sort = context.request.sort
    return _sorted_by(sort, ranked, found.values) if sort and context.query.text else ranked


def _by_relevance(
    context: SearchContext, found: EngineResult, reranker: RerankStage | None
) -> list[RankedItem]:
    legs = {name: hits for name, hits in (("text", found.text), ("vector", found.vector)) if hits}
    vectors = vectors_of(context.pair.index_version, _keys_of_vectors(context, found, legs))
    complete = _with_cosines(context, found, legs, vectors)
    stages: tuple[Stage, ...] = (
        *(() if reranker is None else (reranker.stage(),)),
        *_taste(context, vectors),
        *ranking_signals.stages(context, found.values),
    )
    return Ranker(_fuse(context.configuration, complete), stages).rank(complete)


def _keys_of_vectors(context: SearchContext, found: EngineResult, legs: Legs) -> list[str]:
    """Return whose vectors are needed: for taste those of all candidates and of the user's past."""
    if _is_personal(context):
        candidates = (hit.key for hits in legs.values() for hit in hits)
        return [*candidates, *(event.key for event in context.user.events)]
    return [] if context.query.vector is None else _without_cosine(legs, found)


def _is_personal(context: SearchContext) -> bool:
    return bool(context.taste_strength and context.user.events)


def _without_cosine(legs: Legs, found: EngineResult) -> list[str]:
    """Return items found by words alone, of an engine that did not say how close they are."""
    known = {*found.cosines, *(hit.key for hit in legs.get("vector", ()))}
    return [hit.key for hit in legs.get("text", ()) if hit.key not in known]


def _with_cosines(
    context: SearchContext, found: EngineResult, legs: Legs, vectors: Mapping[str, Vector]
) -> Legs:
    """Return the legs, what only words found being compared in meaning as well."""
    vector = context.query.vector
    if vector is None:
        return legs
    cosines = {**cosines_to(vector, _without_cosine(legs, found), vectors), **found.cosines}
    return fusion.complete(legs, cosines)


def _taste(context: SearchContext, vectors: Mapping[str, Vector]) -> tuple[Taste, ...]:
    """Return the stage of the user's taste, or none where nothing is known of it."""
    if not _is_personal(context):
        return ()
    profile = taste.build_user_profile(
        context.user, vectors, configuration=context.configuration, now=context.now
    )
    if profile is None:
        return ()
    named = None if context.request.explain else NAMED_PARTS
    return (Taste(profile, vectors, context.taste_strength, named=named),)


def _fuse(configuration: Configuration, legs: Legs) -> Callable[[Legs], list[RankedItem]]:
    """Return how the legs become one list; one leg alone counts in full, so its list is not all zeros where
    the weight is on the other."""
    weight = configuration.text_weight
    weights = {"text": weight, "vector": 1.0 - weight} if len(legs) > 1 else dict.fromkeys(legs, 1.0)
    if configuration.fusion == Configuration.Fusion.RRF:
        return partial(fusion.reciprocal_rank, weights=weights, k=configuration.rrf_k)
    return partial(fusion.linear, weights=weights)


def _sorted_by(sort: str, items: Sequence[RankedItem], values: Values) -> list[RankedItem]:
    """Return them by least (descending: greatest) value, what has none last, equal ones by relevance; no item
    has a score, as in a listing."""
    known = values.get(sort.removeprefix("-"), {})
    descending = sort.startswith("-")

    def place(item: RankedItem) -> tuple[bool, float]:
        numbers = [float(value) for value in known.get(item.key, ())]
        return not numbers, -max(numbers, default=0.0) if descending else min(numbers, default=0.0)

    return [RankedItem(key=item.key, score=0.0, contributions={}) for item in sorted(items, key=place)]


def _ruled(context: SearchContext, found: EngineResult, items: Sequence[RankedItem]) -> RuleResult:
    """Return the list as editors want it; a listing counts pinned items among those that pass its filters."""
    ruled = context.rules.apply(items)
    return replace(ruled, added=()) if found.listing else ruled


def _sorted_facets(
    facets: Mapping[str, Mapping[Scalar, int]],
) -> dict[str, list[tuple[Scalar, int]]]:
    """Return the most frequent values first, equal ones in order of value."""
    return {
        name: sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
        for name, counts in facets.items()
    }
