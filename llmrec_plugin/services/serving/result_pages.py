"""A ranked list to the pages that a visitor sees."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.core import signing

from llmrec_plugin import monitoring
from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.highlight import highlight
from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.conf import get_settings
from llmrec_plugin.contributions import personal_names
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import InvalidCursor, InvalidRequest
from llmrec_plugin.models import Impression, IndexVersion
from llmrec_plugin.ranking.history import by_past_item, folded
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.ranked_list import RankedList, Words
from llmrec_plugin.types import PastItem, PreparedItem, RankedItem, ResultItem, ResultPage

logger = logging.getLogger(__name__)
SALT = "llmrec_plugin.cursor"
MAX_ITEMS = 100
DECIMALS = 6


@dataclass(frozen=True)
class _Row:
    item: RankedItem
    object: Any
    prepared: PreparedItem | None
    """None where no highlights are wanted or `prepare` fails."""


def check_limit(limit: int, *, parameter: str = "limit") -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_ITEMS:
        raise InvalidRequest(
            f"A page has 1 to {MAX_ITEMS} items, {limit!r} were asked for.", parameter=parameter
        )


def first_page(ranked: RankedList, *, limit: int, started: float) -> ResultPage:
    """The first page; the list is kept for the cursor, and for learning where the user agreed to it.

    `started` is the `time.perf_counter()` of the request's beginning.
    """
    ranked, rows, end = _first_rows(ranked, limit)
    gone = end - len(rows)
    shown = {row.item.key for row in rows}
    kept = [*(row.item for row in rows), *ranked.items[end:]]
    total = len(ranked.items) if ranked.total is None else ranked.total
    page_total = max(total - gone, len(shown))
    request_id = uuid.uuid4()
    more = len(kept) > len(rows)
    if ranked.user.remembered or more:
        _keep(ranked, kept, request_id=request_id, shown=len(rows), total=page_total, started=started)
    page = ResultPage(
        results=_listed(ranked, rows),
        total=page_total,
        request_id=str(request_id),
        facets=ranked.facets,
        degraded=ranked.degraded,
        next=_cursor(request_id, len(rows), limit, ranked.marked) if more else None,
        relaxed=ranked.relaxed,
        language=ranked.language,
        did_you_mean=ranked.did_you_mean,
        synonyms=ranked.synonyms,
    )
    label, placement = ranked.document.label, ranked.placement
    monitoring.list_seconds.observe(time.perf_counter() - started, document=label, placement=placement)
    for part in ranked.degraded:
        monitoring.degraded_lists.add(document=label, placement=placement, part=part)
    return page


def glance(ranked: RankedList, *, limit: int) -> tuple[ResultItem, ...]:
    """The first items as a visitor would see them; nothing is kept or counted."""
    ranked, rows, _ = _first_rows(ranked, limit)
    return _listed(ranked, rows)


def _first_rows(ranked: RankedList, limit: int) -> tuple[RankedList, list[_Row], int]:
    """The list, made longer where too much of it has vanished, its first rows, and where the next begin."""
    rows, end = _visible_rows(ranked.document, ranked.items, 0, limit, ranked.words)
    if len(rows) < limit and ranked.more is not None:
        ranked = replace(ranked, items=[*ranked.items, *ranked.more(ranked.items, limit - len(rows))])
        further, end = _visible_rows(ranked.document, ranked.items, end, limit - len(rows), ranked.words)
        rows += further
    return ranked, rows, end


def notes(page: ResultPage) -> dict[str, Any]:
    """What is said of a search, by name, only where there is something to say."""
    found = {
        "did_you_mean": page.did_you_mean,
        "relaxed": page.relaxed,
        "language": page.language,
        "synonyms": page.synonyms,
    }
    return {name: value for name, value in found.items() if value}


def items_of(page: ResultPage, keys: Collection[str]) -> dict[str, ResultItem]:
    """By key, what is known of some items of the list that `page` is the first page of; those that cannot
    be seen any more are left out. One query for all of them."""
    if page.next is None:
        return {item.item_id: item for item in page.results if item.item_id in keys}
    request_id, _start, _size, text = _read_cursor(page.next)
    impression = Impression.objects.select_related("index_version").get(pk=request_id)
    document = registry.get(impression.document)
    words = _words_of(text, impression.index_version)
    objects = document.in_bulk(list(keys))
    ranked = _items_of(impression)
    places = [place for place, item in enumerate(ranked) if item.key in objects]
    last = max(places, default=-1) + 1
    Impression.objects.filter(pk=request_id, shown__lt=last).update(shown=last)
    found = [_row(document, ranked[place], objects[ranked[place].key], words) for place in places]
    rows = [row for row in found if row is not None]
    context = reasons.ReasonContext(**impression.extra["reasons"])
    version = impression.index_version
    return {item.item_id: item for item in _results(document, rows, context, words, version)}


def _words_of(text: str, version: IndexVersion | None) -> Words:
    """What a later page highlights; `text` as of `RankedList.marked`."""
    with dictionaries.of(version):
        return query_words(operators.parse(text).text) if text else ()


def _items_of(impression: Impression) -> list[RankedItem]:
    return [
        RankedItem(key=key, score=sum(contributions.values()), contributions=contributions)
        for key, contributions in impression.ranking or ()
    ]


def _visible_rows(
    document: SearchDocument[Any], items: Sequence[RankedItem], start: int, limit: int, words: Words
) -> tuple[list[_Row], int]:
    """`limit` rows that can still be seen, from `start` on, and where the next page begins.

    One query as long as nothing has vanished; what has is made up for from further down the list, in
    steps that double.
    """
    rows: list[_Row] = []
    step = limit
    while len(rows) < limit and start < len(items):
        chunk = items[start : start + step]
        objects = document.in_bulk([item.key for item in chunk])
        for item in chunk:
            start += 1
            row = _row(document, item, objects.get(item.key), words)
            if row is not None:
                rows.append(row)
            if len(rows) == limit:
                break
        step *= 2
    return rows, start


def _row(document: SearchDocument[Any], item: RankedItem, obj: Any, words: Words) -> _Row | None:
    if obj is None:
        return None
    try:
        prepared = document.prepare(obj)
    except Exception as error:  # the site's own code; the item stays as it was indexed
        logger.warning("prepare failed document=%s error=%s", document.label, type(error).__name__)
        return _Row(item, obj, None)
    return None if prepared is None else _Row(item, obj, prepared if words else None)


def _listed(ranked: RankedList, rows: Sequence[_Row]) -> tuple[ResultItem, ...]:
    reasons.check_contributions([row.item for row in rows])
    version = ranked.pair.index_version if ranked.pair else None
    return _results(ranked.document, rows, ranked.context, ranked.words, version, explain=ranked.explain)


def _results(
    document: SearchDocument[Any],
    rows: Sequence[_Row],
    context: reasons.ReasonContext,
    words: Words,
    version: IndexVersion | None,
    *,
    explain: bool = False,
) -> tuple[ResultItem, ...]:
    causes = [reasons.causes(folded(row.item), context) for row in rows]
    with dictionaries.of(version):
        highlights = [_highlights(row.prepared, words) for row in rows]
    personal = personal_names()
    past = [by_past_item(row.item.contributions, personal) if explain else {} for row in rows]
    named = set().union(*(reasons.sources_of(found, context) for found in causes), *past) - {""}
    titles = _titles(document, rows, named)
    told = reasons.sentences(causes, context, titles)
    return tuple(
        ResultItem(
            document=document.label,
            item_id=row.item.key,
            title=document.get_title(row.object),
            score=row.item.score,
            reasons=found,
            highlights=marked,
            contributions=row.item.contributions,
            history=tuple(
                PastItem(item_id=key, title=titles.get(key, ""), value=value) for key, value in moved.items()
            ),
            probability=reasons.probability(row.item, context),
            object=row.object,
        )
        for row, found, marked, moved in zip(rows, told, highlights, past, strict=True)
    )


def _titles(document: SearchDocument[Any], rows: Sequence[_Row], wanted: Set[str]) -> dict[str, str]:
    """One query at most for what is not on the page itself."""
    objects = {row.item.key: row.object for row in rows if row.item.key in wanted}
    objects |= document.in_bulk(sorted(wanted - objects.keys()))
    return {key: document.get_title(obj) for key, obj in objects.items()}


def _highlights(prepared: PreparedItem | None, words: Words) -> dict[str, str]:
    if prepared is None:
        return {}
    found = {name: highlight(text, words, language=prepared.language) for name, text in prepared.text.items()}
    return {name: html for name, html in found.items() if html}


def _keep(
    ranked: RankedList,
    items: Sequence[RankedItem],
    *,
    request_id: uuid.UUID,
    shown: int,
    total: int,
    started: float,
) -> None:
    """One row. Without the user's consent it says neither who nor what, and goes when its pages expire."""
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
        ranking=_kept(list(map(folded, items)) if ranked.explain else items),
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


def _kept(items: Sequence[RankedItem]) -> list[list[Any]]:
    """As `Impression.ranking` has it; all numbers rounded at once, which takes a tenth of the time."""
    values = [value for item in items for value in item.contributions.values()]
    rounded = iter(np.round(values, DECIMALS).tolist())
    # zip asks the names first, so that no number is lost where they end
    return [[item.key, dict(zip(item.contributions, rounded, strict=False))] for item in items]


def _cursor(request_id: uuid.UUID, start: int, limit: int, text: str) -> str:
    """Signed; it carries the query so that later pages can highlight what the list must not remember."""
    return signing.dumps([request_id.hex, start, limit, text], salt=SALT, compress=True)


def _read_cursor(cursor: str) -> tuple[uuid.UUID, int, int, str]:
    lifetime = get_settings().LIMITS.page_lifetime_seconds
    try:
        request_id, start, limit, text = signing.loads(cursor, salt=SALT, max_age=lifetime)
    except signing.SignatureExpired:
        raise InvalidCursor("This list has expired: search again.") from None
    except (signing.BadSignature, ValueError, TypeError):  # forged, or made by another release
        raise InvalidCursor("This cursor was not made here: take `next` as it was given.") from None
    return uuid.UUID(request_id), start, limit, text
