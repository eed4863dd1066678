"""Makes one report of what each encoder measured on the same cases, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.choice import choose
from llmrec_plugin.evaluation.comparison import PRIMARY, Contrast, contrast, mean
from llmrec_plugin.figures import jsonable
from llmrec_plugin.services.evaluation.recommendation import TEXTS

METRICS = {"recommendation": (PRIMARY, TEXTS), "search": (PRIMARY, "condensed NDCG@10")}
"""What encoders are compared by, where it was measured."""


def compare(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report of the encoder to take; of several, with "encoders" (each one's report and costs),
    "comparison" (paired differences of what is served) and "choice"."""
    found = {
        name: {**answer["report"], "encoder": answer["encoder"], "files": answer["files"]}
        for name, answer in answers.items()
    }
    if len(found) == 1:
        return next(iter(found.values()))
    differences = list(_differences(answers))
    best = choose(
        {name: _quality(answer["by_case"]) for name, answer in answers.items()},
        {name: answer["encoder"]["items_per_second"] for name, answer in answers.items()},
        [difference for _, difference in differences],
    )
    return {
        **found[best.name],
        "encoders": {name: {**answer["report"], **answer["encoder"]} for name, answer in answers.items()},
        "comparison": jsonable([{"task": task, **asdict(difference)} for task, difference in differences]),
        "choice": {"encoder": best.name, "why": best.why},
    }


def _differences(answers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Contrast]]:
    """Return for each pair what the first serves less what the second does."""
    for one, other in combinations(answers, 2):
        for task, metrics in METRICS.items():
            cases = {name: answers[name]["by_case"].get(task) for name in (one, other)}
            if not all(cases.values()):
                continue
            values = {
                name: {metric: _column(found[metric]) for metric in metrics} for name, found in cases.items()
            }
            for metric in metrics:
                yield task, contrast(values, one, other, metric=metric, groups=cases[one]["groups"])


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _quality(by_case: Mapping[str, Mapping[str, Sequence[float | None]]]) -> float:
    """Return the mean of all metrics that were measured."""
    return float(
        np.mean([mean(_column(found[metric])) for task, found in by_case.items() for metric in METRICS[task]])
    )
