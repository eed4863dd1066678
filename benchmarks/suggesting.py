"""Suggestions for prefixes of real titles, and the search endpoint with everything on against nothing on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host
from benchmarks.latency import ITEMS, queries_of

TITLES = 150
SEARCHES = 300


def typed(items: list[tuple[str, str, str]], rng: np.random.Generator) -> list[str]:
    """What a visitor has in the box, key by key, on his way to the first words of a title; every third with
    a letter wrong from the fourth on."""
    found = []
    for number in range(TITLES):
        title = items[rng.integers(len(items))][1][:16]
        if number % 3 == 0 and len(title) > 5:
            title = title[:3] + "q" + title[4:]
        found += [title[:end] for end in range(1, len(title) + 1)]
    return found


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Milliseconds; impressions on, no query vector is known beforehand to either side."""
    host.start(work, encoder)
    items = data.catalogue(folder, ITEMS)
    host.load(items)
    from llmrec_plugin.models import Configuration, PopularQuery
    from llmrec_plugin.services.build import build
    from llmrec_plugin.services.suggestions import suggest

    build("item")
    rng = np.random.default_rng(11)
    PopularQuery.objects.bulk_create(
        PopularQuery(document="item", text=query.lower()[:60], visitors=5 + number)
        for number, query in enumerate(sorted({item[1][:40].lower() for item in items[:2000]}))
    )
    Configuration().save()
    times, found = [], 0
    for text in typed(items, rng):
        started = time.perf_counter()
        found += bool(suggest(text, document="item").items)
        times.append((time.perf_counter() - started) * 1e3)
    p50, p95 = np.percentile(times[20:], [50, 95])
    return {
        "items": ITEMS,
        "suggest p50 ms": p50,
        "suggest p95 ms": p95,
        "suggest worst ms": max(times[20:]),
        "share with items": found / len(times),
        "resident MB": host.resident_mb(),
        **_searches(queries_of(items, np.random.default_rng(7), SEARCHES)),
    }


def _searches(queries: list[str]) -> dict[str, float]:
    """The endpoint, one request each way per query, in turns."""
    from rest_framework.test import APIClient

    client = APIClient()
    plain: list[float] = []
    everything: list[float] = []
    for position, query in enumerate(queries):
        pair = [({"q": query}, plain), ({"q": f'{query} -zzzz "{query.split()[0]}"'}, everything)]
        for parameters, times in pair if position % 2 else pair[::-1]:
            started = time.perf_counter()
            response = client.get("/api/search/", {"document": "item", **parameters})
            times.append((time.perf_counter() - started) * 1e3)
            assert response.status_code == 200, response.content
    none95, all95 = np.percentile(plain[20:], 95), np.percentile(everything[20:], 95)
    return {"search p95 ms, nothing on": none95, "search p95 ms, all on": all95, "ratio": all95 / none95}
