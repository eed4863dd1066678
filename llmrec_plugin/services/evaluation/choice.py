"""One report of what each encoder measured on the same cases, and which of them to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from llmrec_plugin.evaluation.comparison import Contrast, contrast, plain

METRICS = {"recommendation": ("NDCG@10",), "search": ("NDCG@10", "condensed NDCG@10")}


def compare(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The report of the encoder to take; of several, with "encoders" (each one's report and costs),
    "comparison" (paired differences of what is served) and "choice"."""
    names = list(answers)
    if len(names) == 1:
        answer = answers[names[0]]
        return {**answer["report"], "encoder": answer["encoder"], "files": answer["files"]}
    differences = [
        {"task": task, **asdict(found)}
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        for task, metrics in METRICS.items()
        if task in answers[one]["by_case"]
        for found in _differences(task, one, other, answers, metrics)
    ]
    best, why = _choose(names, answers, differences)
    return {
        **answers[best]["report"],
        "encoder": answers[best]["encoder"],
        "files": answers[best]["files"],
        "encoders": {name: {**answer["report"], **answer["encoder"]} for name, answer in answers.items()},
        "comparison": plain(differences),
        "choice": {"encoder": best, "why": why},
    }


def _differences(
    task: str, one: str, other: str, answers: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]
) -> list[Contrast]:
    """What `one` serves less what `other` does, on the same cases."""
    groups = answers[one]["by_case"][task]["groups"]
    values = {
        name: {metric: _column(answers[name]["by_case"][task][metric]) for metric in metrics}
        for name in (one, other)
    }
    return [contrast(values, one, other, metric=metric, groups=groups) for metric in metrics]


def _column(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _choose(
    names: Sequence[str], answers: Mapping[str, Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    """Of those that none is provably better than, the one with the highest sum of metrics, or, where none is
    proven to differ, the fastest."""
    beaten: dict[str, str] = {}
    for found in differences:
        if found["low"] > 0:
            beaten.setdefault(found["baseline"], found["method"])
        elif found["high"] < 0:
            beaten.setdefault(found["method"], found["baseline"])
    left = [name for name in names if name not in beaten] or list(names)
    fastest = max(left, key=lambda name: answers[name]["encoder"]["items_per_second"] or 0.0)
    if not beaten:
        return fastest, "No difference in quality is more than chance: the fastest."
    if len(left) == 1:
        return left[
            0
        ], "Better than each of the others on some metric, by more than chance, and worse on none."
    if len(left) == len(names):
        best = max(names, key=lambda name: _quality(answers[name]["report"]))
        return best, "Each is better on some metric: the one with the highest mean of all."
    return (
        fastest,
        f"Not proven worse than another, unlike {', '.join(beaten)}; of what is left, the fastest.",
    )


def _quality(report: Mapping[str, Any]) -> float:
    return float(
        np.mean(
            [
                report[task]["methods"]["served"][metric] or 0.0
                for task, metrics in METRICS.items()
                if task in report
                for metric in metrics
            ]
        )
    )
