"""Measures yes or no for one item at a time: ratings that were given, and what was taken against what was
not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from llmrec_plugin.evaluation import pointwise
from llmrec_plugin.evaluation.protocol import Events, Plan, temporal_split
from llmrec_plugin.event_kinds import rated_kinds
from llmrec_plugin.learning.prediction.logistic import fit_linear, fit_logistic
from llmrec_plugin.learning.prediction.rating_features import (
    COLUMNS,
    FEATURES,
    LIKED,
    Ratings,
    rating_features,
)
from llmrec_plugin.learning.selection.baselines import Catalogue, Fitted
from llmrec_plugin.learning.selection.sampled_negatives import sampled_measures
from llmrec_plugin.models import Interaction
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.types import Progress

MIN_RATINGS = 500
"""Below, a tenth of them tells nothing."""
MIN_CASES = 50
STAGES = (3 / 9, 4 / 9, 5 / 9, 6 / 9, 7 / 9, 8 / 9)
"""Of the ratings before the test: where neighbours are learned anew; weights are learned from there on."""


def measure_ratings(
    label: str,
    rows: Mapping[str, int],
    catalogue: Catalogue,
    *,
    valid: float,
    test: float,
    progress: Progress,
) -> dict[str, Any] | None:
    """Return whether a rating will be at least LIKED, by methods that know what was rated strictly earlier;
    None where there are too few ratings with a value. Where all that are foreseen are on one side there is
    nothing to be told apart, and whoever says so always would be called perfect: those measures are NaN then,
    the squared error stays. `rows`: item key -> row of the catalogue."""
    ratings = _ratings(label, rows)
    if len(ratings) < MIN_RATINGS:
        return None
    events = Events(ratings.users, ratings.items, ratings.times)
    stop = temporal_split(events, valid=valid, test=test).test.start
    cuts = sorted({_after_ties(ratings, round(stop * share)) for share in STAGES} | {stop})
    features = rating_features(ratings, catalogue.vectors, catalogue.whitened, cuts, progress=progress)
    values, known = ratings.values[cuts[0] :], stop - cuts[0]
    liked = values >= LIKED
    alike = len(np.unique(liked[known:])) < 2
    methods = {}
    for name, wanted in COLUMNS.items():
        part = features[:, [FEATURES.index(feature) for feature in wanted]]
        given = fit_logistic(part[:known], liked[:known]).probabilities(part[known:])
        foreseen = fit_linear(part[:known], values[:known]).values(part[known:])
        told = pointwise.measures(liked[known:], given)
        methods[name] = {
            **(dict.fromkeys(told, float("nan")) if alike else told),
            "MSE": float(((foreseen - values[known:]) ** 2).mean()),
        }
    return {
        "task": f"rating >= {LIKED:g}",
        "ratings": len(ratings),
        "cases": len(values) - known,
        "positive": float(liked[known:].mean()),
        "one_class": alike,
        "methods": methods,
        "calibration": pointwise.calibration(liked[known:], given),
    }


def _ratings(label: str, rows: Mapping[str, int]) -> Ratings:
    user_row: dict[str, int] = {}
    found = [
        (user_row.setdefault(user, len(user_row)), rows[key], value, at.timestamp())
        for user, key, value, at in consent.consented(
            Interaction.objects.filter(document=label, kind__in=rated_kinds(), value__isnull=False)
        )
        .order_by("at", "id")
        .values_list("user_key", "item_id", "value", "at")
        .iterator(chunk_size=10_000)
        if key in rows
    ]
    users, items, values, times = zip(*found, strict=True) if found else ((), (), (), ())
    return Ratings(
        users=np.array(users, np.int64),
        items=np.array(items, np.int64),
        values=np.array(values, np.float64),
        times=np.array(times, np.float64),
    )


def _after_ties(ratings: Ratings, cut: int) -> int:
    """Return the first place of a later moment: what is learned before it knows nothing of the same."""
    return int(np.searchsorted(ratings.times, ratings.times[max(0, cut - 1)], side="right"))


def measure_sampled(
    chosen: Plan, fitted: Mapping[str, Fitted], *, items: int, seed: int
) -> dict[str, Any] | None:
    """Return what was taken against one drawn item each; None where there are too few cases to learn from."""
    if min(len(chosen.valid), len(chosen.test)) < MIN_CASES:
        return None
    counts = np.bincount(chosen.known.items, minlength=items)
    before = {name: method.before for name, method in fitted.items()}
    after = {name: method.score for name, method in fitted.items()}
    return {
        kind: sampled_measures(
            before, chosen.valid, after, chosen.test, weights, rng=np.random.default_rng(seed)
        )
        for kind, weights in (("uniform", np.ones(items)), ("popularity-matched", counts))
    }
