"""The embedded engine for whoever does not get the vectors of items back from it."""

from __future__ import annotations

from llmrec_plugin.backends import embedded


class SearchBackend(embedded.SearchBackend):
    supports_vector_reads = False
