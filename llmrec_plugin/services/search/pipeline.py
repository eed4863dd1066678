"""A visitor's query, from what they typed to the first page of one ranked, explained list.

Five stages carry one `SearchContext`: `check` (here), `analyse` (query_analysis), `retrieve` (retrieval, with
relaxation and spelling), `rank` (ranking), and at last the page (serving.result_pages).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import BackendUnavailable, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.curation.synonyms import KnownSynonym
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.items import filters
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT, SearchContext
from llmrec_plugin.services.search.fallback import without_engine
from llmrec_plugin.services.search.query_analysis import analyse
from llmrec_plugin.services.search.ranking import rank
from llmrec_plugin.services.search.retrieval import retrieve
from llmrec_plugin.services.serving import result_pages, stored_lists, variants
from llmrec_plugin.services.serving.encoder_loading import answering, has_encoded, serving_pair
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.request_snapshot import current_snapshot
from llmrec_plugin.services.serving.variants import ListMaker, Variant
from llmrec_plugin.types import ResultPage, SearchRequest

logger = logging.getLogger(__name__)


def search(request: SearchRequest) -> ResultPage:
    """Return the first page of what answers the query, or, without a text, of what passes the filters.

    Raises NotFound for an unknown document, NotBuilt for one without a live index, and InvalidRequest,
    naming the parameter, for what cannot be asked. An encoder or engine that does not answer only
    degrades the list: see `ResultPage.degraded`.
    """
    started = time.perf_counter()
    registry.get(request.document)  # before the database is asked for something that no column can hold
    configuration, live = current_snapshot(request.document)
    ranked = variants.answer(SearchMaker(request, answering(live)), configuration)
    return result_pages.first_page(ranked, limit=request.limit, started=started)


def next_page(cursor: str, *, user_key: str | None, explain: bool = False) -> ResultPage:
    """Return the page that a `next` of this user points to; the engine is not asked again."""
    return stored_lists.next_page(cursor, user_key=user_key, explain=explain)


def preview(request: SearchRequest, *, proposed: Sequence[KnownSynonym] = ()) -> RankedList:
    """Return the whole list as it would be with these synonyms; nothing of it is kept, and no experiment
    counts."""
    return ranked_list(request, Variant(configuration=Configuration.current()), proposed=proposed)


def ranked_list(
    request: SearchRequest, variant: Variant, *, proposed: Sequence[KnownSynonym] = ()
) -> RankedList:
    """Return the whole list that the variant answers with; nothing of it is kept."""
    return SearchMaker(request, serving_pair(request.document), tuple(proposed)).make(variant)


@dataclass(frozen=True)
class SearchMaker(ListMaker):
    """A search that waits for the variant that answers it."""

    request: SearchRequest
    live: LivePair
    proposed: tuple[KnownSynonym, ...] = ()

    @property
    def label(self) -> str:
        return self.request.document

    @property
    def placement(self) -> str:
        return SEARCH_PLACEMENT

    @property
    def user_key(self) -> str | None:
        return self.request.user_key

    def make(self, variant: Variant) -> RankedList:
        """Return the whole list, best first."""
        checked = check(self, variant)
        with site_code.noting() as lacking:
            ranked = self._answered(checked)
        return replace(ranked, degraded=(*ranked.degraded, *lacking))

    def _answered(self, checked: SearchContext) -> RankedList:
        analysed = analyse(checked)
        if analysed.query.vector is not None and analysed.pair.index_version == self.live.index_version:
            has_encoded(analysed.pair)
        try:
            retrieved = retrieve(analysed)
        except (BackendUnavailable, NotFound) as error:
            # by type alone: an engine may quote what it was asked
            logger.error("engine unusable document=%s error=%s", self.label, type(error).__name__)
            return without_engine(analysed)
        return rank(retrieved)


def check(search: SearchMaker, variant: Variant) -> SearchContext:
    """Return who asks and what answers; raises InvalidRequest, naming the parameter, for what cannot be
    asked, and what `Variant.pair_of` raises."""
    request = search.request
    personalize = _checked_personalize(request)
    document = registry.get(request.document)
    pair = variant.pair_of(search.live)
    version = pair.index_version
    checked_filters = filters.checked(request.filters, version)
    filters.check_facets(request.facets, version)
    filters.check_sort(request.sort, version)
    configuration = variant.configuration.for_search(document.label, version.encoder_id)
    taste_strength = personalize * configuration.taste_weight
    user = taste.load_user(
        request.user_key,
        document=document.label,
        history=configuration.history_length if taste_strength and request.text.strip() else 0,
        ignoring=request.ignoring,
    )
    return SearchContext(
        request=request,
        document=document,
        pair=pair,
        configuration=configuration,
        user=user,
        filters=checked_filters,
        taste_strength=taste_strength,
        now=timezone.now(),
        proposed=search.proposed,
    )


def _checked_personalize(request: SearchRequest) -> float:
    """Return which share of the configured strength of taste to use; also checks what needs no index."""
    result_pages.check_limit(request.limit)
    if request.personalize is None:
        return 1.0
    if not 0.0 <= request.personalize <= 1.0:
        raise InvalidRequest(
            f"The strength of personal taste lies between 0 and 1, not at {request.personalize}.",
            parameter="personalize",
        )
    return float(request.personalize)
