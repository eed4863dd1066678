"""Makes lists without a query: for a user, about an item, or for everybody, as the placement says."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.event_kinds import dismissal_kinds, taking_kinds
from llmrec_plugin.exceptions import InvalidRequest, NotBuilt
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking.reserve import reserve
from llmrec_plugin.ranking.stages import Diversity
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.curation.placements import (
    Placement,
    filters_of,
    get_placement,
    type_of,
)
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.interactions import history as interactions
from llmrec_plugin.services.items.filters import checked
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.recommendations import personal_ranking
from llmrec_plugin.services.recommendations.context import DIVERSIFIED_PLACES, RecommendationContext
from llmrec_plugin.services.recommendations.prerequisites import LearnerProgress, learner_progress
from llmrec_plugin.services.recommendations.strategy import CandidateList, made_by, strategy_of
from llmrec_plugin.services.serving import reasons, result_pages, rule_application, variants
from llmrec_plugin.services.serving.encoder_loading import serving_pair
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.rule_application import RuleContext
from llmrec_plugin.services.serving.variants import ListMaker, Variant
from llmrec_plugin.types import Filter, RankedItem, ResultPage

logger = logging.getLogger(__name__)

BASKET_KIND = "cart"
"""The kind of event by which an item lies in the basket."""
NEW_ITEMS = 50
"""So many of the latest items that nobody has chosen are new."""


@dataclass(frozen=True, kw_only=True)
class RecommendationRequest:
    """A frozen record of what a page asks of a placement."""

    placement: Placement
    document: str
    """Label."""
    user_key: str | None = None
    item_id: str | None = None
    """Of the item that the page is about."""
    filters: tuple[Filter, ...] = ()
    """Beside those of the placement: the category that the page shows."""
    basket: tuple[str, ...] | None = None
    """Keys of the items in it; None: as the user's events tell."""
    needs_index: bool = False
    """Raise NotBuilt rather than answer without an index."""
    now: datetime | None = None
    """As of that moment events fade and trends are counted; None: the present."""
    explain: bool = False
    ignoring: frozenset[str] = frozenset()
    """Both as of SearchRequest."""


def recommend(
    placement: str,
    *,
    user_key: str | None = None,
    document: str | None = None,
    item_id: str | None = None,
    limit: int | None = None,
    filters: tuple[Filter, ...] = (),
    basket: Iterable[object] | None = None,
    now: datetime | None = None,
    explain: bool = False,
) -> ResultPage:
    """Return what the placement shows, never shorter than asked for while there are items that it may show.

    `now`: as of that moment events fade and trends are counted; None: the present. `explain` names every
    past item of the user that moved an item.
    Without a live index, or while the engine is down, popular and new items stand in. Raises NotFound
    for an unknown placement, document or item, and InvalidRequest where one of them must be named or a
    filter does not fit the document.
    """
    configuration = Configuration.current()
    found = get_placement(placement, configuration)
    label = label_of(found, document)
    if type_of(found).needs_item and item_id is None:
        raise InvalidRequest(f'The placement "{placement}" needs the item it is about.', parameter="item_id")
    request = RecommendationRequest(
        placement=found,
        document=label,
        user_key=user_key,
        item_id=item_id,
        filters=filters,
        basket=None if basket is None else tuple(dict.fromkeys(map(str, basket))),
        now=now,
        explain=explain,
    )
    return _page(request, configuration, limit=limit)


def rank_items(
    label: str, keys: Sequence[str], *, user_key: str | None, now: datetime | None = None
) -> list[RankedItem]:
    """Return these items in the order that for-you would put them in, such as a row of new arrivals.

    What the user has already is not left out. `now` as in `recommend`; raises what `live_pair` raises.
    """
    configuration = Configuration.current()
    placement = get_placement("for-you", configuration)
    request = RecommendationRequest(
        placement=placement, document=label, user_key=user_key, needs_index=True, now=now
    )
    context = _context_of(request, placement, serving_pair(label), configuration)
    return personal_ranking.rank_items(context, keys)


def similar(
    label: str, item_id: object, *, user_key: str | None = None, limit: int | None = None
) -> ResultPage:
    """Return items whose text means nearly the same, without the item itself."""
    return _about("similar", label, item_id, user_key=user_key, limit=limit)


def also_bought(
    label: str, item_id: object, *, user_key: str | None = None, limit: int | None = None
) -> ResultPage:
    """Return what people who took the item took as well; where that is not known yet, similar items."""
    return _about("also-bought", label, item_id, user_key=user_key, limit=limit)


def _about(kind: str, label: str, item_id: object, *, user_key: str | None, limit: int | None) -> ResultPage:
    """Answer by the placement of that name, should the site have made its own of the kind."""
    configuration = Configuration.current()
    placement = get_placement(kind, configuration)
    if placement.type != kind:
        placement = Placement(name=kind, type=kind)
    request = RecommendationRequest(
        placement=placement, document=label, user_key=user_key, item_id=str(item_id), needs_index=True
    )
    return _page(request, configuration, limit=limit)


def label_of(placement: Placement, document: str | None) -> str:
    """Return what the placement is to show; raises InvalidRequest where neither it nor the page says."""
    label = document or placement.document
    if label:
        return label
    labels = registry.labels()
    if len(labels) == 1:
        return labels[0]
    raise InvalidRequest(
        f'Name the document that "{placement.name}" is to show: {", ".join(labels) or "none is registered"}.',
        parameter="document",
    )


def _page(request: RecommendationRequest, configuration: Configuration, *, limit: int | None) -> ResultPage:
    started = time.perf_counter()
    registry.get(request.document)  # before the database is asked for something that no column can hold
    limit = request.placement.limit if limit is None else limit
    result_pages.check_limit(limit)
    ranked = variants.answer(RecommendationMaker(request), configuration)
    return result_pages.first_page(ranked, limit=limit, started=started)


@dataclass(frozen=True)
class RecommendationMaker(ListMaker):
    """Makes the list of a request, once it is known which variant answers it."""

    request: RecommendationRequest

    @property
    def label(self) -> str:
        return self.request.document

    @property
    def placement(self) -> str:
        return self.request.placement.name

    @property
    def user_key(self) -> str | None:
        return self.request.user_key

    def make(self, variant: Variant) -> RankedList:
        """Return the whole list under the name of the placement that was asked for."""
        shown = self.request.placement
        if variant.placement:
            shown = get_placement(variant.placement, variant.configuration)
        live = _pair(self.label, needed=self.request.needs_index)
        pair = variant.pair_of(live) if live else None
        with site_code.noting() as lacking:
            context = _context_of(self.request, shown, pair, variant.configuration)
            candidates = recommend_items(context)
        return RankedList(
            document=context.document,
            placement=self.placement,
            items=context.active_rules.apply(candidates.items).items,
            context=candidates.context,
            user=context.user,
            degraded=tuple(dict.fromkeys((*candidates.degraded, *lacking))),
            pair=pair,
            more=partial(backfill, context, candidates),
            explain=self.request.explain,
        )


def recommend_items(context: RecommendationContext) -> CandidateList:
    """Return the list that the strategy makes, spread out and with new items as the placement says.

    Raises NotFound where the list is about an item that does not exist.
    """
    placement, strategy = context.placement, strategy_of(context.placement)
    if strategy.needs_item:
        _ = context.anchor  # before anything is made for an item that does not exist
    candidates = made_by(strategy, context)
    items = candidates.items
    if placement.diversity and not strategy.is_spread_out:
        vectors = context.vectors(item.key for item in items[:DIVERSIFIED_PLACES])
        items = Diversity(vectors, placement.diversity, DIVERSIFIED_PLACES)(items)
    if placement.fresh:
        items = reserve(items, _new_items(context), placement.fresh)
    return replace(candidates, items=items, context=_with_counts(context, items, candidates.context))


def _with_counts(
    context: RecommendationContext, items: Sequence[RankedItem], reason_context: reasons.ReasonContext
) -> reasons.ReasonContext:
    """Add what popularity counts, and how often what is of the trend was chosen this week."""
    trend = [item.key for item in items if "trending" in item.contributions]
    times = context.counted() if trend else {}
    return replace(
        reason_context,
        weekly_counts={key: times[key] for key in trend if key in times},
        uses_recent_popularity=context.model.uses_recent_popularity,
    )


def _new_items(context: RecommendationContext) -> list[RankedItem]:
    """Return the latest items that nobody has chosen yet."""
    chosen = {item.key for item in context.popular()}
    return [item for item in context.latest() if item.key not in chosen][:NEW_ITEMS]


def backfill(
    context: RecommendationContext, candidates: CandidateList, items: Sequence[RankedItem], count: int
) -> list[RankedItem]:
    """Return whatever else the list may show, for one that has turned out too short."""
    score = min(0.0, items[-1].score) if items else 0.0
    keys = context.further({*candidates.excluded, *(item.key for item in items)}, count)
    return [
        RankedItem(key=key, score=score, contributions={"backfill": score} if score else {}) for key in keys
    ]


def _context_of(
    request: RecommendationRequest, shown: Placement, pair: LivePair | None, configuration: Configuration
) -> RecommendationContext:
    """Return what the list is made from.

    `shown` is the placement asked for, or what an arm of an experiment shows instead of it.
    """
    list_type = type_of(shown)
    document = registry.get(request.document)
    user = taste.load_user(
        request.user_key,
        document=request.document,
        history=configuration.history_length if list_type.is_personal else 0,
        ignoring=request.ignoring,
    )
    hidden: frozenset[str] = frozenset()
    if user.consented:
        kinds = (*shown.hide, *dismissal_kinds())
        hidden = interactions.taken_keys(user.key, document=request.document, kinds=kinds)
    progress = _progress(document, user) if list_type.needs_progression else None
    rule_context = RuleContext(
        document=document,
        version=pair.index_version if pair else None,
        placement=request.placement.name,
        user=user,
        hidden=hidden,
        filters=_filters(shown, document, request.filters, pair),
        allowed=progress.allowed if progress else None,
        now=request.now or timezone.now(),
    )
    active_rules = rule_application.active_rules(rule_context, configuration)
    return RecommendationContext(
        placement=shown,
        document=document,
        pair=pair,
        configuration=configuration,
        user=user,
        hidden=hidden | active_rules.hidden,
        active_rules=active_rules,
        now=rule_context.now,
        item_id=request.item_id,
        basket=_basket(user) if request.basket is None else request.basket,
        progress=progress,
        explain=request.explain,
    )


def _basket(user: UserContext) -> tuple[str, ...]:
    """Return what they put there last and have neither bought nor dismissed since."""
    latest: dict[str, str] = {}
    kinds = (BASKET_KIND, *taking_kinds(), *dismissal_kinds())
    for event in user.events:  # newest first
        if event.kind in kinds:
            latest.setdefault(event.key, event.kind)
    return tuple(key for key, kind in latest.items() if kind == BASKET_KIND)


def _progress(document: SearchDocument[Any], user: UserContext) -> LearnerProgress:
    taken: frozenset[str] = frozenset()
    if user.consented:
        taken = interactions.taken_keys(user.key, document=document.label, kinds=taking_kinds())
    return learner_progress(document, user_key=user.key if user.consented else "", taken=taken)


def _filters(
    shown: Placement, document: SearchDocument[Any], asked: tuple[Filter, ...], pair: LivePair | None
) -> tuple[Filter, ...]:
    """Return what the list is confined to, by the placement and by the page; checked with the live index."""
    wanted = (*filters_of(shown, document), *asked)
    return checked(wanted, pair.index_version) if pair and wanted else wanted


def _pair(label: str, *, needed: bool) -> LivePair | None:
    try:
        return serving_pair(label)
    except NotBuilt:
        if needed:
            raise
        logger.warning("no live index document=%s", label)
        return None
