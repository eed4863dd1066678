"""Which items pass filters, asked of the engine or of the rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from llmrec_plugin.analysis.exact import exact_terms
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.deployment.engines import asking
from llmrec_plugin.services.items import filters
from llmrec_plugin.services.items.preparation import prepared_items
from llmrec_plugin.types import EngineQuery, Filter, Phrase, PreparedItem

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
            with asking(version) as engine:
                return {hit.key for hit in engine.search(version.name, query).listing}
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


def _passes(document: PreparedItem, wanted: Sequence[Filter]) -> bool:
    return filters.matches(wanted, document.filters)


def holds(document: PreparedItem, phrase: Phrase) -> bool:
    """Whether the words stand side by side in one of its text fields, as an engine would say."""
    size = len(phrase.terms)
    fields = [tuple(exact_terms(text)) for text in document.text.values()]
    return any(
        terms[place : place + size] == phrase.terms
        for terms in fields
        for place in range(len(terms) - size + 1)
    )
