"""A ranked list to the first page that a visitor sees."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from django.db import router

from llmrec_plugin import monitoring
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Impression
from llmrec_plugin.ranking.history import folded
from llmrec_plugin.services.coordination import short_writes, site_code
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.cursors import signed_cursor
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.visible_items import VisibleRow, result_items, visible_rows
from llmrec_plugin.types import RankedItem, ResultItem, ResultPage

logger = logging.getLogger(__name__)
MAX_ITEMS = 100
DECIMALS = 6
NOT_KEPT = "impression"
"""Of `ResultPage.degraded`: the database took no row for the list, which so has neither cursor nor id."""


def check_limit(limit: int, *, parameter: str = "limit") -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_ITEMS:
        raise InvalidRequest(
            f"A page has 1 to {MAX_ITEMS} items, {limit!r} were asked for.", parameter=parameter
        )


def first_page(ranked: RankedList, *, limit: int, started: float) -> ResultPage:
    """Return the first page; the list is kept for the cursor, and for learning where the user agreed to it.

    `started` is the `time.perf_counter()` of the request's beginning.
    """
    with site_code.noting() as lacking:
        ranked, rows, end = _first_rows(ranked, limit)
        shown_items = _shown_items(ranked, rows)
    ranked = replace(ranked, degraded=(*ranked.degraded, *lacking))
    gone = end - len(rows)
    shown = {row.item.key for row in rows}
    items = [*(row.item for row in rows), *ranked.items[end:]]
    total = len(ranked.items) if ranked.total is None else ranked.total
    page_total = max(total - gone, len(shown))
    request_id = uuid.uuid4()
    more = len(items) > len(rows)
    kept = not (ranked.user.remembered or more) or short_writes.attempt(
        lambda: _store(
            ranked, items, request_id=request_id, shown=len(rows), total=page_total, started=started
        ),
        using=router.db_for_write(Impression),
    )
    degraded = ranked.degraded if kept else (*ranked.degraded, NOT_KEPT)
    page = ResultPage(
        results=shown_items,
        total=page_total,
        request_id=str(request_id) if kept else "",
        facets=ranked.facets,
        degraded=degraded,
        next=signed_cursor(request_id, len(rows), limit, ranked.marked) if more and kept else None,
        relaxed=ranked.relaxed,
        language=ranked.language,
        did_you_mean=ranked.did_you_mean,
        synonyms=ranked.synonyms,
    )
    label, placement = ranked.document.label, ranked.placement
    monitoring.list_seconds.observe(time.perf_counter() - started, document=label, placement=placement)
    for part in degraded:
        monitoring.degraded_lists.add(document=label, placement=placement, part=part)
    return page


def glance(ranked: RankedList, *, limit: int) -> tuple[ResultItem, ...]:
    """Return the first items as a visitor would see them; nothing is kept or counted."""
    ranked, rows, _ = _first_rows(ranked, limit)
    return _shown_items(ranked, rows)


def _first_rows(ranked: RankedList, limit: int) -> tuple[RankedList, list[VisibleRow], int]:
    """Return the list, longer where much of it has vanished, its first rows, and where the next begin."""
    rows, end = visible_rows(ranked.document, ranked.items, 0, limit)
    if len(rows) < limit and ranked.more is not None:
        ranked = replace(ranked, items=[*ranked.items, *ranked.more(ranked.items, limit - len(rows))])
        further, end = visible_rows(ranked.document, ranked.items, end, limit - len(rows))
        rows += further
    return ranked, rows, end


def notes(page: ResultPage) -> dict[str, Any]:
    """Return what is said of a search, by name, only where there is something to say."""
    found = {
        "did_you_mean": page.did_you_mean,
        "relaxed": page.relaxed,
        "language": page.language,
        "synonyms": page.synonyms,
    }
    return {name: value for name, value in found.items() if value}


def _shown_items(ranked: RankedList, rows: Sequence[VisibleRow]) -> tuple[ResultItem, ...]:
    reasons.check_contributions([row.item for row in rows])
    version = ranked.pair.index_version if ranked.pair else None
    return result_items(ranked.document, rows, ranked.context, ranked.words, version, explain=ranked.explain)


def _store(
    ranked: RankedList,
    items: Sequence[RankedItem],
    *,
    request_id: uuid.UUID,
    shown: int,
    total: int,
    started: float,
) -> None:
    """Store the list as one row.

    Without the user's consent it says neither who nor what, and goes when its pages expire.
    """
    extra: dict[str, Any] = {"reasons": ranked.context.as_json(), "facets": ranked.facets}
    if ranked.relaxed:
        extra["relaxed"] = ranked.relaxed
    if not ranked.user.remembered:
        extra["transient"] = True
    Impression.objects.create(
        request_id=request_id,
        user_key=ranked.user.key if ranked.user.remembered else "",
        document=ranked.document.label,
        placement=ranked.placement,
        query=ranked.text if ranked.user.remembered else "",
        ranking=_ranking_as_json(list(map(folded, items)) if ranked.explain else items),
        extra=extra,
        shown=shown,
        total=total,
        degraded=list(ranked.degraded),
        index_version=ranked.pair.index_version if ranked.pair else None,
        model_version=ranked.pair.model_version if ranked.pair else None,
        arm_id=ranked.arm if ranked.user.remembered else None,
        arm_error=ranked.arm_error if ranked.user.remembered else "",
        teams="".join(str(ranked.teams[item.key]) for item in items) if ranked.teams else "",
        took_ms=round((time.perf_counter() - started) * 1000),
    )


def _ranking_as_json(items: Sequence[RankedItem]) -> list[list[Any]]:
    """Return it as `Impression.ranking` has it; rounding all numbers at once takes a tenth of the time."""
    values = [value for item in items for value in item.contributions.values()]
    rounded = iter(np.round(values, DECIMALS).tolist())
    # zip asks the names first, so that no number is lost where they end
    return [[item.key, dict(zip(item.contributions, rounded, strict=False))] for item in items]
