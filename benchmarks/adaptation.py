"""(e) What the adaptation ladder makes of three sites' events, against the usual baselines, by time."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

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
from llmrec_plugin.learning.ladder import climb
from llmrec_plugin.learning.scoring import Shares, constant
from llmrec_plugin.learning.selection import Folds
from llmrec_plugin.learning.setups import Setup, counted, fit_setup, recent
from llmrec_plugin.learning.trials import FROZEN, Scores, Trials
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
    """Udemy courses: the slug, which is the title, and the categories."""
    categories: dict[str, list[str]] = defaultdict(list)
    for row in _rows(folder / "coco_udemy" / "course_attributes.csv.gz"):
        if row["relation"] == "belong_to_category":
            categories[row["course_id"]].append(row["value"])
    slugs = {row["course_id"]: row["slug"] for row in _rows(folder / "coco_udemy" / "courses.csv.gz")}
    rows = _rows(folder / "coco_udemy" / "interactions.csv.gz")
    known = sorted({row["course_id"] for row in rows} & slugs.keys())
    events = _numbered(
        [row["user_id"] for row in rows],
        [row["course_id"] for row in rows],
        [float(row["timestamp"]) for row in rows],
        known,
    )
    texts = [" ".join([slugs[course], *categories[course]]).replace("-", " ") for course in known]
    return texts, events, temporal_split(events)


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
    served = fit_setup(choice.setup, known, vectors)
    seconds = time.perf_counter() - started
    methods = {
        **_baselines(events, split, vectors),
        "text-head": served.text,
        "configured": fit_setup(Setup(shares=CONFIGURED), known, vectors),
        "served": served,
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


def _baselines(events: Events, split: Split, vectors: Matrix) -> dict[str, Scores]:
    """Each with the settings that are best on the window before the last."""
    valid = temporal_cases(events.part(slice(0, split.valid.stop)), split.valid, rng=np.random.default_rng(0))
    users = [case.user for case in valid]
    before, known = (
        Trials(
            events=events.part(slice(0, stop)),
            cases=valid,
            vectors=vectors,
            folds=Folds.dealt(users, np.random.default_rng(0)),
        )
        for stop in (split.train.stop, split.valid.stop)
    )
    settings = before.also_settings
    by_method = {
        method: before.select([one for one in settings if one.neighbours.method == method], before.also).final
        for method in ("item-knn", "ease")
    }
    return {
        "popularity": constant(counted(known.events, "all-time", len(vectors))),
        "recent popularity": constant(counted(known.events, "recent", len(vectors))),
        **{name: known.also(chosen) for name, chosen in by_method.items()},
        "text-frozen": known.text(before.select(FROZEN, before.text).final),
    }


def _on_histories(method: Scores) -> Callable[[Sequence[Case]], Matrix]:
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
