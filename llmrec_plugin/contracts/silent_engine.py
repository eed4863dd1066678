"""A search engine that never answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmrec_plugin.backends import base
from llmrec_plugin.exceptions import BackendUnavailable
from llmrec_plugin.types import EngineQuery, EngineResult, IndexedItem, IndexSchema, Removal, WriteReport

WHY = "The engine does not answer."


class SearchBackend(base.SearchBackend):
    def create_index(self, name: str, schema: IndexSchema) -> None:
        raise BackendUnavailable(WHY)

    def drop_index(self, name: str) -> None:
        raise BackendUnavailable(WHY)

    def index_names(self) -> list[str]:
        raise BackendUnavailable(WHY)

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        raise BackendUnavailable(WHY)

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        """As a real one may, it quotes what it was asked."""
        raise BackendUnavailable(f"{WHY} It was asked {query.text}.")

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        raise BackendUnavailable(f"{WHY} It was asked for {starts}.")

    def count(self, name: str) -> int:
        raise BackendUnavailable(WHY)

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        raise BackendUnavailable(WHY)

    def refresh(self, name: str) -> None:
        raise BackendUnavailable(WHY)

    def check(self) -> None:
        raise BackendUnavailable(WHY)
