"""(f) What tuning the encoder adds to the frozen one, by loss and method, on a site's events by time.

Each row is tuned on the same number of texts, its settings (head, weights of the sources) are chosen on the
validation window, and it is measured once on the last. The frozen encoder gets the same choice.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.behaviour import SITES, Site, chinese_courses, film_ratings, films
from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import Case, rank_cases, temporal_cases
from llmrec_plugin.evaluation.significance import paired_bootstrap
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.selection.blends import BlendWeights, Sources
from llmrec_plugin.learning.selection.fits import NeighbourScoring, TextConfig
from llmrec_plugin.learning.selection.folds import Folds
from llmrec_plugin.learning.selection.model_config import (
    KINDS,
    HeadConfig,
    fit_scorer,
    fit_text,
    likeness,
    recent,
)
from llmrec_plugin.learning.selection.trials import TrialEvaluator
from llmrec_plugin.training.base import BaseModel, TrainingOptions
from llmrec_plugin.types import Matrix

PAIRS = int(os.environ.get("LLMREC_BENCH_PAIRS", "2880"))
"""Each is read once: 60 batches of 48."""
CASES = 1_000
COMMON: Mapping[str, Any] = {
    "epochs": 1.0,
    "most_pairs": PAIRS,
    "layers": 3,
    "max_tokens": 48,
    "checks": 2,
    "learning_rate": 1e-4,
    "seconds": 3_600.0,
}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "distillation": {"loss": "distillation"},
    "ranking": {"loss": "ranking"},
    "distillation, LoRA": {"loss": "distillation", "method": "lora", "learning_rate": 1e-3},
    "distillation, no anchor": {"loss": "distillation", "anchor": 0.0},
    "ranking, hard negatives": {"loss": "ranking", "hard_negatives": True},
    "ranking, core-set": {"loss": "ranking", "coreset": True},
    "ranking, last 3 items": {"loss": "ranking", "history": 3},
    "bce": {"loss": "bce"},
    "distillation + language": {"loss": "distillation", "language": 0.3},
    "ranking, LoRA": {"loss": "ranking", "method": "lora", "learning_rate": 1e-3},
    "ranking + source": {"loss": "ranking", "adversarial": 0.1},
    "ranking + language + source": {"loss": "ranking", "language": 0.3, "adversarial": 0.1},
    "mse": {"loss": "mse"},
}
SOURCES: Mapping[str, str] = {"industrial": "retail", "retail": "industrial"}
"""Whose texts a site's encoder learns not to tell from the site's own."""
TUNED: Mapping[str, Callable[[Path], Site]] = {**SITES, "films": films, "chinese courses": chinese_courses}
TEXTS = tuple(
    TextConfig(head, gamma)
    for head, gamma in product(
        (None, HeadConfig(), *(HeadConfig(ridge=r, mix=m) for r, m in product((1e-3, 1e-2), (0.3, 3.0)))),
        (0.6, 0.8),
    )
)
NEIGHBOURS = NeighbourScoring(NeighbourConfig(method="ease", strength=100.0), 0.8)
BLENDS = tuple(
    BlendWeights(taste, 1.0, popularity, kind)
    for taste, (popularity, kind) in product(
        (0.25, 1.0, 2.0, 4.0), ((0.0, KINDS[0]), (4.0, KINDS[0]), (4.0, KINDS[1]))
    )
)


def measure(site: Site, vectors: Matrix, cases: Sequence[Case]) -> dict[str, Any]:
    """Values per test case of the plain likeness, of the head and of all sources, chosen on validation."""
    _, events, split = site
    past = events.part(slice(0, split.valid.stop))
    valid = temporal_cases(past, split.valid, rng=np.random.default_rng(1), most=CASES)
    trials = TrialEvaluator.of(
        events.part(split.train),
        valid,
        vectors,
        folds=Folds.dealt([case.user for case in valid], np.random.default_rng(0)),
    )
    worth = {one: float(np.nanmean(trials.metrics.ndcg(trials.fits.text(one)))) for one in TEXTS}
    plain = max((one for one in TEXTS if one.head is None), key=worth.__getitem__)
    best = max(TEXTS, key=worth.__getitem__)
    configs = [trials.config(Sources(best, NEIGHBOURS), blend) for blend in BLENDS]
    chosen = max(configs, key=lambda one: float(np.nanmean(trials.metrics.ndcg(trials.fits.fitted(one)))))
    cold = np.bincount(past.items, minlength=len(vectors)) == 0

    def score(by: Callable[[Sequence[Sequence[int]]], Matrix], *, among: Any = None) -> Any:
        outcome = rank_cases(lambda batch: by(recent(batch)), cases, among=among)
        return accuracy(outcome.ranks)["NDCG@10"]

    head = likeness(fit_text(chosen, past, vectors), vectors, gamma=chosen.gamma)
    return {
        "alone": score(likeness(None, vectors, gamma=plain.gamma)),
        "head": score(head),
        "new items": score(head, among=cold),
        "served": score(fit_scorer(chosen, past, vectors)),
    }


def run_site(name: str, folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Rows by setting: NDCG@10 alone, with head, among new items and served, with the gain over frozen."""
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
    from llmrec_plugin.encoders.description import describe
    from llmrec_plugin.services.encoder_tuning.behaviour import Behaviour, Clicks

    site = texts, events, split = TUNED[name](folder)
    spec = EncoderSpec(name=encoder)
    frozen, description = load_encoder(spec), describe(spec)
    behaviour = Behaviour(
        keys=tuple(map(str, range(len(texts)))),
        texts=tuple(texts),
        titles=tuple(" ".join(text.split()[: max(1, len(text.split()) // 2)]) for text in texts),
        events=events,
        split=split,
        clicks=Clicks(queries=(), items=np.empty(0, np.int64), times=np.empty(0)),
        ratings=_ratings(name, folder),
        since=None,
        until=None,
    )
    base = BaseModel(
        folder=str(description.folder),
        name=encoder,
        pooling=description.pooling,
        license=description.license,
        query_prompt=description.query_prompt,
        document_prompt=description.document_prompt,
    )
    cases = temporal_cases(events, split.test, rng=np.random.default_rng(0), most=2_000)
    users = [case.user for case in cases]
    before = measure(site, frozen.encode_document(texts), cases)
    table = {"frozen": {column: float(np.nanmean(values)) for column, values in before.items()}}
    _tell(name, "frozen", table["frozen"])
    for row, changes in _chosen_rows(name):
        started = time.process_time()
        source = TUNED[SOURCES[name]](folder)[0] if "adversarial" in changes else ()
        options = {**COMMON, **changes}
        after, loss = _tuned(base, behaviour, frozen, site, cases, options, source, work / row)
        gain = paired_bootstrap(after["served"], before["served"], rng=np.random.default_rng(0), groups=users)
        table[row] = {
            **{column: float(np.nanmean(values)) for column, values in after.items()},
            "gain": gain.difference,
            "low": gain.low,
            "high": gain.high,
            "loss before": loss["before"],
            "loss after": loss["after"],
            "cpu seconds": time.process_time() - started,
        }
        _tell(name, row, table[row])
    return table


def _ratings(name: str, folder: Path) -> Any:
    """Of the films, 0..1; the other sites have none."""
    from llmrec_plugin.services.encoder_tuning.behaviour import Ratings

    if name != "films":
        none = np.empty(0, np.int64)
        return Ratings(users=none, items=none, values=np.empty(0, np.float32), times=np.empty(0))
    _, rated, values = film_ratings(folder)
    return Ratings(
        users=rated.users, items=rated.items, values=((values - 1) / 4).astype(np.float32), times=rated.times
    )


def _chosen_rows(site: str) -> list[tuple[str, Mapping[str, Any]]]:
    """All that the site has the data for, or those that LLMREC_BENCH_ROWS names, separated by semicolons."""
    wanted = [row.strip() for row in os.environ.get("LLMREC_BENCH_ROWS", "").split(";") if row.strip()]
    return [
        (row, changes)
        for row, changes in ROWS.items()
        if (not wanted or row in wanted)
        and (site in SOURCES or "adversarial" not in changes)
        and (site == "films" or changes["loss"] != "mse")
    ]


def _tuned(
    base: BaseModel,
    behaviour: Any,
    frozen: Any,
    site: Site,
    cases: Sequence[Case],
    options: Mapping[str, Any],
    source: Sequence[str],
    work: Path,
) -> tuple[dict[str, Any], Mapping[str, float]]:
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
    from llmrec_plugin.services.encoder_tuning.training_data import make_training_data
    from llmrec_plugin.training.sentence_transformer import SentenceTransformerTuner

    chosen = TrainingOptions.of(options)
    prompts = base.query_prompt, base.document_prompt
    data = make_training_data(behaviour, frozen, chosen, prompts=prompts, source=source)
    report = SentenceTransformerTuner().train(base, data, chosen, work / "out", work=work / "work")
    vectors = load_encoder(EncoderSpec(name=report.folder)).encode_document(list(site[0]))
    return measure(site, vectors, cases), report.valid_loss


def _tell(site: str, row: str, figures: Mapping[str, float]) -> None:
    """As soon as it is known: a whole run takes hours on two cores."""
    print(json.dumps({"site": site, "row": row, **figures}), file=sys.stderr, flush=True)


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """The sites that LLMREC_BENCH_SITES names; unless it is set, those with texts that the encoder reads."""
    from benchmarks import host

    host.start(work, encoder)
    readable = [name for name in TUNED if ("multilingual" in encoder) == (name == "chinese courses")]
    sites = os.environ.get("LLMREC_BENCH_SITES", ",".join(readable)).split(",")
    return {name: run_site(name, folder, work / name, encoder) for name in sites}
