"""(e) What the adaptation ladder makes of three sites' events, against the usual baselines, by time."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import data
from llmrec_plugin.evaluation.lists import accuracy, coverage
from llmrec_plugin.evaluation.protocol import (
    Case,
    Events,
    Split,
    rank_cases,
    temporal_cases,
    temporal_split,
)
from llmrec_plugin.evaluation.significance import paired_bootstrap
from llmrec_plugin.learning.ladder import Setup, climb, counted, fit_text, likeness, recent
from llmrec_plugin.learning.neighbours import ease, item_knn, taken
from llmrec_plugin.learning.prior import popularity_prior
from llmrec_plugin.learning.scoring import Collaborative, Linear, Shares, constant, scaled
from llmrec_plugin.types import Matrix

CONFIGURED = Shares(taste=0.3, also=0.6, popularity=0.1)
Site = tuple[list[str], Events, Split]
"""Texts of the items, events and their windows."""


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file))


def _numbered(
    users: Sequence[str], items: Sequence[str], times: Sequence[float], known: Sequence[str]
) -> Events:
    user_rows = {user: row for row, user in enumerate(dict.fromkeys(users))}
    item_rows = {item: row for row, item in enumerate(known)}
    kept = [place for place, item in enumerate(items) if item in item_rows]
    return Events.of(
        [user_rows[users[place]] for place in kept],
        [item_rows[items[place]] for place in kept],
        [times[place] for place in kept],
    )


def industrial(folder: Path) -> Site:
    """Amazon Industrial: the published windows; before them only the order within a user is known."""
    folder = folder / "amazon_industrial"
    with gzip.open(folder / "items.jsonl.gz", "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    rows = _rows(folder / "interactions.csv.gz")
    rows.sort(key=lambda row: float(row["row"] or -1e6 + int(row["position"])))
    events = _numbered(
        [row["user_id"] for row in rows],
        [row["item_id"] for row in rows],
        list(range(len(rows))),
        [str(item["item_id"]) for item in items],
    )
    first = sum(row["phase"] == "history" for row in rows)
    second = first + sum(row["phase"] == "valid" for row in rows)
    split = Split(slice(0, first), slice(first, second), slice(second, len(rows)))
    return [f"{item['title']} {item['brand'] or ''}" for item in items], events, split


def retail(folder: Path) -> Site:
    """Online Retail: first purchases of an item by a customer, to the minute."""
    titles = {code: title for code, title, _ in data.retail_titles(folder)}
    firsts: dict[tuple[str, str], float] = {}
    for row in _rows(folder / "online_retail_uci" / "transactions.csv.gz"):
        code = row["StockCode"]
        if (
            row["CustomerID"]
            and not row["InvoiceNo"].startswith("C")
            and code in titles
            and code[0].isdigit()
        ):
            at = datetime.fromisoformat(row["InvoiceDate"]).timestamp()
            pair = row["CustomerID"], code
            firsts[pair] = min(at, firsts.get(pair, at))
    known = sorted({code for _, code in firsts})
    events = _numbered([u for u, _ in firsts], [i for _, i in firsts], list(firsts.values()), known)
    return [titles[code] for code in known], events, temporal_split(events)


def courses(folder: Path) -> Site:
    """Udemy courses: slug as title."""
    slugs = {row["course_id"]: row["slug"] for row in _rows(folder / "coco_udemy" / "courses.csv.gz")}
    rows = _rows(folder / "coco_udemy" / "interactions.csv.gz")
    known = sorted({row["course_id"] for row in rows} & slugs.keys())
    events = _numbered(
        [row["user_id"] for row in rows],
        [row["course_id"] for row in rows],
        [float(row["timestamp"]) for row in rows],
        known,
    )
    return [slugs[course].replace("-", " ") for course in known], events, temporal_split(events)


SITES: dict[str, Callable[[Path], Site]] = {"industrial": industrial, "retail": retail, "courses": courses}


def run_site(folder: Path, encoder: str, site: Callable[[Path], Site]) -> dict[str, Any]:
    """NDCG@10 on the last window of each method, and the differences with their intervals.

    Settings are chosen on the window before; then everything is fitted on both.
    """
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder

    texts, events, split = site(folder)
    vectors = load_encoder(EncoderSpec(name=encoder)).encode_document(texts)
    started = time.perf_counter()
    choice = climb(
        events,
        vectors,
        incumbent=Setup(shares=CONFIGURED),
        train=split.train,
        valid=split.valid,
        rng=np.random.default_rng(0),
    )
    known = events.part(slice(0, split.test.start))
    matrix = taken(known.users, known.items, catalogue=len(vectors))
    counts = np.bincount(known.items, minlength=len(vectors))
    neighbours = Collaborative(ease(matrix))
    prior = popularity_prior(counted(known.items, choice.setup.popularity, len(vectors)))
    plain = popularity_prior(counts)
    head = fit_text(choice.setup, known, vectors)
    text = likeness(head, vectors, gamma=choice.setup.gamma)
    seconds = time.perf_counter() - started

    def served(
        shares: Shares, by: Linear, popular: NDArray[np.float32]
    ) -> Callable[[Sequence[Sequence[int]]], Matrix]:
        return lambda past: scaled(by(past), neighbours(past), popular).fused(shares)

    methods = {
        "popularity": constant(counts),
        "recent popularity": constant(counted(known.items, "recent", len(vectors))),
        "item-knn": Collaborative(item_knn(matrix)),
        "ease": neighbours,
        "text-frozen": Linear(vectors, vectors, 0.8),
        "text-head": text,
        "configured": served(CONFIGURED, Linear(vectors, vectors, 1.0), plain),
        "served": served(choice.setup.shares, text, prior),
    }
    cases = temporal_cases(events, split.test, rng=np.random.default_rng(0))
    table: dict[str, dict[str, float]] = {}
    values = {}
    for name, method in methods.items():
        outcome = rank_cases(_on_histories(method), cases)
        found = accuracy(outcome.ranks)
        values[name] = found["NDCG@10"]
        table[name] = {metric: float(np.nanmean(column)) for metric, column in found.items()}
        table[name]["coverage"] = coverage(outcome, len(vectors))
    baselines = ("popularity", "recent popularity", "item-knn", "ease")
    best = max(baselines, key=lambda name: float(np.nanmean(values[name])))
    users = [case.user for case in cases]
    against = {}
    for name, one, other in (
        (f"served - {best}", "served", best),
        ("served - configured", "served", "configured"),
        ("text-head - text-frozen", "text-head", "text-frozen"),
    ):
        gain = paired_bootstrap(values[one], values[other], rng=np.random.default_rng(0), groups=users)
        against[name] = {
            "difference": gain.difference,
            "low": gain.low,
            "high": gain.high,
            "ratio": float(np.nanmean(values[one]) / np.nanmean(values[other])),
        }
    return {
        "items": len(vectors),
        "events": len(events),
        "cases": len(cases),
        "fit seconds": seconds,
        "step": choice.name,
        "setup": str(choice.setup),
        "methods": table,
        "differences": against,
    }


def _on_histories(method: Callable[[Sequence[Sequence[int]]], Matrix]) -> Callable[[Sequence[Case]], Matrix]:
    return lambda batch: method(recent(batch))


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """All three sites, under their names."""
    from benchmarks import host

    host.start(work, encoder)
    return {
        f"{name}: {key}": value
        for name, site in SITES.items()
        for key, value in run_site(folder, encoder, site).items()
    }
