"""(a) Hybrid search on judged product queries against BM25, ours and a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host
from llmrec_plugin.evaluation import metrics
from llmrec_plugin.evaluation.significance import paired_bootstrap

METRICS = {
    "NDCG@10": metrics.ndcg,
    "condensed NDCG@10": metrics.condensed_ndcg,
    "judged@10": metrics.judged,
}


def _reference_bm25(items: Sequence[tuple[str, str, str]]) -> Callable[[str], list[str]]:
    """bm25s with Lucene's formula and an English stemmer, so that hybrid is not flattered by a weak BM25."""
    import bm25s
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("english")
    tokenize = {"stopwords": None, "stemmer": stemmer.stemWords, "show_progress": False}
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(bm25s.tokenize([f"{t} {d}" for _, t, d in items], **tokenize), show_progress=False)
    keys = [key for key, _, _ in items]

    def rank(query: str) -> list[str]:
        found, scores = index.retrieve(
            bm25s.tokenize([query], **tokenize), k=400, show_progress=False, sorted=True
        )
        return [keys[i] for i, score in zip(found[0], scores[0], strict=True) if score > 0]

    return rank


def _served(**changes: Any) -> Callable[[str], list[str]]:
    """The real search service under a configuration; the whole ranked list as it was kept for the pages."""
    from llmrec_plugin.models import Configuration, Impression
    from llmrec_plugin.services.search import search
    from llmrec_plugin.types import SearchRequest

    def rank(query: str) -> list[str]:
        Configuration.objects.all().delete()
        Configuration(**changes).save()
        page = search(SearchRequest(document="item", text=query, page_size=100))
        kept = Impression.objects.get(pk=page.request_id).ranking or []
        return [key for key, *_ in kept] or [item.id for item in page.results]

    return rank


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """NDCG@10 (unjudged counts 0), condensed NDCG@10 and judged@10 by method, and served / BM25
    with the interval of a paired bootstrap over the queries."""
    host.start(work, encoder)
    shop = data.chorus(folder)
    host.load(shop.items)
    from llmrec_plugin.services.build import build

    build("item")
    methods = {
        "bm25s (reference)": _reference_bm25(shop.items),
        "bm25": _served(text_weight=1.0),
        "vector": _served(text_weight=0.0),
        "rrf": _served(fusion="rrf"),
        "served": _served(),
    }
    measured: dict[str, np.ndarray[Any, Any]] = {}
    for name, rank in methods.items():
        rankings = [(rank(query), grades) for query, grades in shop.grades.items()]
        measured[name] = np.array(
            [[metric(ranking, grades, k=10) for metric in METRICS.values()] for ranking, grades in rankings]
        )
    compared: dict[str, dict[str, float]] = {}
    for column, metric_name in enumerate(METRICS):
        served, bm25 = measured["served"][:, column], measured["bm25"][:, column]
        gain = paired_bootstrap(served, bm25, rng=np.random.default_rng(0))
        base = float(np.nanmean(bm25))
        compared[metric_name] = {
            "ratio": float(np.nanmean(served)) / base,
            "low": 1 + gain.low / base,
            "high": 1 + gain.high / base,
        }
    table = {
        name: dict(zip(METRICS, np.nanmean(values, axis=0).tolist(), strict=True))
        for name, values in measured.items()
    }
    return {"queries": len(shop.grades), "methods": table, "served / bm25, 95 %": compared}
