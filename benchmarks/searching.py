"""Suggestions for prefixes of real titles, and the search endpoint with everything on against nothing on.

Both by the clock and by the processor's time, which does not mind what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host
from benchmarks.latency import ITEMS, queries_of
from llmrec_plugin.processes import resident_mb

Rows = list[tuple[str, str, str]]
Times = list[tuple[float, float]]

TITLES = 150
SEARCHES = 200
WARM_UP = 20
BRANDS = 50
SYNONYMS = 50


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Milliseconds; impressions on, and no query's vector is known beforehand to either side."""
    host.start(work, encoder)
    rows = data.catalogue(folder, ITEMS)
    _open_shop(rows)
    suggested = _suggestions(rows)
    plain, everything = _searches(queries_of(rows, np.random.default_rng(7), SEARCHES))
    ratio = _p95(everything, cpu=True) / _p95(plain, cpu=True)
    return {
        "items": ITEMS,
        **_figures("suggest", suggested),
        **_figures("search, nothing on", plain),
        **_figures("search, all on", everything),
        "ratio of p95, cpu": ratio,
        "ratio of p95": _p95(everything) / _p95(plain),
        "resident MB": resident_mb(),
    }


def _open_shop(rows: Rows) -> None:
    """The items with a date, a brand and whether they are in stock, and searches that many have made."""
    from llmrec_plugin.documents import ImportedItemDocument, Signals, register
    from llmrec_plugin.models import ImportedItem, PopularQuery
    from llmrec_plugin.services.indexing.index_build import build

    @register
    class ShopDocument(ImportedItemDocument):
        label = "shop"
        text_fields = {"title": 1, "description": 1}
        filter_fields = ["released", "in_stock", "brand"]
        kinds = {"released": "date", "in_stock": "boolean", "brand": "keyword"}
        signals = Signals(date="released", available="in_stock", group="brand")
        language = "en"

        def prepare_released(self, item: ImportedItem) -> datetime:
            return datetime.fromtimestamp(item.filters["released"], UTC)

    ImportedItem.objects.bulk_create(
        ImportedItem(
            id=key,
            document="shop",
            text={"title": title, "description": description},
            filters={
                "released": 1.7e9 + number * 1e3,
                "in_stock": number % 3 > 0,
                "brand": f"b{number % BRANDS}",
            },
        )
        for number, (key, title, description) in enumerate({row[0]: row for row in rows}.values())
    )
    build("shop")
    PopularQuery.objects.bulk_create(
        PopularQuery(document="shop", text=text, visitors=5 + number)
        for number, text in enumerate(sorted({row[1][:40].lower() for row in rows[:2000]}))
    )


def _suggestions(rows: Rows) -> Times:
    """What a visitor has in the box, key by key, on their way to the first words of a title; of every third
    one letter is wrong."""
    from llmrec_plugin.services.search.autocomplete import suggest

    rng = np.random.default_rng(11)
    times: Times = []
    for number in range(TITLES):
        title = rows[rng.integers(len(rows))][1][:16]
        if number % 3 == 0 and len(title) > 5:
            title = title[:3] + "q" + title[4:]
        for end in range(1, len(title) + 1):
            times.append(_timed(partial(suggest, title[:end], document="shop")))
    return times


def _searches(queries: list[str]) -> tuple[Times, Times]:
    """One request each way per query, in turns: as it is, and with a minus, a wrong word, synonyms for its
    first word and all signals weighed."""
    from django.core.cache import cache
    from rest_framework.test import APIClient

    from llmrec_plugin.models import Configuration, Synonym
    from llmrec_plugin.services.inference import query_embeddings as analysing

    client = APIClient()
    plain: Times = []
    everything: Times = []
    on = {"freshness_weight": 0.2, "availability_weight": 0.2, "most_per_group": 3}
    first = sorted({query.split()[0] for query in queries})[:SYNONYMS]
    synonyms = [Synonym(words=f"{word}\nzz{number}") for number, word in enumerate(first)]
    turns = [({}, [], "{}", plain), (on, synonyms, "{} wirelss -zzzz", everything)]
    for weights, rows, shape, times in turns:
        Synonym.objects.all().delete()
        Synonym.objects.bulk_create(rows)
        Configuration(**weights).save()
        for query in queries:
            analysing._vectors.clear()
            cache.clear()
            parameters = {"document": "shop", "q": shape.format(query)}
            times.append(_timed(partial(client.get, "/api/search/", parameters)))
    return plain, everything


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock and of the processor."""
    started = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - started[0]) * 1e3, (time.process_time() - started[1]) * 1e3


def _p95(times: Times, *, cpu: bool = False) -> float:
    return float(np.percentile(np.array(times)[WARM_UP:, int(cpu)], 95))


def _figures(what: str, times: Times) -> dict[str, float]:
    return {
        f"{what}: p50 ms": float(np.percentile(np.array(times)[WARM_UP:, 0], 50)),
        f"{what}: p95 ms": _p95(times),
        f"{what}: p95 ms, cpu": _p95(times, cpu=True),
    }
