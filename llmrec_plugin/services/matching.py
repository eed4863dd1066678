"""Which items pass filters, by the engine or by their rows, and which queries contain a phrase."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from llmrec_plugin.analysis.exact import exact_terms
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services import filters
from llmrec_plugin.services.live import engine_of
from llmrec_plugin.services.projection import prepared_items
from llmrec_plugin.types import Document, EngineQuery, Filter, Phrase

logger = logging.getLogger(__name__)

Groups = tuple[tuple[Filter, ...], ...]


def passing(
    document: SearchDocument[Any],
    keys: Sequence[str],
    *,
    wanted: tuple[Filter, ...] = (),
    unless: Groups = (),
    version: IndexVersion | None,
) -> set[str]:
    """Those of the items that pass all filters and none of the groups; asks the engine, and reads the rows
    where there is no index or the engine does not answer."""
    if not keys or not (wanted or unless):
        return set(keys)
    if version is not None:
        query = EngineQuery(only=frozenset(keys), filters=wanted, unless=unless, limit=len(set(keys)))
        try:
            return {hit.key for hit in engine_of(version).search(version.name, query).listing}
        except (BackendUnavailable, NotFound) as error:
            logger.warning("engine unusable document=%s error=%s", document.label, type(error).__name__)
    return passing_rows(document, keys, wanted=wanted, unless=unless)


def passing_rows(
    document: SearchDocument[Any], keys: Sequence[str], *, wanted: Sequence[Filter], unless: Groups = ()
) -> set[str]:
    """As `passing`, by what stands in the rows now; one query."""
    return {
        key
        for key, found in prepared_items(document, keys).items()
        if _passes(found, wanted) and not any(_passes(found, group) for group in unless)
    }


def _passes(document: Document, wanted: Sequence[Filter]) -> bool:
    return filters.matches(wanted, document.filters)


def holds(document: Document, phrase: Phrase) -> bool:
    """Whether the words stand side by side in one of its text fields, as an engine would say."""
    size = len(phrase.terms)
    fields = [tuple(exact_terms(text)) for text in document.text.values()]
    return any(
        terms[place : place + size] == phrase.terms
        for terms in fields
        for place in range(len(terms) - size + 1)
    )


def contains(text: str, phrase: str) -> bool:
    """Whether the phrase stands in the text as whole words; both folded.

    Chinese has no spaces to part its words, so that there any place will do.
    """
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        if not (_is_one_word(text, start) or _is_one_word(text, end)):
            return True
        start = text.find(phrase, start + 1)
    return False


def _is_one_word(text: str, position: int) -> bool:
    """Whether what stands before and behind the position belongs together."""
    around = text[max(0, position - 1) : position + 1]
    return len(around) == 2 and position > 0 and around.isalnum() and not HAN.search(around)
