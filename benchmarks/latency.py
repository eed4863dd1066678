"""(b) The warm search service against the sum of its bare parts; (d) the memory of its process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host
from llmrec_plugin.processes import resident_mb

ITEMS = 20_000
QUERIES = 300


def queries_of(items: list[tuple[str, str, str]], rng: np.random.Generator, count: int) -> list[str]:
    """Two to four consecutive words of random titles, all different, as visitors type them."""
    queries: dict[str, None] = {}
    while len(queries) < count:
        words = items[rng.integers(len(items))][1].split()
        length = int(rng.integers(2, 5))
        start = int(rng.integers(0, max(1, len(words) - length)))
        queries[" ".join(words[start : start + length])] = None
    return list(queries)


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """p50 and p95 in milliseconds of the service and of its parts, interleaved; cache off, impressions on."""
    host.start(work, encoder)
    items = data.catalogue(folder, ITEMS)
    host.load(items)
    from llmrec_plugin.analysis.tokens import query_words
    from llmrec_plugin.backends import get_backend
    from llmrec_plugin.documents import registry
    from llmrec_plugin.models import Impression
    from llmrec_plugin.services.deployment.live import live_pair
    from llmrec_plugin.services.indexing.index_build import build
    from llmrec_plugin.services.inference.encoders import encoder_of
    from llmrec_plugin.services.search import search
    from llmrec_plugin.types import EngineQuery, SearchRequest, TextQuery

    build("item")
    version = live_pair("item").index_version
    encoder_now, backend, weights = encoder_of(version), get_backend(), registry.get("item").weights()
    service: list[float] = []
    bare: list[float] = []
    for position, query in enumerate(queries_of(items, np.random.default_rng(7), QUERIES)):
        words = TextQuery(words=query_words(query), weights=weights)

        def parts(query: str = query, words: TextQuery = words) -> None:
            vector = encoder_now.encode_query([query])[0]
            backend.search(version.name, EngineQuery(text=words))
            backend.search(version.name, EngineQuery(vector=vector))

        def whole(query: str = query) -> None:
            search(SearchRequest(document="item", text=query))

        # Whichever runs second finds warm caches, so the order alternates.
        pair = [(parts, bare), (whole, service)]
        for call, times in pair if position % 2 else pair[::-1]:
            started = time.perf_counter()
            call()
            times.append((time.perf_counter() - started) * 1e3)
    warm = slice(20, None)
    p50, p95 = np.percentile(service[warm], [50, 95])
    bare50, bare95 = np.percentile(bare[warm], [50, 95])
    return {
        "items": ITEMS,
        "service p50 ms": p50,
        "service p95 ms": p95,
        "bare parts p50 ms": bare50,
        "bare parts p95 ms": bare95,
        "ratio p50": p50 / bare50,
        "ratio p95": p95 / bare95,
        "impressions stored": Impression.objects.count(),
        "resident MB": resident_mb(),
    }
