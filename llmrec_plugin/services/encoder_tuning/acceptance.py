"""Says whether a tuned encoder is better than what answers: on the latest events, which neither has seen.

Each encoder gets the best that the ladder makes of it; then the two are compared user by user. New items,
search and the breadth of the lists must not pay for the gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.evaluation.lists import accuracy, coverage
from llmrec_plugin.evaluation.metrics import ndcg
from llmrec_plugin.evaluation.protocol import (
    Case,
    Events,
    Split,
    amounts_by_user,
    rank_cases,
    temporal_cases,
)
from llmrec_plugin.evaluation.significance import paired_bootstrap
from llmrec_plugin.learning.selection.model_config import ScorerConfig, fit_scorer, recent, recent_amounts
from llmrec_plugin.learning.selection.stepwise import select_stepwise
from llmrec_plugin.models import Judgment
from llmrec_plugin.services.indexing.similarity_floor import as_typed
from llmrec_plugin.types import Matrix

METRIC = "NDCG@10"
CONFIDENCE = 0.9
"""Of the interval whose lower bound must lie above zero."""
MIN_CASES = 100
"""Events to be foreseen below which nothing is proven."""
MIN_GUARDED = 20
COLD_KEPT, SEARCH_KEPT, COVERAGE_KEPT = 0.95, 0.98, 0.9
SEARCHES = 500
SEED = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonData:
    """Holds what two encoders are compared on."""

    keys: Sequence[str]
    """All items, in the order of the vectors."""
    titles: Mapping[str, str]
    events: Events
    split: Split
    clicks: Sequence[tuple[str, str]] = ()
    """Words of a search and what was taken of its results, all within the last part of the events."""


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """Holds the outcome, for people and for the record."""

    accepted: bool
    reasons: tuple[str, ...]
    """Why not: "few-events", "not-proven", "new-items", "search" or "coverage"; empty: accepted."""
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Holds one encoder with the best that the ladder makes of it."""

    config: ScorerConfig
    values: NDArray[np.float64]
    cold: NDArray[np.float64]
    """The same among new items; NaN where the target is none."""
    coverage: float
    search: dict[str, NDArray[np.float64]]


def compare_encoders(
    arena: ComparisonData,
    *,
    before: tuple[Encoder, Matrix],
    after: tuple[Encoder, Matrix],
    incumbent: ScorerConfig,
    label: str,
    beat: Callable[[], None],
) -> GateDecision:
    """Compare the encoder that answers with another one, each given with its vectors of all items.

    `incumbent`: the setup that is served now; what the ladder finds takes its place only where it wins.
    """
    cases = temporal_cases(arena.events, arena.split.test, rng=np.random.default_rng(SEED))
    if len(cases) < MIN_CASES:
        return GateDecision(accepted=False, reasons=("few-events",), figures={"cases": len(cases)})
    judged = _judgements(label)

    def measure(rival: tuple[Encoder, Matrix]) -> _Measured:
        found = _measure(arena, cases, *rival, incumbent=incumbent, judged=judged)
        beat()
        return found

    return _verdict(measure(before), measure(after), cases)


def _measure(
    arena: ComparisonData,
    cases: Sequence[Case],
    encoder: Encoder,
    vectors: Matrix,
    *,
    incumbent: ScorerConfig,
    judged: Mapping[str, Mapping[str, int]],
) -> _Measured:
    split = arena.split
    choice = select_stepwise(
        arena.events.part(slice(0, split.valid.stop)),
        vectors,
        incumbent=incumbent,
        train=split.train,
        valid=split.valid,
        rng=np.random.default_rng(SEED),
    )
    known = arena.events.part(slice(0, split.valid.stop))
    fitted = fit_scorer(choice.config, known, vectors)
    by_user = amounts_by_user(arena.events)

    def score(batch: Sequence[Case]) -> Matrix:
        return fitted(recent(batch), recent_amounts(batch, by_user))

    cold = np.bincount(known.items, minlength=len(vectors)) == 0
    outcome = rank_cases(score, cases)
    among = rank_cases(score, cases, among=cold)
    return _Measured(
        config=choice.config,
        values=accuracy(outcome.ranks)[METRIC],
        cold=accuracy(among.ranks)[METRIC],
        coverage=coverage(outcome, len(vectors)),
        search=_search(arena, encoder, vectors, judged),
    )


def _search(
    arena: ComparisonData, encoder: Encoder, vectors: Matrix, judged: Mapping[str, Mapping[str, int]]
) -> dict[str, NDArray[np.float64]]:
    """Return NDCG@10 by meaning alone, per search: the beginnings of titles, what people clicked, and
    judgements."""
    place = {key: row for row, key in enumerate(arena.keys)}
    rng = np.random.default_rng(SEED)
    titled = [key for key in arena.keys if arena.titles.get(key)]
    drawn = [titled[row] for row in np.sort(rng.permutation(len(titled))[:SEARCHES]).tolist()]
    clicks = [(query, key) for query, key in arena.clicks if key in place][-SEARCHES:]
    found = {
        "titles": _single(encoder, vectors, [(as_typed(arena.titles[key]), place[key]) for key in drawn]),
        "clicks": _single(encoder, vectors, [(query, place[key]) for query, key in clicks]),
    }
    if judged:
        scores = encoder.encode_query(list(judged)) @ vectors.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        found["judgements"] = np.array(
            [
                ndcg([arena.keys[row] for row in rows], grades, k=10)
                for rows, grades in zip(best.tolist(), judged.values(), strict=True)
            ]
        )
    return found


def _single(encoder: Encoder, vectors: Matrix, searches: Sequence[tuple[str, int]]) -> NDArray[np.float64]:
    """Measure searches with one right answer each."""
    if not searches:
        return np.empty(0)
    queries = encoder.encode_query([query for query, _ in searches])
    cases = [Case(number, target, ()) for number, (_, target) in enumerate(searches)]
    outcome = rank_cases(lambda batch: queries[[case.user for case in batch]] @ vectors.T, cases)
    return accuracy(outcome.ranks)[METRIC]


def _judgements(label: str) -> dict[str, dict[str, int]]:
    """Return grades by query and item."""
    found: dict[str, dict[str, int]] = {}
    rows = Judgment.objects.filter(document=label).values_list("query", "item_id", "grade")
    for query, key, grade in rows:
        found.setdefault(query, {})[key] = grade
    return {query: grades for query, grades in found.items() if max(grades.values()) > 0}


def _verdict(before: _Measured, after: _Measured, cases: Sequence[Case]) -> GateDecision:
    gain = paired_bootstrap(
        after.values,
        before.values,
        rng=np.random.default_rng(SEED),
        groups=[case.user for case in cases],
        confidence=CONFIDENCE,
    )
    guards = {
        "new-items": (before.cold, after.cold, COLD_KEPT),
        **{
            f"search by {name}": (before.search[name], after.search[name], SEARCH_KEPT)
            for name in before.search
        },
    }
    rails = {name: _rail(*values) for name, values in guards.items()}
    rails["coverage"] = {
        "before": before.coverage,
        "after": after.coverage,
        "held": after.coverage >= COVERAGE_KEPT * before.coverage,
    }
    broken = [name.partition(" ")[0] for name, rail in rails.items() if not rail["held"]]
    reasons = tuple(dict.fromkeys([*([] if gain.low > 0 else ["not-proven"]), *broken]))
    figures = {
        "metric": METRIC,
        "cases": len(cases),
        "before": _mean(before.values),
        "after": _mean(after.values),
        "gain": gain.difference,
        "low": gain.low,
        "high": gain.high,
        "confidence": CONFIDENCE,
        "guard_rails": rails,
    }
    return GateDecision(accepted=not reasons, reasons=reasons, figures=figures)


def _rail(before: NDArray[np.float64], after: NDArray[np.float64], kept: float) -> dict[str, Any]:
    """Return whether it holds, as it does where there is too little to tell."""
    there = ~np.isnan(before)
    if there.sum() < MIN_GUARDED:
        return {"before": None, "after": None, "held": True}
    one, other = _mean(before), _mean(after)
    return {"before": one, "after": other, "held": bool(other >= kept * one)}


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
