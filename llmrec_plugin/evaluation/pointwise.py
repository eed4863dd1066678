"""How good probabilities are, one item at a time: yes or no, order, and how far they may be believed."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Labels = NDArray[np.bool_]
Values = NDArray[np.float64]

LEAST = 1e-9
"""Certainty beyond this is cut, so that one mistake does not cost infinitely much."""


class Bin(TypedDict):
    """One stretch of probabilities."""

    low: float
    high: float
    mean: float
    """What was promised."""
    share: float
    """What came true."""
    count: int


def measures(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Accuracy, precision, recall and F1 at one half, AUC, log-loss; NaN for what cannot be measured, such as
    AUC where all labels are alike."""
    liked, given = np.asarray(labels, dtype=np.bool_), np.asarray(probabilities, dtype=np.float64)
    said = given >= 0.5
    right = float((said & liked).sum())
    precision, recall = _share(right, said.sum()), _share(right, liked.sum())
    chosen = np.clip(np.where(liked, given, 1.0 - given), LEAST, 1.0)
    return {
        "accuracy": _share((said == liked).sum(), len(liked)),
        "precision": precision,
        "recall": recall,
        "F1": _share(2 * right, said.sum() + liked.sum()),
        "AUC": area_under_curve(liked, given),
        "log-loss": _share(-np.log(chosen).sum(), len(liked)),
    }


def area_under_curve(labels: Labels, scores: Values) -> float:
    """Chance that what is true scores above what is not, ties counting half; NaN where all are alike."""
    yes = int(labels.sum())
    no = len(labels) - yes
    if not (yes and no):
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - yes * (yes + 1) / 2) / (yes * no))


def calibration(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> list[Bin]:
    """What was promised and what came true, in stretches of equal width; empty ones are left out."""
    liked, given = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    places = np.minimum((given * bins).astype(np.int64), bins - 1)
    return [
        Bin(
            low=place / bins,
            high=(place + 1) / bins,
            mean=float(given[places == place].mean()),
            share=float(liked[places == place].mean()),
            count=int((places == place).sum()),
        )
        for place in np.unique(places).tolist()
    ]


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")
