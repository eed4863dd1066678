"""Foresees a document's events by every method, the site's own lists among them, and compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation import comparison
from llmrec_plugin.evaluation.comparison import PRIMARY, contrast, values_of
from llmrec_plugin.evaluation.lists import coverage, novelty
from llmrec_plugin.evaluation.protocol import Outcome, Plan, Protocol, plan, rank_cases
from llmrec_plugin.exceptions import InvalidRequest, InvalidVector
from llmrec_plugin.learning.selection.baselines import BASELINES, METHODS, Catalogue, Fitted, fit
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.evaluation.event_log import Log, read_catalogue, read_log
from llmrec_plugin.services.evaluation.pointwise import measure_ratings, measure_sampled
from llmrec_plugin.services.evaluation.progress import ReportProgress, part
from llmrec_plugin.services.evaluation.replay import Served, serve

SERVED = "served"
FROZEN = "text-frozen"
TEXTS = "NDCG@10 by texts alone"
"""Of the frozen texts: what new items, new sites and similar lists depend on."""
NEW_AMONG_NEW = "cold items among cold items"
TAIL = 0.8
"""Share of the items with events, those with the fewest, that are the tail."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Holds how events are foreseen."""

    protocol: Protocol = "temporal"
    most: int = 4_000
    """Cases that are reported."""
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Holds what was found, and per case what it was found from, for comparing encoders."""

    report: dict[str, Any]
    """By part: "recommendation", "search", "pointwise"."""
    by_case: dict[str, list[Any]]
    """Metric -> value per case, of what is served unless its name says otherwise, and "groups": the user of
    each."""


def measure(label: str, options: Options, report_progress: ReportProgress) -> Measured:
    """Return the recommendation part of the report; for a throwaway database, see `replay.serve`.

    Raises InvalidRequest where there is nothing to foresee.
    """
    version = live_pair(label).index_version
    keys, catalogue = read_catalogue(version)
    log = read_log(label, keys)
    rng = np.random.default_rng(options.seed)
    chosen = plan(
        log.events, options.protocol, rng=rng, most=options.most, valid=options.valid, test=options.test
    )
    if not chosen.test:
        raise InvalidRequest(
            f"None of the {len(log.events)} events can be foreseen: the part held back for the test has no "
            "item that is new to its user. Give events over a longer time, or another protocol.",
            parameter="interactions",
        )
    fitted = _fit_all(chosen, catalogue, report_progress)
    rated = measure_ratings(  # before the events of the test are taken back
        label,
        log.row_of,
        catalogue,
        valid=options.valid,
        test=options.test,
        progress=part(report_progress, "ratings"),
    )
    sampled = measure_sampled(chosen, fitted, items=len(keys), seed=options.seed)
    counts = np.bincount(chosen.known.items, minlength=len(keys))
    new = counts == 0
    served = serve(
        label, log, chosen, options.protocol, new=new, progress=part(report_progress, "ask the site")
    )
    measured = _summarise(options, log, chosen, fitted, served, counts)
    parts = {**(rated or {}), **({"sampled": sampled} if sampled else {})}
    return replace(measured, report=measured.report | ({"pointwise": parts} if parts else {}))


def _fit_all(chosen: Plan, catalogue: Catalogue, report_progress: ReportProgress) -> dict[str, Fitted]:
    """A method that this catalogue does not allow, as a head where all vectors are alike, is left out."""
    found: dict[str, Fitted] = {}
    for name, method in METHODS.items():
        try:
            found[name] = fit(method, chosen, catalogue, progress=part(report_progress, name))
        except InvalidVector:
            continue
    return found


def _summarise(
    options: Options,
    log: Log,
    chosen: Plan,
    fitted: Mapping[str, Fitted],
    served: Served,
    counts: NDArray[np.int64],
) -> Measured:
    new = counts == 0
    outcomes = {name: rank_cases(method, chosen.test) for name, method in fitted.items()}
    outcomes[SERVED] = served.outcome
    values = {name: values_of(outcome.ranks) for name, outcome in outcomes.items()}
    among_new = _among_new(chosen, fitted, served, new)
    slices = _slices(chosen, counts)
    methods = comparison.table(values)
    for name, outcome in outcomes.items():
        methods[name] |= _breadth(outcome, counts)
    unmeasured = dict.fromkeys(methods[SERVED], float("nan"))
    methods |= {name: dict(unmeasured) for name in METHODS if name not in fitted}
    groups = [case.user for case in chosen.test]
    best = comparison.best_of(values, [name for name in BASELINES if name in values])
    report = {
        "protocol": options.protocol,
        "events": len(log.events),
        "left_out": log.left_out,
        "items": len(log.keys),
        "users": len(log.users),
        "cases": {"all": len(chosen.test)}
        | {name: int(where.sum()) for name, where in slices.items()}
        | {NEW_AMONG_NEW: int(slices["cold items"].sum())},
        "best_baseline": best,
        "methods": methods,
        "slices": {name: comparison.table(values, where=where) for name, where in slices.items()}
        | {NEW_AMONG_NEW: comparison.table(among_new)},
        "paired": _paired(values, among_new, best, groups),
        "ladder": served.training,
        "settings": {name: dict(method.settings) for name, method in fitted.items()},
        "fit_seconds": served.seconds,
        "seconds": {name: method.seconds for name, method in fitted.items()} | {SERVED: served.seconds},
        "served_list_length": served.list_length,
    }
    by_case = {PRIMARY: values[SERVED][PRIMARY].tolist(), TEXTS: values[FROZEN][PRIMARY].tolist()}
    return Measured(report={"recommendation": report}, by_case={**by_case, "groups": groups})


def _breadth(outcome: Outcome, counts: NDArray[np.int64]) -> dict[str, float]:
    return {"coverage": coverage(outcome, len(counts)), "novelty": novelty(outcome, counts)}


def _slices(chosen: Plan, counts: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Return cases by what was known of their item or user: nothing ("cold"), or little ("tail")."""
    targets = np.array([case.target for case in chosen.test])
    known_users = set(chosen.known.users.tolist())
    popular = np.sort(counts[counts > 0])
    most = popular[min(len(popular) - 1, int(TAIL * len(popular)))] if len(popular) else 0
    return {
        "cold items": counts[targets] == 0,
        "cold users": np.array([case.user not in known_users for case in chosen.test]),
        "tail": (counts[targets] > 0) & (counts[targets] < most),
    }


def _among_new(
    chosen: Plan, fitted: Mapping[str, Fitted], served: Served, new: NDArray[np.bool_]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return values of the cases whose item is new, ranked among new items only; NaN for the others."""
    cold = [number for number, case in enumerate(chosen.test) if new[case.target]]
    cases = [chosen.test[number] for number in cold]
    found = {}
    for name, method in fitted.items():
        ranks = np.full(len(chosen.test), np.nan)
        ranks[cold] = rank_cases(method, cases, among=new).ranks
        found[name] = values_of(ranks)
    return found | {SERVED: values_of(served.new_among_new)}


def _paired(
    values: comparison.ByMethod, among_new: comparison.ByMethod, best: str | None, groups: list[int]
) -> list[dict[str, Any]]:
    """Compare served lists with each baseline, the best of them first; the head against the frozen
    texts."""
    wanted: list[tuple[str, str, str]] = []
    if best is not None:
        wanted += [(SERVED, best, metric) for metric in (PRIMARY, "HR@10", "MRR")]
    wanted += [(SERVED, name, PRIMARY) for name in BASELINES if name in values and name != best]
    wanted += [(one, FROZEN, PRIMARY) for one in (SERVED, "text-head") if {one, FROZEN} <= set(values)]
    rows = [asdict(contrast(values, one, other, metric=name, groups=groups)) for one, other, name in wanted]
    texts = comparison.best_of(among_new, [name for name in (FROZEN, "tf-idf") if name in among_new])
    if texts is not None:
        new = contrast(among_new, SERVED, texts, groups=groups)
        rows.append({**asdict(new), "slice": NEW_AMONG_NEW})
    return rows
