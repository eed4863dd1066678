"""What the index of a document holds, and declarations for the time of one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.backends import get_backend
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.models import IndexVersion, OutboxEntry
from llmrec_plugin.receivers import wiring
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.types import EngineQuery, Filter, TextQuery


def found(label: str, text: str, *, version: IndexVersion | None = None) -> set[str]:
    """Keys of the items that hold one of the words."""
    name = (version or live_pair(label).index_version).name
    words = TextQuery(words=query_words(text), weights=registry.get(label).weights())
    return {hit.key for hit in get_backend().search(name, EngineQuery(text=words)).text}


def listed(label: str, *filters: Filter, version: IndexVersion | None = None) -> set[str]:
    """Keys of all items that pass the filters."""
    name = (version or live_pair(label).index_version).name
    return {hit.key for hit in get_backend().search(name, EngineQuery(filters=filters)).listing}


def waiting(label: str) -> list[str]:
    """Keys in the backlog."""
    return sorted(OutboxEntry.objects.filter(document=label).values_list("item_id", flat=True))


@contextmanager
def declared(*classes: Any) -> Iterator[None]:
    """Register classes as a search_documents.py would, and forget them afterwards."""
    try:
        for declaration in classes:
            registry.register(declaration)
        wiring.connect()
        yield
    finally:
        for declaration in classes:
            registry.unregister(declaration)


@contextmanager
def undeclared(*classes: type[SearchDocument[Any]]) -> Iterator[None]:
    """Have a site that never declared these documents, and declare them anew afterwards, in their order."""
    former = [type(document) for document in registry]
    try:
        for document in classes:
            registry.unregister(document)
        yield
    finally:
        for document in former:
            registry.unregister(document)
            registry.register(document)
