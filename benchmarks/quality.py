"""(a) Hybrid search on judged product queries against BM25, ours and a reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, host


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Each metric by method, and served / BM25 with the interval of a paired bootstrap over the queries."""
    host.start(work, encoder)
    from llmrec_plugin.models import Judgment
    from llmrec_plugin.services.evaluation import search
    from llmrec_plugin.services.indexing.index_build import build

    shop = data.chorus(folder)
    host.load(shop.items)
    build("item")
    Judgment.objects.bulk_create(
        Judgment(query_id=query, query=query, document="item", item_id=key, grade=grade)
        for query, judged in shop.grades.items()
        for key, grade in judged.items()
    )
    report = search.measure("item", {}, lambda what, done, total: None).report["search"]
    against = {row["metric"]: row for row in report["paired"] if row["baseline"] == "bm25"}
    compared = {}
    for metric, row in against.items():
        base = report["methods"]["bm25"][metric]
        compared[metric] = {
            "ratio": row["ratio"],
            "low": 1 + row["low"] / base,
            "high": 1 + row["high"] / base,
        }
    return {
        "queries": report["queries"],
        "methods": report["methods"],
        "served / bm25, 95 %": compared,
        "weight of words chosen by the other half": _chosen(shop.grades),
    }


def _chosen(grades: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Each half of the queries answered with the weight that is best for the other, against the fixed one;
    and what the product itself would do, which changes a weight only where it is proven."""
    from llmrec_plugin.evaluation import metrics
    from llmrec_plugin.evaluation.significance import paired_bootstrap
    from llmrec_plugin.learning.click_models.fusion_weights import (
        TEXT_WEIGHTS,
        Setting,
        first_half,
        graded_values,
    )
    from llmrec_plugin.models import Configuration
    from llmrec_plugin.services.search_quality import click_evidence, judgments, weight_learning

    fixed = Configuration.current()
    settings = [Setting(text_weight=weight) for weight in TEXT_WEIGHTS]
    columns = []
    for query, judged in grades.items():
        found = click_evidence.candidates("item", query, fixed)
        columns.append(graded_values(found.scores(settings), found, judged))
    values, half = np.stack(columns, axis=1), first_half(grades)
    weights = {one: TEXT_WEIGHTS[int(values[:, half != one].mean(axis=1).argmax())] for one in (True, False)}
    result: dict[str, Any] = {
        "by weight": {
            f"{weight:.1f}": row for weight, row in zip(TEXT_WEIGHTS, values.mean(axis=1), strict=True)
        },
        "chosen": {"for the first half": weights[True], "for the second half": weights[False]},
    }
    found_by = {
        weight: judgments.rankings("item", grades, fixed.with_overrides({"text_weight": weight}))
        for weight in {*weights.values(), fixed.text_weight}
    }
    for name, metric in (("NDCG@10", metrics.ndcg), ("condensed NDCG@10", metrics.condensed_ndcg)):
        before = [metric(*one, k=10) for one in found_by[fixed.text_weight]]
        after = [metric(*found_by[weights[bool(one)]][place], k=10) for place, one in enumerate(half)]
        gain = paired_bootstrap(after, before, rng=np.random.default_rng(0))
        result[name] = {
            "fixed": float(np.nanmean(before)),
            "chosen": float(np.nanmean(after)),
            "gain": gain.difference,
            "low": gain.low,
            "high": gain.high,
        }
    choice = weight_learning.learn_search_weights("item", by="benchmark")
    step = choice.report["text_weight"]
    result["product"] = {name: float(step[name]) for name in ("kept", "tried", "gain", "low") if name in step}
    return result
