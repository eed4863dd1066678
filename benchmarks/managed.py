"""The service on Elasticsearch, PostgreSQL, Redis and a worker, against what a site would write by hand."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch

from benchmarks import bare, data, freshness, host, load, sizes, stack
from benchmarks.latency import queries_of

ITEMS = int(os.environ.get("LLMREC_BENCH_ITEMS", "20000"))
QUERIES = 220
WARM = 20
"""Queries that are not counted."""
COMPARED = 6_000
"""Items that are also indexed by hand; the service indexes the others alone."""
STEPS = 6
TOP = 10

Rows = list[tuple[str, str, str]]


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """The figures of one site, which each part takes over from the one before."""
    stack.start_servers()
    host.start(work, encoder)
    items = data.catalogue(folder, ITEMS)
    client = Elasticsearch(os.environ["ELASTICSEARCH_URL"], request_timeout=120)
    queries = queries_of(items, np.random.default_rng(7), QUERIES)
    many = queries_of(items, np.random.default_rng(8), 4000)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "reindex": lambda: _reindex(items, client),
        "endpoint": lambda: _endpoint(queries, client),
        "gunicorn": lambda: load.measure(many, work),
        "save to searchable": lambda: freshness.measure(client, _index(), [t for _, t, _ in items], work),
        "refill": _refill,
        "bytes": lambda: sizes.measure(client, _index()),
        "same results": lambda: _same_results(queries[WARM:], folder),
    }
    results: dict[str, Any] = {"items": ITEMS}
    for name, part in parts.items():
        busy = os.getloadavg()[0]
        results[name] = {**part(), "machine's load": busy}
        print(name, results[name], file=sys.stderr, flush=True)
    return results


def _index() -> str:
    from llmrec_plugin.services.deployment.live import live_pair

    return live_pair("item").index_version.name


def _reindex(items: Rows, client: Elasticsearch) -> dict[str, float]:
    """In turns on parts of the catalogue, so that a slow phase of the machine hits both."""
    from llmrec_plugin.documents import registry
    from llmrec_plugin.encoders.base import load_encoder
    from llmrec_plugin.services import indexing

    document = registry.get("item")
    model = load_encoder(document.encoder_spec())
    model.encode_document([title for _, title, _ in items[:256]])
    bare.create(client, model.dimensions)
    indexing.build("item")  # an empty index, so that only items are timed below
    seconds = {"service": 0.0, "bare": 0.0}
    cpu = {"service": 0.0, "bare": 0.0}
    compared = items[:COMPARED]
    step = len(compared) // STEPS
    for turn, start in enumerate(range(0, len(compared), step)):
        chunk = compared[start : start + step]
        host.load(chunk)
        queryset = document.get_queryset().filter(pk__in=[key for key, _, _ in chunk])
        passages = [document.prepare(row).passage for row in queryset]  # type: ignore[union-attr]
        indexing.mark(queryset)

        def by_hand(rows: Rows = chunk, passages: list[str] = passages) -> None:
            bare.reindex(client, model, rows, passages)

        pair: list[tuple[str, Callable[[], object]]] = [("service", indexing.drain), ("bare", by_hand)]
        for name, call in pair if turn % 2 else pair[::-1]:
            started, busy = time.perf_counter(), time.process_time()
            call()
            seconds[name] += time.perf_counter() - started
            cpu[name] += time.process_time() - busy
    host.load(items[COMPARED:])
    indexing.mark(document.get_queryset().exclude(pk__in=[key for key, _, _ in compared]))
    indexing.drain()
    return {
        "compared": len(compared),
        "service items/s": len(compared) / seconds["service"],
        "bare items/s": len(compared) / seconds["bare"],
        "ratio": seconds["service"] / seconds["bare"],
        "service CPU ms/item": cpu["service"] * 1e3 / len(compared),
        "bare CPU ms/item": cpu["bare"] * 1e3 / len(compared),
    }


def _endpoint(queries: Sequence[str], client: Elasticsearch) -> dict[str, float]:
    """Milliseconds of GET /api/search/ in this process, impressions stored, and of the bare client."""
    from django.test import Client

    from llmrec_plugin.documents import registry
    from llmrec_plugin.services.deployment.live import live_pair
    from llmrec_plugin.services.inference.encoders import encoder_of

    encoder = encoder_of(live_pair("item").index_version)
    fields = [f"text.{name}" for name in registry.get("item").weights()]
    browser, name = Client(), _index()
    client.indices.refresh(index=name)
    times: dict[str, list[float]] = {"service": [], "bare": []}
    for turn, query in enumerate(queries):

        def asked(query: str = query) -> None:
            answer = browser.get("/api/search/", {"document": "item", "q": query})
            assert answer.status_code == 200
            assert answer.json()["degraded"] == []

        def by_hand(query: str = query) -> None:
            bare.search(client, encoder, name, fields, query.lower())

        pair = [("service", asked), ("bare", by_hand)]
        for kind, call in pair if turn % 2 else pair[::-1]:
            started = time.perf_counter()
            call()
            times[kind].append((time.perf_counter() - started) * 1e3)
    found = {kind: np.percentile(values[WARM:], [50, 95]) for kind, values in times.items()}
    return {
        "service p50 ms": float(found["service"][0]),
        "service p95 ms": float(found["service"][1]),
        "bare p50 ms": float(found["bare"][0]),
        "bare p95 ms": float(found["bare"][1]),
        "ratio p50": float(found["service"][0] / found["bare"][0]),
        "ratio p95": float(found["service"][1] / found["bare"][1]),
    }


def _refill() -> dict[str, float]:
    """A new index from stored vectors, as after a loss of the engine or a change of the mapping."""
    from llmrec_plugin.services import indexing

    started = time.perf_counter()
    report = indexing.build("item", rebuild=True)
    seconds = time.perf_counter() - started
    return {"items/s": report.written / seconds, "seconds": seconds, "texts encoded": float(report.encoded)}


def _forget_saved() -> None:
    """What was saved to be found is copies of products, which nobody judged."""
    from llmrec_plugin.backends import get_backend
    from llmrec_plugin.models import ImportedItem
    from llmrec_plugin.services import indexing

    ImportedItem.objects.filter(id__startswith=freshness.PREFIX).delete()
    indexing.drain()
    get_backend().refresh(_index())


def _same_results(queries: Sequence[str], folder: Path) -> dict[str, float]:
    """Of both engines over the same vectors: the first ten they share, and quality on judged queries."""
    from django.conf import settings as django_settings
    from django.test import override_settings

    from llmrec_plugin.evaluation import metrics
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.search import search
    from llmrec_plugin.types import SearchRequest

    def top(query: str) -> list[str]:
        page = search(SearchRequest(document="item", text=query, limit=TOP))
        assert not page.degraded
        return [item.item_id for item in page.results]

    _forget_saved()
    grades = data.chorus(folder).grades
    managed, judged = [top(query) for query in queries], [top(query) for query in grades]
    embedded = {name: value for name, value in django_settings.LLMREC.items() if "BACKEND" not in name}
    with override_settings(LLMREC=embedded):
        indexing.build("item", rebuild=True)
        other, other_judged = [top(query) for query in queries], [top(query) for query in grades]
    shared = [
        len({*mine} & {*theirs}) / max(len(mine), len(theirs))
        for mine, theirs in zip(managed, other, strict=True)
        if mine or theirs
    ]

    def quality(rankings: list[list[str]]) -> float:
        pairs = zip(rankings, grades.values(), strict=True)
        return float(np.nanmean([metrics.ndcg(ranking, judged, k=TOP) for ranking, judged in pairs]))

    return {
        "queries": float(len(shared)),
        "overlap of top 10": float(np.mean(shared)),
        "managed NDCG@10": quality(judged),
        "embedded NDCG@10": quality(other_judged),
    }
