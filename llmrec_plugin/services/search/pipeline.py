"""A visitor's query, from what he typed to the first page of one ranked, explained list."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import BackendUnavailable, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking import fusion
from llmrec_plugin.ranking.ranker import Ranker
from llmrec_plugin.ranking.stages import NAMED_PARTS, Stage, Taste
from llmrec_plugin.ranking.vectors import cosines_to
from llmrec_plugin.services.curation.synonyms import KnownSynonym
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.inference import reranking
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.inference.reranking import RerankStage
from llmrec_plugin.services.items import filter_matching, filters
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.search import query_analysis, ranking_signals, retrieval, spelling
from llmrec_plugin.services.search.query_analysis import AnalysedQuery
from llmrec_plugin.services.search.retrieval import Retrieved
from llmrec_plugin.services.serving import (
    cursors,
    popular_items,
    reasons,
    result_pages,
    rule_application,
    variants,
)
from llmrec_plugin.services.serving.encoder_loading import answering, has_encoded, serving_pair
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.request_snapshot import current_snapshot
from llmrec_plugin.services.serving.rule_application import ActiveRules, RuleContext
from llmrec_plugin.services.serving.variants import Variant
from llmrec_plugin.types import (
    EngineResult,
    Hit,
    RankedItem,
    ResultPage,
    Scalar,
    SearchRequest,
)

logger = logging.getLogger(__name__)

PLACEMENT = "search"
FALLBACK_ITEMS = 200


def search(request: SearchRequest) -> ResultPage:
    """The first page of what answers the query, or, without a text, of what passes the filters.

    Raises NotFound for an unknown document, NotBuilt for one without a live index, and InvalidRequest,
    naming the parameter, for what cannot be asked. An encoder or engine that does not answer only
    degrades the list: see `ResultPage.degraded`.
    """
    started = time.perf_counter()
    registry.get(request.document)  # before the database is asked for something that no column can hold
    configuration, live = current_snapshot(request.document)
    ranked = variants.answer(
        partial(_listed, request, answering(live)),
        configuration=configuration,
        document=request.document,
        placement=PLACEMENT,
        user_key=request.user_key,
    )
    return result_pages.first_page(ranked, limit=request.limit, started=started)


def preview(request: SearchRequest, *, proposed: Sequence[KnownSynonym] = ()) -> RankedList:
    """The whole list as it would be with these synonyms; nothing of it is kept, and no experiment counts."""
    return listed(request, Variant(configuration=Configuration.current()), proposed)


def listed(request: SearchRequest, variant: Variant, proposed: Sequence[KnownSynonym] = ()) -> RankedList:
    """The whole list that the variant answers with."""
    registry.get(request.document)
    return _listed(request, serving_pair(request.document), variant, proposed)


def _listed(
    request: SearchRequest, live: LivePair, variant: Variant, proposed: Sequence[KnownSynonym] = ()
) -> RankedList:
    document = registry.get(request.document)
    strength = _checked_strength(request)
    pair = variant.pair_of(live)
    request_filters = filters.checked(request.filters, pair.index_version)
    filters.check_facets(request.facets, pair.index_version)
    filters.check_sort(request.sort, pair.index_version)
    configuration = variant.configuration.for_search(document.label, pair.index_version.encoder_id)
    strength *= configuration.taste_weight
    user = taste.load_user(
        request.user_key,
        document=document.label,
        history=configuration.history_length if strength and request.text.strip() else 0,
        ignoring=request.ignoring,
    )
    query = _analysed(request.text, pair, configuration, proposed)
    if query.vector is not None and pair.index_version == live.index_version:
        has_encoded(pair)
    occasion = RuleContext(
        document=document,
        version=pair.index_version,
        placement=PLACEMENT,
        user=user,
        now=timezone.now(),
        text=query.text,
        filters=request_filters,
        phrases=query.phrases,
        without=query.without,
        ordered=bool(request.sort),
    )
    ruling = rule_application.active_rules(occasion, configuration)
    try:
        answer = _answer(request, query, ruling, pair, configuration)
        meant = spelling.did_you_mean(query, answer.retrieved.result.spelling, document, pair)
        if meant and configuration.rescue and answer.retrieved.is_next_to_nothing:
            respelled = replace(_analysed(meant, pair, configuration, proposed), typed=query.typed)
            answer = _as_meant(request, respelled, ruling, pair, configuration) or answer
    except (BackendUnavailable, NotFound) as error:
        # by type alone: an engine may quote what it was asked
        logger.error("engine unusable document=%s error=%s", document.label, type(error).__name__)
        return _last_resort(pair, configuration, query, ruling)
    return _found_list(answer, request, pair, configuration, strength=strength, meant=meant)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A query and what the engine found for it."""

    query: AnalysedQuery
    ruling: ActiveRules
    retrieved: Retrieved


def _analysed(
    text: str, pair: LivePair, configuration: Configuration, proposed: Sequence[KnownSynonym]
) -> AnalysedQuery:
    return query_analysis.analyse(
        text,
        version=pair.index_version,
        with_vector=_wants_vector(configuration),
        configuration=configuration,
        proposed=proposed,
    )


def _answer(
    request: SearchRequest,
    query: AnalysedQuery,
    ruling: ActiveRules,
    pair: LivePair,
    configuration: Configuration,
) -> _Answer:
    asked = retrieval.engine_query(
        query, ruling, pair, configuration, facets=request.facets, sort=request.sort
    )
    retrieved = retrieval.retrieve(asked, query, pair, configuration)
    return _Answer(query=query, ruling=ruling, retrieved=retrieved)


def _as_meant(
    request: SearchRequest,
    query: AnalysedQuery,
    ruling: ActiveRules,
    pair: LivePair,
    configuration: Configuration,
) -> _Answer | None:
    """What the query in its better spelling finds, by the rules for that; None where words find nothing."""
    ruling = rule_application.active_rules(replace(ruling.occasion, text=query.text), configuration)
    answer = _answer(request, query, ruling, pair, configuration)
    if not answer.retrieved.result.text:
        return None
    return replace(answer, retrieved=replace(answer.retrieved, rescued="spelling"))


def next_page(cursor: str, *, user_key: str | None, explain: bool = False) -> ResultPage:
    """The page that a `next` of this user points to; the engine is not asked again."""
    return cursors.next_page(cursor, user_key=user_key, explain=explain)


def _checked_strength(request: SearchRequest) -> float:
    """How much of the configured strength of taste to use; also checks what needs no index to be checked."""
    result_pages.check_limit(request.limit)
    if request.personalize is None:
        return 1.0
    if not 0.0 <= request.personalize <= 1.0:
        raise InvalidRequest(
            f"The strength of personal taste lies between 0 and 1, not at {request.personalize}.",
            parameter="personalize",
        )
    return float(request.personalize)


def _wants_vector(configuration: Configuration) -> bool:
    return get_settings().ENABLED and configuration.text_weight < 1.0


def _found_list(
    answer: _Answer,
    request: SearchRequest,
    pair: LivePair,
    configuration: Configuration,
    *,
    strength: float,
    meant: str | None,
) -> RankedList:
    query, ruling, retrieved = answer.query, answer.ruling, answer.retrieved
    found, document = retrieved.result, ruling.occasion.document
    user = ruling.occasion.user
    named = None if request.explain else NAMED_PARTS
    reading = None if request.sort or found.listing else reranking.rerank_stage_for(document, query.text)
    items = _ranked(
        found, query, ruling.occasion, pair, configuration, strength=strength, named=named, reading=reading
    )
    if request.sort and query.text:
        items = _sorted_by(request.sort, items, found.values)
    ruled = ruling.apply(items)
    if found.listing:  # its total and counts are of all that pass the filters, pinned items among them
        ruled = replace(ruled, added=())
    return RankedList(
        document=document,
        placement=PLACEMENT,
        items=ruled.items,
        context=reasons.context_of(ruled.items, sources=user.kinds(configuration)),
        user=user,
        total=found.total + len(ruled.added) - ruled.gone,
        text=query.typed,
        words=query.words,
        facets=_sorted_facets(ruled.counted(found.facets)),
        degraded=query.degraded + (() if reading is None else reading.degraded),
        pair=pair,
        rescued=retrieved.rescued,
        language=query.language,
        synonyms=query.synonyms,
        did_you_mean=meant,
        explain=request.explain,
    )


def _ranked(
    found: EngineResult,
    query: AnalysedQuery,
    occasion: RuleContext,
    pair: LivePair,
    configuration: Configuration,
    *,
    strength: float,
    named: int | None,
    reading: RerankStage | None,
) -> list[RankedItem]:
    if found.listing:
        return [RankedItem(key=hit.key, score=0.0, contributions={}) for hit in found.listing]
    user, now = occasion.user, occasion.now
    legs = {name: hits for name, hits in (("text", found.text), ("vector", found.vector)) if hits}
    personal = bool(strength and user.events)
    unlike = _without_cosine(legs, found) if query.vector is not None else []
    vectors = vectors_of(pair.index_version, _keys_of_all(legs, user) if personal else unlike)
    if query.vector is not None:
        cosines = {**cosines_to(query.vector, unlike, vectors), **found.cosines}
        legs = fusion.complete(legs, cosines)
    stages: tuple[Stage, ...] = () if reading is None else (reading.stage(),)
    profile = (
        taste.build_user_profile(user, vectors, configuration=configuration, now=now) if personal else None
    )
    if profile is not None:
        stages += (Taste(profile, vectors, strength, named=named),)
    stages += ranking_signals.stages(
        occasion.document, pair.index_version, found.values, configuration, now=now
    )
    return Ranker(_fuse(configuration, legs), stages).rank(legs)


def _keys_of_all(legs: Mapping[str, Sequence[Hit]], user: UserContext) -> list[str]:
    """All candidates and the user's past: his taste needs their vectors."""
    return [*(hit.key for hits in legs.values() for hit in hits), *(event.key for event in user.events)]


def _without_cosine(legs: Mapping[str, Sequence[Hit]], found: EngineResult) -> list[str]:
    """Items found by words alone, of an engine that did not say how close they are."""
    known = {*found.cosines, *(hit.key for hit in legs.get("vector", ()))}
    return [hit.key for hit in legs.get("text", ()) if hit.key not in known]


def _fuse(configuration: Configuration, legs: Mapping[str, Sequence[Hit]]) -> Any:
    """One leg alone counts in full; so its list is not all zeros where the weight is on the other."""
    weight = configuration.text_weight
    weights = {"text": weight, "vector": 1.0 - weight} if len(legs) > 1 else dict.fromkeys(legs, 1.0)
    if configuration.fusion == Configuration.Fusion.RRF:
        return partial(fusion.reciprocal_rank, weights=weights, k=configuration.rrf_k)
    return partial(fusion.linear, weights=weights)


def _last_resort(
    pair: LivePair,
    configuration: Configuration,
    query: AnalysedQuery,
    ruling: ActiveRules,
) -> RankedList:
    """Popular, then new items, while the engine does not answer; filters hold all the same."""
    document = ruling.occasion.document
    learned = learned_by(pair.model_version)
    items: Sequence[RankedItem] = popular_items.concat_unique(
        popular_items.popular(
            document.label, learned, configuration, limit=FALLBACK_ITEMS, hidden=ruling.hidden
        ),
        partial(popular_items.latest, document, limit=FALLBACK_ITEMS, hidden=ruling.hidden),
        limit=FALLBACK_ITEMS,
    )
    wanted, unless = ruling.occasion.filters, ruling.unless
    if wanted or unless:
        keys = [item.key for item in items]
        passing = filter_matching.passing_rows(document, keys, wanted=wanted, unless=unless)
        items = [item for item in items if item.key in passing]
    items = ruling.apply(items).items
    return RankedList(
        document=document,
        placement=PLACEMENT,
        items=items,
        context=replace(reasons.context_of(items), uses_recent_popularity=learned.uses_recent_popularity),
        user=ruling.occasion.user,
        text=query.typed,
        words=query.words,
        degraded=(*query.degraded, "engine"),
        pair=pair,
        language=query.language,
    )


def _sorted_by(
    sort: str, items: Sequence[RankedItem], values: Mapping[str, Mapping[str, tuple[Scalar, ...]]]
) -> list[RankedItem]:
    """By least (descending: greatest) value, what has none last, equal ones by relevance; no item has a
    score, as in a listing."""
    known = values.get(sort.removeprefix("-"), {})
    descending = sort.startswith("-")

    def place(item: RankedItem) -> tuple[bool, float]:
        numbers = [float(value) for value in known.get(item.key, ())]
        return not numbers, -max(numbers, default=0.0) if descending else min(numbers, default=0.0)

    return [RankedItem(key=item.key, score=0.0, contributions={}) for item in sorted(items, key=place)]


def _sorted_facets(
    facets: Mapping[str, Mapping[Scalar, int]],
) -> dict[str, list[tuple[Scalar, int]]]:
    """Most frequent values first, equal ones in order of value."""
    return {
        name: sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
        for name, counts in facets.items()
    }
