"""(a) Hybrid search on judged product queries against BM25, ours and a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import data, host


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Each metric by method, and served / BM25 with the interval of a paired bootstrap over the queries."""
    host.start(work, encoder)
    from llmrec_plugin.models import Judgment
    from llmrec_plugin.services.build import build
    from llmrec_plugin.services.evaluation import searching

    shop = data.chorus(folder)
    host.load(shop.items)
    build("item")
    Judgment.objects.bulk_create(
        Judgment(query_id=query, query=query, document="item", object_id=key, grade=grade)
        for query, judged in shop.grades.items()
        for key, grade in judged.items()
    )
    report = searching.measure("item", {}, lambda what, done, total: None).report["search"]
    against = {row["metric"]: row for row in report["paired"] if row["baseline"] == "bm25"}
    compared = {}
    for metric, row in against.items():
        base = report["methods"]["bm25"][metric]
        compared[metric] = {
            "ratio": row["ratio"],
            "low": 1 + row["low"] / base,
            "high": 1 + row["high"] / base,
        }
    return {"queries": report["queries"], "methods": report["methods"], "served / bm25, 95 %": compared}
