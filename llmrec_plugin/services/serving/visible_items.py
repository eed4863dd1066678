"""Rows of a list that can still be seen, and what a visitor is shown of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, NamedTuple, cast

from llmrec_plugin.analysis import tokens
from llmrec_plugin.analysis.highlight import highlight
from llmrec_plugin.contributions import personal_names, reason_names
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.ranking.history import by_past_item, folded
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.items import preparation
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.serving.ranked_list import Words
from llmrec_plugin.types import PastItem, PreparedItem, RankedItem, ResultItem


class VisibleRow(NamedTuple):
    """A frozen pair of an item and the site's row that it stands for."""

    item: RankedItem
    object: Any
    prepared: PreparedItem | None = None
    """As the site's own `prepare` has it, which was asked whether the row is to be found; None: it was not
    asked, or failed."""


def visible_rows(
    document: SearchDocument[Any], items: Sequence[RankedItem], start: int, limit: int
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
            row = visible_row(document, item, objects.get(item.key))
            if row is not None:
                rows.append(row)
            if len(rows) == limit:
                break
        step *= 2
    return rows, start


def visible_row(document: SearchDocument[Any], item: RankedItem, obj: Any) -> VisibleRow | None:
    """Return the row; None where it is gone, or the site's own `prepare` says that it is not to be found."""
    if obj is None:
        return None
    if not preparation.decides_who_is_shown(document):
        return VisibleRow(item, obj)
    part, unknown = preparation.part_of(document), object()
    found = site_code.call(part, lambda: document.prepare(obj), otherwise=unknown)
    if found is unknown:  # the item stays as it was indexed
        return VisibleRow(item, obj)
    return None if found is None else VisibleRow(item, obj, cast(PreparedItem, found))


class Highlights(Mapping[str, str]):
    """Escaped HTML by field, made when it is first looked at: an item's texts may take queries to read."""

    def __init__(
        self, document: SearchDocument[Any], row: VisibleRow, words: Words, dictionary: str | None
    ) -> None:
        self._document, self._row, self._words, self._dictionary = document, row, words, dictionary

    @cached_property
    def _found(self) -> dict[str, str]:
        part = preparation.part_of(self._document)
        return site_code.call(part, self._marked, otherwise={})

    def _marked(self) -> dict[str, str]:
        item = self._row.prepared or preparation.readable(self._document, self._row.object)
        if item is None:
            return {}
        with tokens.cut_by(self._dictionary):
            found = {
                name: highlight(text, self._words, language=item.language) for name, text in item.text.items()
            }
        return {name: html for name, html in found.items() if html}

    def __getitem__(self, name: str) -> str:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)


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
    dictionary = dictionaries.words_of(version) if words and version is not None else None
    personal = personal_names()
    past = [by_past_item(row.item.contributions, personal) if explain else {} for row in rows]
    named = set().union(*(reasons.sources_of(found, context) for found in causes), *past) - {""}
    titles = _titles(document, rows, named)
    sentences = reasons.sentences(causes, context, titles)
    return tuple(
        ResultItem(
            document=document.label,
            item_id=row.item.key,
            title=title_of(document, row.object),
            score=row.item.score,
            reasons=found,
            highlights=Highlights(document, row, words, dictionary) if words else {},
            contributions=row.item.contributions,
            history=tuple(
                PastItem(item_id=key, title=titles.get(key, ""), value=value) for key, value in moved.items()
            ),
            probability=reasons.probability(row.item, context),
            object=row.object,
        )
        for row, found, moved in zip(rows, sentences, past, strict=True)
    )


def title_of(document: SearchDocument[Any], obj: Any) -> str:
    """Return what the item is called; its key where the site's code fails."""
    part = preparation.part_of(document)
    return site_code.call(part, lambda: document.get_title(obj), otherwise=str(obj.pk))


def url_of(document: SearchDocument[Any], obj: Any) -> str:
    """Return the address of the item's page; empty where it has none, or the site's code fails."""
    part = preparation.part_of(document)
    return site_code.call(part, lambda: document.get_absolute_url(obj), otherwise="")


def _titles(document: SearchDocument[Any], rows: Sequence[VisibleRow], wanted: Set[str]) -> dict[str, str]:
    """Return the titles, with one query at most for what is not on the page itself."""
    objects = {row.item.key: row.object for row in rows if row.item.key in wanted}
    objects |= document.in_bulk(sorted(wanted - objects.keys()))
    return {key: title_of(document, obj) for key, obj in objects.items()}
