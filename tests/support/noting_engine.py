"""The embedded engine that keeps what it was asked."""

from __future__ import annotations

from llmrec_plugin.backends import embedded
from llmrec_plugin.types import EngineQuery, EngineResult

asked: list[EngineQuery] = []


class SearchBackend(embedded.SearchBackend):
    def search(self, name: str, query: EngineQuery) -> EngineResult:
        asked.append(query)
        return super().search(name, query)
