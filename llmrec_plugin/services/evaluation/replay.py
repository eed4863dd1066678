"""Replays what the site would have served: its real services, trained and asked as of each moment of the
test."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Case, Outcome, Plan, Protocol, expected_ranks, list_outcome
from llmrec_plugin.learning.selection.model_config import ScorerConfig
from llmrec_plugin.models import Interaction
from llmrec_plugin.services.evaluation.event_log import Log
from llmrec_plugin.services.model_registry.training_report import TrainingReport, report_of
from llmrec_plugin.services.recommendations import pipeline
from llmrec_plugin.services.serving import stored_lists
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import Progress

PLACEMENT = "for-you"
SHOWN = 10
REPORTED = ("step", "ladder", "gate", "validation_events", "method", "kind", "events", "users")
"""What a report of an evaluation takes over from that of the training, beside its config."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """Holds how the lists of the site ranked the cases."""

    outcome: Outcome
    new_among_new: NDArray[np.float64]
    """Rank of each target among the items without events; NaN where the target is none of these."""
    training: dict[str, Any]
    """What was chosen, and why."""
    seconds: float
    """Of training."""
    list_length: float
    """Mean number of items in a list, of which those that the user has are not counted for them."""


def serve(
    label: str, log: Log, plan: Plan, protocol: Protocol, *, new: NDArray[np.bool_], progress: Progress
) -> Served:
    """Train on what is known, then ask for each case when it is due.

    Deletes the interactions that are held back and stores those of a user again as time goes on: only for
    a throwaway database. `new`: bool per item, those without a known event.
    """
    later = _take_back(label, log, plan, protocol)
    started = time.perf_counter()
    until = min(row.at for rows in later.values() for row in rows) if protocol == "temporal" else None
    version = model_fit.fit(label, now=until or log.moments[-1], by="evaluate")
    seconds = time.perf_counter() - started
    new_keys = [log.keys[row] for row in np.flatnonzero(new).tolist()]
    lists: list[list[int]] = []
    new_ranks = np.full(len(plan.test), np.nan)
    for number, case in enumerate(plan.test):
        user = log.users[case.user]
        moment = log.moments[log.places[case.user][len(case.history)]]
        _let_happen(later[user], moment)
        page = pipeline.recommend(
            PLACEMENT, user_key=user, document=label, limit=SHOWN, now=moment - timedelta(microseconds=1)
        )
        lists.append([log.row_of[key] for key in stored_lists.ranked_keys(page) if key in log.row_of])
        if new[case.target]:
            new_ranks[number] = _rank_among(label, new_keys, log, case, moment, new)
        progress(number + 1, len(plan.test))
    return Served(
        outcome=list_outcome(lists, plan.test),
        new_among_new=new_ranks,
        training=_published(report_of(version)),
        seconds=seconds,
        list_length=float(np.mean([len(items) for items in lists])) if lists else 0.0,
    )


def _published(report: TrainingReport) -> dict[str, Any]:
    """Return what a report of an evaluation says of the training; its names are what readers of such files
    rely on, and stay where those of the code change."""
    stored = report.to_json()
    found = {name: stored[name] for name in REPORTED if name in stored}
    if report.selection is not None:
        found["setup"] = _published_config(report.selection.config)
    return found


def _published_config(config: ScorerConfig) -> dict[str, Any]:
    values = asdict(config)
    for part in (values, values["shares"], values["weights"]):
        if part is not None:
            part["also"] = part.pop("neighbours")
    values["also_gamma"] = values.pop("neighbour_gamma")
    return values


def _take_back(label: str, log: Log, plan: Plan, protocol: Protocol) -> dict[str, list[Interaction]]:
    """Delete what is held back; by user, oldest first. After the cut that is also what is no event for the
    protocol, such as a dismissal."""
    rows = Interaction.objects.filter(document=label)
    if protocol == "temporal":
        rows = rows.filter(at__gte=log.moments[int(plan.held[0])])
    held = {int(pk) for pk in log.rows[plan.held]}
    later: dict[str, list[Interaction]] = defaultdict(list)
    for row in rows.order_by("at", "id").iterator(chunk_size=2_000):
        if protocol == "temporal" or row.pk in held:
            later[row.user_key].append(row)
    gone = [row.pk for found in later.values() for row in found]
    for start in range(0, len(gone), 500):
        Interaction.objects.filter(pk__in=gone[start : start + 500]).delete()
    return later


def _let_happen(later: list[Interaction], moment: datetime) -> None:
    """Store what the user did strictly earlier; it is taken off `later`."""
    due = 0
    while due < len(later) and later[due].at < moment:
        due += 1
    if due:
        Interaction.objects.bulk_create(later[:due])
        del later[:due]


def _rank_among(
    label: str, keys: Sequence[str], log: Log, case: Case, moment: datetime, new: NDArray[np.bool_]
) -> float:
    """Return the target's rank in a list of nothing but new items, ties at the expected rank."""
    scores = np.full((1, len(log.keys)), -np.inf, np.float32)
    for item in pipeline.rank_items(label, keys, user_key=log.users[case.user], now=moment):
        scores[0, log.row_of[item.key]] = item.score
    return float(expected_ranks(scores, [case], among=new)[0])
