"""(f) How long a full training takes, by size: synthetic events with tastes, popularity and fashion in them.

And what a user costs: their state after an event, and the score of 200 candidates, the engine excluded.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import host
from llmrec_plugin.types import Matrix

SIZES = {
    "100,000 events, 8,000 items": (100_000, 8_000),
    "1,000,000 events, 20,000 items": (1_000_000, 20_000),
}
EVENTS_PER_USER = 10
TOPICS = 64
DIMENSIONS = 384
ROUNDS = 300
HISTORY = 50
CANDIDATES = 200


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Wall and CPU seconds and peak memory by size, and the times of a user."""
    host.start(work, encoder)
    results: dict[str, Any] = {}
    for name, (events, items) in SIZES.items():
        results[name] = _train(events, items)
    return results | {"a user": _user()}


def _vectors(items: int, rng: np.random.Generator) -> Matrix:
    topics = rng.standard_normal((TOPICS, DIMENSIONS), dtype=np.float32)
    rows = topics[rng.integers(TOPICS, size=items)]
    rows += rng.standard_normal((items, DIMENSIONS), dtype=np.float32)
    unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _train(count: int, items: int) -> dict[str, float]:
    """Choosing on held-back events and learning from all, as `services.training` does after its queries."""
    from llmrec_plugin.evaluation.protocol import temporal_split
    from llmrec_plugin.learning.scorers.catalogue_scores import Shares
    from llmrec_plugin.learning.selection.model_config import ScorerConfig, fit_scorer
    from llmrec_plugin.learning.selection.stepwise import select_stepwise

    rng = np.random.default_rng(0)
    vectors = _vectors(items, rng)
    events = _events(count, items, rng)
    split = temporal_split(events, valid=0.1, test=0.0)
    with _measured() as taken:
        choice = select_stepwise(
            events,
            vectors,
            incumbent=ScorerConfig(shares=Shares(taste=0.3, neighbours=0.6, popularity=0.1)),
            train=split.train,
            valid=split.valid,
            rng=np.random.default_rng(0),
        )
        fit_scorer(choice.config, events, vectors)
    return taken


def _events(count: int, items: int, rng: np.random.Generator) -> Any:
    """Each user stays around a place in a row of items, where popular ones are taken more often."""
    from llmrec_plugin.evaluation.protocol import Events

    users = rng.integers(count // EVENTS_PER_USER, size=count)
    places = rng.integers(items, size=count // EVENTS_PER_USER)[users]
    near = (places + np.rint(rng.standard_normal(count) * items / 100)).astype(np.int64) % items
    popular = (items * rng.random(count) ** 3).astype(np.int64)
    return Events.of(users, np.where(rng.random(count) < 0.6, near, popular), np.arange(count))


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    taken: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken["seconds"] = time.perf_counter() - wall
    taken["CPU seconds"] = time.process_time() - cpu
    taken["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _user() -> dict[str, float]:
    """p50 and p95 in milliseconds of CPU time, which others on the machine do not lengthen."""
    from django.utils import timezone

    from llmrec_plugin.learning.scorers.projection_head import identity_head
    from llmrec_plugin.learning.scorers.whitening import fit_whitening
    from llmrec_plugin.ranking.personal import PersonalWeights, rank_for_user
    from llmrec_plugin.ranking.profile import build_profile
    from llmrec_plugin.types import Event

    rng = np.random.default_rng(0)
    rows = _vectors(2_000, rng)
    vectors = {str(row): vector for row, vector in enumerate(rows)}
    head = identity_head(fit_whitening(rows), gamma=0.8)
    weights = PersonalWeights(taste=1.0, neighbours=0.5, popularity=0.2, learned=True, average=0.4)
    now = timezone.now()
    times: dict[str, list[float]] = {"update": [], "score": [], "both": []}
    for _ in range(ROUNDS):
        past = [
            Event(key=str(item), kind="purchase", at=now - timedelta(hours=age))
            for age, item in enumerate(rng.choice(2_000, size=HISTORY, replace=False).tolist())
        ]
        candidates = [str(item) for item in rng.choice(2_000, size=CANDIDATES, replace=False).tolist()]
        neighbours = {key: {event.key: 0.1 for event in past[:3]} for key in candidates[:100]}
        prior = dict.fromkeys(candidates, 0.5)
        first = time.process_time()
        profile = build_profile(
            past,
            vectors,
            now=now,
            half_life=None,
            kind_weights={"purchase": 4.0},
            recency=0.8,
            turn=head.directions,
        )
        second = time.process_time()
        rank_for_user(
            candidates, profile=profile, vectors=vectors, neighbours=neighbours, prior=prior, weights=weights
        )
        third = time.process_time()
        for name, span in (("update", second - first), ("score", third - second), ("both", third - first)):
            times[name].append(span * 1000)
    return {
        f"{name}, p{part} ms": float(np.percentile(values, part))
        for name, values in times.items()
        for part in (50, 95)
    }
