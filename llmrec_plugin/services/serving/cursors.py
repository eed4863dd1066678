"""The later pages of a list that was kept, and the cursors that point to them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import CursorOfAnother, InvalidCursor
from llmrec_plugin.models import Impression
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.result_pages import (
    _cursor,
    _items_of,
    _read_cursor,
    _results,
    _visible_rows,
    _words_of,
)
from llmrec_plugin.types import ResultPage


def next_page(cursor: str, *, user_key: str | None, explain: bool = False) -> ResultPage:
    """The page that the cursor points to; raises CursorOfAnother for one that is not this
    user's own, InvalidCursor for one that was not made here or has expired. `explain` tells `history`, as
    far as the kept list names it."""
    request_id, start, limit, text = _read_cursor(cursor)
    impression = Impression.objects.select_related("index_version").filter(pk=request_id).first()
    lifetime = timedelta(seconds=get_settings().LIMITS.page_lifetime_seconds)
    if impression is None or not impression.extra or timezone.now() - impression.at > lifetime:
        raise InvalidCursor("This list has expired: search again.")
    if impression.user_key and impression.user_key != user_key:
        raise CursorOfAnother("This cursor belongs to another visitor: search again.")
    document = registry.get(impression.document)
    items = _items_of(impression)
    context = reasons.ReasonContext(**impression.extra["reasons"])
    words = _words_of(text, impression.index_version)
    rows, end = _visible_rows(document, items, start, limit, words)
    if end > impression.shown:
        Impression.objects.filter(pk=request_id, shown__lt=end).update(shown=end)
    return ResultPage(
        results=_results(document, rows, context, words, impression.index_version, explain=explain),
        total=impression.total,
        request_id=str(request_id),
        facets={
            name: [(value, count) for value, count in counts]
            for name, counts in impression.extra["facets"].items()
        },
        degraded=tuple(impression.degraded),
        next=_cursor(request_id, end, limit, text) if end < len(items) else None,
        relaxed=impression.extra.get("relaxed", ""),
    )


def kept_keys(page: ResultPage) -> list[str]:
    """The items of the whole list that a first page begins, best first, as far as it was kept."""
    ranking = Impression.objects.filter(pk=page.request_id).values_list("ranking", flat=True).first()
    return [key for key, _ in ranking] if ranking else [item.item_id for item in page.results]
