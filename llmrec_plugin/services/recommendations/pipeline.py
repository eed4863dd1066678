"""Lists without a query: for a user, about an item, or for everybody, as the placement says."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import InvalidRequest, NotBuilt
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.curation.placements import (
    ABOUT_AN_ITEM,
    PERSONAL,
    TAKEN,
    Placement,
    filters_of,
    get_placement,
)
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.interactions import history as interactions
from llmrec_plugin.services.items.filters import checked
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.recommendations import strategies
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.recommendations.prerequisites import LearnerProgress, learner_progress
from llmrec_plugin.services.serving import result_pages, rule_application, variants
from llmrec_plugin.services.serving.encoder_loading import serving_pair
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.rule_application import RuleContext
from llmrec_plugin.services.serving.variants import ListMaker, Variant
from llmrec_plugin.types import Filter, RankedItem, ResultPage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecommendationRequest:
    """What a page asks of a placement."""

    user_key: str | None = None
    item_id: str | None = None
    """That the page is about."""
    filters: tuple[Filter, ...] = ()
    """Beside those of the placement: the category that the page shows."""
    basket: tuple[str, ...] | None = None
    """Keys of the items in it; None: as the user's events tell."""
    needs_index: bool = False
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
    """What the placement shows, never shorter than asked for while there are items that it may show.

    `now`: as of that moment events fade and trends are counted; None: the present. `explain` names every
    past item of the user that moved an item.
    Without a live index, or while the engine is down, popular and new items stand in. Raises NotFound
    for an unknown placement, document or item, and InvalidRequest where one of them must be named or a
    filter does not fit the document.
    """
    configuration = Configuration.current()
    slot = get_placement(placement, configuration)
    label = label_of(slot, document)
    if slot.type in ABOUT_AN_ITEM and item_id is None:
        raise InvalidRequest(f'The placement "{placement}" needs the item it is about.', parameter="item_id")
    keys = None if basket is None else tuple(dict.fromkeys(map(str, basket)))
    asked = RecommendationRequest(
        user_key=user_key, item_id=item_id, filters=filters, basket=keys, now=now, explain=explain
    )
    return _page(slot, label, asked, configuration, limit=limit)


def rank_items(
    label: str, keys: Sequence[str], *, user_key: str | None, now: datetime | None = None
) -> list[RankedItem]:
    """These items in the order that for-you would put them in, such as a shelf of new arrivals.

    What the user has already is not left out. `now` as in `recommend`; raises what `live_pair` raises.
    """
    configuration = Configuration.current()
    slot = get_placement("for-you", configuration)
    asked = RecommendationRequest(user_key=user_key, needs_index=True, now=now)
    scene = _scene(slot, slot.name, label, asked, serving_pair(label), configuration)
    return strategies.rank_items(scene, keys)


def similar(
    label: str, item_id: object, *, user_key: str | None = None, limit: int | None = None
) -> ResultPage:
    """Items whose text means nearly the same, without the item itself."""
    return _about("similar", label, item_id, user_key=user_key, limit=limit)


def also(label: str, item_id: object, *, user_key: str | None = None, limit: int | None = None) -> ResultPage:
    """What people who took the item took as well; where that is not known yet, similar items."""
    return _about("also", label, item_id, user_key=user_key, limit=limit)


def _about(kind: str, label: str, item_id: object, *, user_key: str | None, limit: int | None) -> ResultPage:
    """The placement of that name, should the site have made its own of the kind."""
    configuration = Configuration.current()
    slot = get_placement(kind, configuration)
    if slot.type != kind:
        slot = Placement(name=kind, type=kind)
    asked = RecommendationRequest(user_key=user_key, item_id=str(item_id), needs_index=True)
    return _page(slot, label, asked, configuration, limit=limit)


def label_of(slot: Placement, document: str | None) -> str:
    """What the slot is to show; raises InvalidRequest where neither it nor the page says."""
    label = document or slot.document
    if label:
        return label
    labels = registry.labels()
    if len(labels) == 1:
        return labels[0]
    raise InvalidRequest(
        f'Name the document that "{slot.name}" is to show: {", ".join(labels) or "none is registered"}.',
        parameter="document",
    )


def _page(
    slot: Placement,
    label: str,
    asked: RecommendationRequest,
    configuration: Configuration,
    *,
    limit: int | None,
) -> ResultPage:
    started = time.perf_counter()
    registry.get(label)  # before the database is asked for something that no column can hold
    limit = slot.limit if limit is None else limit
    result_pages.check_limit(limit, parameter="limit")
    ranked = variants.answer(RecommendationMaker(slot, label, asked), configuration)
    return result_pages.first_page(ranked, limit=limit, started=started)


@dataclass(frozen=True)
class RecommendationMaker(ListMaker):
    """A list without a query before it is known which variant answers it."""

    slot: Placement
    document: str
    request: RecommendationRequest

    @property
    def label(self) -> str:
        return self.document

    @property
    def placement(self) -> str:
        return self.slot.name

    @property
    def user_key(self) -> str | None:
        return self.request.user_key

    def make(self, variant: Variant) -> RankedList:
        """Return the whole list under the name of the placement that was asked for."""
        slot = get_placement(variant.placement, variant.configuration) if variant.placement else self.slot
        live = _pair(self.document, needed=self.request.needs_index)
        pair = variant.pair_of(live) if live else None
        scene = _scene(slot, self.slot.name, self.document, self.request, pair, variant.configuration)
        shelf = strategies.recommend_items(scene, item_id=self.request.item_id)
        return RankedList(
            document=scene.document,
            placement=self.slot.name,
            items=scene.ruling.apply(shelf.items).items,
            context=shelf.context,
            user=scene.user,
            degraded=shelf.degraded,
            pair=pair,
            more=partial(strategies.backfill, scene, shelf),
            explain=self.request.explain,
        )


def _scene(
    slot: Placement,
    name: str,
    label: str,
    asked: RecommendationRequest,
    pair: LivePair | None,
    configuration: Configuration,
) -> RecommendationContext:
    document = registry.get(label)
    history = configuration.history_length if slot.type in PERSONAL else 0
    user = taste.load_user(asked.user_key, document=label, history=history, ignoring=asked.ignoring)
    basket = _basket(user) if asked.basket is None else asked.basket
    hidden: frozenset[str] = frozenset()
    if user.consented:
        hidden = interactions.taken_keys(user.key, document=label, kinds=(*slot.hide, "dismiss"))
    stand = _standing(document, user) if slot.type == "next" else None
    occasion = RuleContext(
        document=document,
        version=pair.index_version if pair else None,
        placement=name,
        user=user,
        hidden=hidden,
        filters=_filters(slot, document, asked.filters, pair),
        allowed=stand.allowed if stand else None,
        now=asked.now or timezone.now(),
    )
    ruling = rule_application.active_rules(occasion, configuration)
    return RecommendationContext(
        slot=slot,
        document=document,
        pair=pair,
        configuration=configuration,
        user=user,
        hidden=hidden | ruling.hidden,
        ruling=ruling,
        now=occasion.now,
        basket=basket if slot.type == "basket" else (),
        standing=stand,
        explain=asked.explain,
    )


def _basket(user: UserContext) -> tuple[str, ...]:
    """What he put there last and has neither bought nor dismissed since."""
    latest: dict[str, str] = {}
    for event in user.events:  # newest first
        if event.kind in ("cart", *TAKEN, "dismiss"):
            latest.setdefault(event.key, event.kind)
    return tuple(key for key, kind in latest.items() if kind == "cart")


def _standing(document: SearchDocument[Any], user: UserContext) -> LearnerProgress:
    taken: frozenset[str] = frozenset()
    if user.consented:
        taken = interactions.taken_keys(user.key, document=document.label, kinds=TAKEN)
    return learner_progress(document, user_key=user.key if user.consented else "", taken=taken)


def _filters(
    slot: Placement, document: SearchDocument[Any], asked: tuple[Filter, ...], pair: LivePair | None
) -> tuple[Filter, ...]:
    """What the list is confined to, by the placement and by the page; checked against the live index."""
    wanted = (*filters_of(slot, document), *asked)
    return checked(wanted, pair.index_version) if pair and wanted else wanted


def _pair(label: str, *, needed: bool) -> LivePair | None:
    try:
        return serving_pair(label)
    except NotBuilt:
        if needed:
            raise
        logger.warning("no live index document=%s", label)
        return None
