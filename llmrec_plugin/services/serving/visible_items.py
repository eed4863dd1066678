"""Rows of a list that can still be seen, and what a visitor is shown of each."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from llmrec_plugin.analysis.highlight import highlight
from llmrec_plugin.contributions import personal_names, reason_names
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.ranking.history import by_past_item, folded
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.ranked_list import Words
from llmrec_plugin.types import PastItem, PreparedItem, RankedItem, ResultItem

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VisibleRow:
    item: RankedItem
    object: Any
    prepared: PreparedItem | None
    """None where no highlights are wanted or `prepare` fails."""


def visible_rows(
    document: SearchDocument[Any], items: Sequence[RankedItem], start: int, limit: int, words: Words
) -> tuple[list[VisibleRow], int]:
    """Return `limit` rows that can still be seen, from `start` on, and where the next page begins.

    One query as long as nothing has vanished; what has is made up for from further down the list, in
    steps that double.
    """
    rows: list[VisibleRow] = []
    step = limit
    while len(rows) < limit and start < len(items):
        chunk = items[start : start + step]
        objects = document.in_bulk([item.key for item in chunk])
        for item in chunk:
            start += 1
            row = visible_row(document, item, objects.get(item.key), words)
            if row is not None:
                rows.append(row)
            if len(rows) == limit:
                break
        step *= 2
    return rows, start


def visible_row(document: SearchDocument[Any], item: RankedItem, obj: Any, words: Words) -> VisibleRow | None:
    if obj is None:
        return None
    try:
        prepared = document.prepare(obj)
    except Exception as error:  # the site's own code; the item stays as it was indexed
        logger.warning("prepare failed document=%s error=%s", document.label, type(error).__name__)
        return VisibleRow(item, obj, None)
    return None if prepared is None else VisibleRow(item, obj, prepared if words else None)


def result_items(
    document: SearchDocument[Any],
    rows: Sequence[VisibleRow],
    context: reasons.ReasonContext,
    words: Words,
    version: IndexVersion | None,
    *,
    explain: bool = False,
) -> tuple[ResultItem, ...]:
    told = reason_names()
    causes = [reasons.causes(folded(row.item), context, told=told) for row in rows]
    with dictionaries.of(version):
        highlights = [_highlights(row.prepared, words) for row in rows]
    personal = personal_names()
    past = [by_past_item(row.item.contributions, personal) if explain else {} for row in rows]
    named = set().union(*(reasons.sources_of(found, context) for found in causes), *past) - {""}
    titles = _titles(document, rows, named)
    sentences = reasons.sentences(causes, context, titles)
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
        for row, found, marked, moved in zip(rows, sentences, highlights, past, strict=True)
    )


def _titles(document: SearchDocument[Any], rows: Sequence[VisibleRow], wanted: Set[str]) -> dict[str, str]:
    """Return the titles, with one query at most for what is not on the page itself."""
    objects = {row.item.key: row.object for row in rows if row.item.key in wanted}
    objects |= document.in_bulk(sorted(wanted - objects.keys()))
    return {key: document.get_title(obj) for key, obj in objects.items()}


def _highlights(prepared: PreparedItem | None, words: Words) -> dict[str, str]:
    if prepared is None:
        return {}
    found = {name: highlight(text, words, language=prepared.language) for name, text in prepared.text.items()}
    return {name: html for name, html in found.items() if html}
