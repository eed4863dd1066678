"""(a) Hybrid search on judged product queries against BM25, ours and a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host


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
    """NDCG@10 (unjudged counts 0), condensed NDCG@10 and judged@10 by method, and served / BM25."""
    host.start(work, encoder)
    shop = data.chorus(folder)
    host.load(shop.items)
    from llmrec_plugin.evaluation import metrics
    from llmrec_plugin.services.build import build

    build("item")
    methods = {
        "bm25s (reference)": _reference_bm25(shop.items),
        "bm25": _served(text_weight=1.0),
        "vector": _served(text_weight=0.0),
        "rrf": _served(fusion="rrf"),
        "served": _served(),
    }
    table: dict[str, dict[str, float]] = {}
    for name, rank in methods.items():
        rows = []
        for query, grades in shop.grades.items():
            ranking = rank(query)
            rows.append(
                (
                    metrics.ndcg(ranking, grades, k=10),
                    metrics.condensed_ndcg(ranking, grades, k=10),
                    metrics.judged(ranking, grades, k=10),
                )
            )
        plain, condensed, share = np.nanmean(np.array(rows), axis=0)
        table[name] = {"NDCG@10": plain, "condensed NDCG@10": condensed, "judged@10": share}
    ratios = {
        metric: table["served"][metric] / table["bm25"][metric] for metric in ("NDCG@10", "condensed NDCG@10")
    }
    return {"queries": len(shop.grades), "methods": table, "served / bm25": ratios}
