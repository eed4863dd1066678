"""(e) What the adaptation ladder makes of the events of several sites, against tuned baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import behaviour
from llmrec_plugin.analysis.tokens import index_terms
from llmrec_plugin.evaluation.comparison import best_of, contrast, table, values_of
from llmrec_plugin.evaluation.lists import coverage
from llmrec_plugin.evaluation.protocol import (
    BATCH,
    Case,
    Events,
    Plan,
    Scorer,
    Split,
    expected_ranks,
    rank_cases,
    temporal_cases,
)
from llmrec_plugin.learning.prediction.calibration import Pointwise, fit_pointwise, pairs
from llmrec_plugin.learning.scorers.catalogue_scores import Shares
from llmrec_plugin.learning.scorers.tfidf import tfidf
from llmrec_plugin.learning.selection.baselines import BASELINES, METHODS, Catalogue
from llmrec_plugin.learning.selection.baselines import fit as fit_baseline
from llmrec_plugin.learning.selection.model_config import Fitted, ScorerConfig, fit_scorer, points, recent
from llmrec_plugin.learning.selection.stepwise import SelectionResult, select_stepwise
from llmrec_plugin.types import Matrix

CONFIGURED = ScorerConfig(shares=Shares(taste=0.3, neighbours=0.6, popularity=0.1))
CANDIDATES = 200
POPULAR_CANDIDATES = 50
BEHAVIOUR = ("recent popularity", "item-knn", "ease")
"""What knows no texts; `BASELINES` has TF-IDF, too."""
CHINESE = "chinese courses"
PUBLISHED = {"NDCG@10 / SASRec": 0.0806, "HR@10 / best": 0.1586}
"""By the MiniOneRec README, Industrial: SASRec, and the best HR@10 of all that it compares."""


def measure(texts: Sequence[str], vectors: Matrix, events: Events, split: Split) -> dict[str, Any]:
    """NDCG@10 on the last window of each method, and the differences with their intervals.

    Settings are chosen on the window before; then everything is fitted on both.
    """
    started, cpu = time.perf_counter(), time.process_time()
    choice = _climb(events, vectors, split)
    known = events.part(slice(0, split.test.start))
    served, configured = (fit_scorer(config, known, vectors) for config in (choice.config, CONFIGURED))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    plan = _plan(events, split)
    catalogue = Catalogue(vectors=vectors, words=tfidf([index_terms(text) for text in texts]))
    methods: dict[str, Scorer] = {
        name: fit_baseline(METHODS[name], plan, catalogue) for name in (*BASELINES, "text-frozen")
    }
    methods |= {
        "text-head": _of_cases(served.text),
        "configured": _of_cases(configured),
        "served": _of_cases(served),
    }
    methods["served from candidates"] = lambda batch: _from_candidates(served, batch)
    outcomes = {name: rank_cases(method, plan.test) for name, method in methods.items()}
    values = {name: values_of(outcome.ranks) for name, outcome in outcomes.items()}
    users = [case.user for case in plan.test]
    rivals = dict.fromkeys([best_of(values, BEHAVIOUR), best_of(values, BASELINES), "configured"])
    wanted = [*(("served", rival) for rival in rivals if rival), ("text-head", "text-frozen")]
    against = [contrast(values, one, other, groups=users) for one, other in wanted]
    methods_table = table(values)
    for name, outcome in outcomes.items():
        methods_table[name]["coverage"] = coverage(outcome, len(vectors))
    return {
        "items": len(vectors),
        "events": len(events),
        "cases": len(plan.test),
        "seconds": seconds,
        "CPU seconds": cpu,
        "step": choice.name,
        "made live": bool(choice.gate and choice.gate.taken),
        "setup": str(choice.config),
        "methods": methods_table,
        "differences": {
            f"{one.method} - {one.baseline}": {
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "ratio": one.ratio,
            }
            for one in against
        },
        "new items among themselves": _cold(methods, plan, known, len(vectors)),
        "pointwise": _pointwise(plan, choice, served),
        "shared with the exact top ten": _overlap(
            outcomes["served"].shown, outcomes["served from candidates"].shown
        ),
    }


def _climb(events: Events, vectors: Matrix, split: Split) -> SelectionResult:
    return select_stepwise(
        events,
        vectors,
        incumbent=CONFIGURED,
        train=split.train,
        valid=split.valid,
        rng=np.random.default_rng(0),
    )


def _plan(events: Events, split: Split) -> Plan:
    known = events.part(slice(0, split.test.start))
    return Plan(
        train=events.part(split.train),
        valid=temporal_cases(known, split.valid, rng=np.random.default_rng(0), most=2_000),
        known=known,
        test=temporal_cases(events, split.test, rng=np.random.default_rng(0)),
        held=np.arange(split.test.start, split.test.stop),
    )


def _of_cases(score: Callable[[Sequence[Sequence[int]]], Matrix]) -> Scorer:
    return lambda batch: score(recent(batch))


def _from_candidates(fitted: Fitted, batch: Sequence[Case]) -> Matrix:
    """As a list is served: only what taste, neighbours or popularity put forward is ranked at all."""
    past = recent(batch)
    scores = fitted(past)
    forward = np.zeros(scores.shape, np.bool_)
    taken = np.repeat(np.arange(len(batch)), [len(case.history) for case in batch])
    known = taken, np.array([item for case in batch for item in case.history], np.int64)
    popular = np.tile(fitted.prior, (len(batch), 1))
    for source, count in (
        (fitted.text(past), CANDIDATES),
        (fitted.neighbours(past), CANDIDATES),
        (popular, POPULAR_CANDIDATES),
    ):
        source[known] = -np.inf
        best = np.argpartition(-source, count, axis=1)[:, :count]
        np.put_along_axis(forward, best, values=True, axis=1)
    scores[~forward] = scores.min() - 1.0
    return scores


def _overlap(exact: NDArray[np.int64], served: NDArray[np.int64]) -> float:
    shared = [len(np.intersect1d(one, other)) for one, other in zip(exact, served, strict=True)]
    return float(np.mean(shared) / exact.shape[1])


def _cold(methods: Mapping[str, Scorer], plan: Plan, known: Events, size: int) -> dict[str, float]:
    """NDCG@10 of items that nobody had taken, ranked among such items only."""
    new = np.bincount(known.items, minlength=size) == 0
    cases = [case for case in plan.test if new[case.target]]
    if not cases:
        return {}
    found = {
        name: float(values_of(rank_cases(methods[name], cases, among=new).ranks)["NDCG@10"].mean())
        for name in ("text-frozen", "tf-idf", "text-head", "served")
    }
    return {**found, "cases": float(len(cases))}


def _pointwise(plan: Plan, choice: SelectionResult, served: Fitted) -> dict[str, dict[str, float]]:
    """Accuracy and log-loss of what was taken against as many items drawn at random: as calibrated in
    training, and by popularity alone, calibrated on one half of these very pairs."""
    if choice.config.weights is None or choice.pointwise is None:
        return {}
    rng = np.random.default_rng(0)
    found = []
    for start in range(0, len(plan.test), BATCH):
        batch = plan.test[start : start + BATCH]
        found.append(pairs(points(choice.config.weights, served, recent(batch)), batch, rng))
    taken, others = (np.concatenate(part) for part in zip(*found, strict=True))
    rows = np.bincount(plan.known.items, minlength=len(served.prior))
    figures = {"served": _quality(choice.pointwise, taken, others)}
    draw = np.random.default_rng(0)
    shape = (len(plan.test), len(rows))
    logarithms = np.broadcast_to(np.log1p(rows).astype(np.float32), shape)
    popular = [np.broadcast_to(np.float32(0), shape)] * 2 + [logarithms]
    taken, others = pairs(popular, plan.test, draw)
    form = fit_pointwise(taken[::2], others[::2])
    if form is not None:
        figures["popularity"] = _quality(form, taken[1::2], others[1::2])
    return figures


def _quality(form: Pointwise, taken: NDArray[np.float32], others: NDArray[np.float32]) -> dict[str, float]:
    likely = np.concatenate([form(taken), 1 - form(others)]).clip(1e-7, 1.0)
    return {"accuracy": float((likely > 0.5).mean()), "log-loss": float(-np.log(likely).mean())}


def published(folder: Path, vectors: Matrix, events: Events, split: Split) -> dict[str, float]:
    """All test rows of a published comparison, learned from what can be had of its train part only; what a
    user has stays a candidate, as there."""
    choice = _climb(events, vectors, split)
    fitted = fit_scorer(choice.config, events.part(split.train), vectors)
    rows = behaviour.published_rows(folder)
    ranks = []
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        cases = [Case(number, target, ()) for number, (_, target) in enumerate(part)]
        ranks.append(expected_ranks(fitted([past for past, _ in part]), cases))
    found = {name: float(values.mean()) for name, values in values_of(np.concatenate(ranks)).items()}
    return {
        **{name: found[name] for name in ("NDCG@10", "HR@10")},
        **{name: found[name.split(" ")[0]] / value for name, value in PUBLISHED.items()},
    }


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """All sites that the encoder can read, under their names."""
    from benchmarks import host

    host.start(work, encoder)
    sites: Mapping[str, Callable[[Path], behaviour.Site]] = behaviour.SITES
    if "multilingual" in encoder:
        sites = {CHINESE: behaviour.chinese_courses}
    results: dict[str, Any] = {}
    for name, site in sites.items():
        texts, events, split = site(folder)
        vectors = _encoded(encoder, texts)
        found = measure(texts, vectors, events, split)
        results |= {f"{name}: {key}": value for key, value in found.items()}
        if name == "industrial":
            results["industrial: published rows"] = published(folder, vectors, events, split)
    return results


def _encoded(encoder: str, texts: Sequence[str]) -> Matrix:
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder

    return load_encoder(EncoderSpec(name=encoder)).encode_document(texts)
