"""Lists without a query: for a user, about an item, or for everybody, as the placement says."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest, NotBuilt
from llmrec_plugin.models import Configuration
from llmrec_plugin.services import arms, interactions, pages, profiles, rules, shelves
from llmrec_plugin.services.arms import Variant
from llmrec_plugin.services.live import LivePair
from llmrec_plugin.services.pages import RankedList
from llmrec_plugin.services.placements import Placement, get_placement
from llmrec_plugin.services.rules import Occasion
from llmrec_plugin.services.serving import serving_pair
from llmrec_plugin.services.shelves import Scene
from llmrec_plugin.types import RankedItem, ResultPage

logger = logging.getLogger(__name__)


def recommend(
    placement: str,
    *,
    user_key: str | None = None,
    document: str | None = None,
    item: str | None = None,
    size: int | None = None,
    now: datetime | None = None,
) -> ResultPage:
    """What the placement shows, never shorter than asked for while there are items that it may show.

    `now`: as of that moment events fade and trends are counted; None: the present.
    Without a live index, or while the engine is down, popular and new items stand in. Raises NotFound
    for an unknown placement, document or item and InvalidRequest where one of them must be named.
    """
    slot = get_placement(placement)
    label = _label(slot, document)
    if slot.type in shelves.ABOUT_AN_ITEM and item is None:
        raise InvalidRequest(f'The placement "{placement}" needs the item it is about.', parameter="item")
    return _page(slot, label, user_key=user_key, item=item, size=size, needs_index=False, now=now)


def order(
    label: str, keys: Sequence[str], *, user_key: str | None, now: datetime | None = None
) -> list[RankedItem]:
    """These items in the order that for-you would put them in, such as a shelf of new arrivals.

    What the user has already is not left out. `now` as in `recommend`; raises what `live_pair` raises.
    """
    slot = get_placement("for-you")
    variant = Variant(configuration=Configuration.current())
    scene = _scene(slot, slot.name, label, user_key, variant, needs_index=True, now=now)
    return shelves.in_order(scene, keys)


def similar(label: str, object_id: object, *, user_key: str | None = None, size: int = 12) -> ResultPage:
    """Items whose text means nearly the same, without the item itself."""
    slot = Placement(name="similar", type="similar")
    return _page(slot, label, user_key=user_key, item=str(object_id), size=size, needs_index=True)


def also(label: str, object_id: object, *, user_key: str | None = None, size: int = 12) -> ResultPage:
    """What people who took the item took as well; where that is not known yet, similar items."""
    slot = Placement(name="also", type="also")
    return _page(slot, label, user_key=user_key, item=str(object_id), size=size, needs_index=True)


def _label(slot: Placement, document: str | None) -> str:
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
    *,
    user_key: str | None,
    item: str | None,
    size: int | None,
    needs_index: bool,
    now: datetime | None = None,
) -> ResultPage:
    started = time.perf_counter()
    size = slot.size if size is None else size
    pages.check_page_size(size, parameter="size")
    ranked = arms.answer(
        partial(_listed, slot, label, user_key, item, needs_index, now),
        document=label,
        placement=slot.name,
        user_key=user_key,
    )
    return pages.first_page(ranked, page_size=size, started=started)


def _listed(
    slot: Placement,
    label: str,
    user_key: str | None,
    item: str | None,
    needs_index: bool,
    now: datetime | None,
    variant: Variant,
) -> RankedList:
    """The whole list that the variant answers with, under the name of the slot that was asked for."""
    name = slot.name
    if variant.placement:
        slot = get_placement(variant.placement)
    scene = _scene(slot, name, label, user_key, variant, needs_index=needs_index, now=now)
    shelf = shelves.fill(scene, item=item)
    return RankedList(
        document=scene.document,
        placement=name,
        items=scene.ruling.apply(shelf.items).items,
        context=shelf.context,
        user=scene.user,
        degraded=shelf.degraded,
        pair=scene.pair,
    )


def _scene(
    slot: Placement,
    name: str,
    label: str,
    user_key: str | None,
    variant: Variant,
    *,
    needs_index: bool,
    now: datetime | None,
) -> Scene:
    document = registry.get(label)
    configuration = variant.configuration
    history = configuration.history_length if slot.type in ("for-you", "because-you-viewed") else 0
    user = profiles.know(user_key, document=label, history=history)
    hidden: frozenset[str] = frozenset()
    if user.consented:
        hidden = interactions.taken_keys(user.key, document=label, kinds=(*slot.hide, "dismiss"))
    live = _pair(label, needed=needs_index)
    pair = variant.pair_of(live) if live else None
    occasion = Occasion(
        document=document,
        version=pair.index_version if pair else None,
        placement=name,
        user=user,
        hidden=hidden,
        now=now or timezone.now(),
    )
    ruling = rules.ruling(occasion, configuration)
    return Scene(
        slot=slot,
        document=document,
        pair=pair,
        configuration=configuration,
        user=user,
        hidden=hidden | ruling.hidden,
        ruling=ruling,
        now=occasion.now,
    )


def _pair(label: str, *, needed: bool) -> LivePair | None:
    try:
        return serving_pair(label)
    except NotBuilt:
        if needed:
            raise
        logger.warning("no live index document=%s", label)
        return None
