"""Lists that were kept: their later pages, their keys, and single items of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import router
from django.utils import timezone

from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import CursorOfAnother, InvalidCursor
from llmrec_plugin.models import Impression, IndexVersion
from llmrec_plugin.services.coordination import short_writes
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.cursors import read_cursor, signed_cursor
from llmrec_plugin.services.serving.ranked_list import Words
from llmrec_plugin.services.serving.visible_items import result_items, visible_row, visible_rows
from llmrec_plugin.types import RankedItem, ResultItem, ResultPage


def next_page(cursor: str, *, user_key: str | None, explain: bool = False) -> ResultPage:
    """Return the page that the cursor points to; `explain` tells `history`, as far as the kept list names it.

    Raises CursorOfAnother for one that is not this user's own, InvalidCursor for one that was not made here
    or has expired.
    """
    request_id, start, limit, text = read_cursor(cursor)
    impression = Impression.objects.select_related("index_version").filter(pk=request_id).first()
    lifetime = timedelta(seconds=get_settings().LIMITS.page_lifetime_seconds)
    if impression is None or not impression.extra or timezone.now() - impression.at > lifetime:
        raise InvalidCursor("This list has expired: search again.")
    if impression.user_key and impression.user_key != user_key:
        raise CursorOfAnother("This cursor belongs to another visitor: search again.")
    document = registry.get(impression.document)
    items = _stored_items(impression)
    context = reasons.ReasonContext(**impression.extra["reasons"])
    words = _highlighted_words(text, impression.index_version)
    rows, end = visible_rows(document, items, start, limit)
    if end > impression.shown:
        _note_shown(impression, end)
    return ResultPage(
        results=result_items(document, rows, context, words, impression.index_version, explain=explain),
        total=impression.total,
        request_id=str(request_id),
        facets={
            name: [(value, count) for value, count in counts]
            for name, counts in impression.extra["facets"].items()
        },
        degraded=tuple(impression.degraded),
        next=signed_cursor(request_id, end, limit, text) if end < len(items) else None,
        relaxed=impression.extra.get("relaxed", ""),
    )


def ranked_keys(page: ResultPage) -> list[str]:
    """Return the items of the whole list that a first page begins, best first, as far as it was kept."""
    ranking: list[tuple[str, object]] | None = None
    if page.request_id:
        ranking = Impression.objects.filter(pk=page.request_id).values_list("ranking", flat=True).first()
    return [key for key, _ in ranking] if ranking else [item.item_id for item in page.results]


def items_of(page: ResultPage, keys: Collection[str]) -> dict[str, ResultItem]:
    """Return some items, by key, of the list that `page` is the first page of.

    Those that cannot be seen any more are left out. One query for all of them.
    """
    if page.next is None:
        return {item.item_id: item for item in page.results if item.item_id in keys}
    request_id, _start, _size, text = read_cursor(page.next)
    impression = Impression.objects.select_related("index_version").get(pk=request_id)
    document = registry.get(impression.document)
    words = _highlighted_words(text, impression.index_version)
    objects = document.in_bulk(list(keys))
    ranked = _stored_items(impression)
    places = [place for place, item in enumerate(ranked) if item.key in objects]
    last = max(places, default=-1) + 1
    _note_shown(impression, last)
    found = [visible_row(document, ranked[place], objects[ranked[place].key]) for place in places]
    rows = [row for row in found if row is not None]
    context = reasons.ReasonContext(**impression.extra["reasons"])
    version = impression.index_version
    return {item.item_id: item for item in result_items(document, rows, context, words, version)}


def _note_shown(impression: Impression, places: int) -> None:
    """Record that so many places of the list were shown; what the database does not take is no visitor's
    concern."""
    short_writes.attempt(
        lambda: Impression.objects.filter(pk=impression.pk, shown__lt=places).update(shown=places),
        using=router.db_for_write(Impression),
    )


def _highlighted_words(text: str, version: IndexVersion | None) -> Words:
    """Return what a later page highlights; `text` as of `RankedList.marked`."""
    with dictionaries.of(version):
        return query_words(operators.parse(text).text) if text else ()


def _stored_items(impression: Impression) -> list[RankedItem]:
    return [
        RankedItem(key=key, score=sum(contributions.values()), contributions=contributions)
        for key, contributions in impression.ranking or ()
    ]
