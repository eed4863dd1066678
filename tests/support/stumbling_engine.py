"""The embedded engine, and code of a site's own on top of it that is wrong wherever visitors ask."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec_plugin.backends import embedded
from llmrec_plugin.types import EngineQuery, EngineResult, Vector


class SearchBackend(embedded.SearchBackend):
    def search(self, name: str, query: EngineQuery) -> EngineResult:
        raise KeyError("hits")

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        raise KeyError("hits")

    def vectors(self, name: str, keys: Sequence[str]) -> dict[str, Vector]:
        raise KeyError("hits")
