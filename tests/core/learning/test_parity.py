"""A list is ranked by the very scores that training measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.scorers.catalogue_scores import Weights
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.selection.model_config import (
    KINDS,
    Fitted,
    HeadConfig,
    ScorerConfig,
    fit_scorer,
    fit_text,
    points,
)
from llmrec_plugin.ranking.explanation import personal_points
from llmrec_plugin.ranking.personal import PersonalWeights, common_points, rank_for_user
from llmrec_plugin.ranking.profile import build_profile, item_weights
from llmrec_plugin.types import Event, RankedItem

ITEMS, D = 30, 6
NOW = datetime(2026, 3, 1, tzinfo=UTC)
KIND_WEIGHTS = {"purchase": 4.0, "dismiss": -2.0}


def vectors() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(ITEMS, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def log() -> Events:
    draw = np.random.default_rng(1)
    # The last three items are new.
    return Events.of(draw.integers(60, size=400), draw.integers(ITEMS - 3, size=400), range(400))


def served(
    fitted: Fitted, history: list[int], candidates: list[int]
) -> tuple[list[RankedItem], tuple[float, ...]]:
    """As services.shelves does it, from events of which the youngest is the last of the history; and what
    all scores have in common."""
    config, events = fitted.config, log()
    assert config.weights is not None
    past = [
        Event(key=str(item), kind="purchase", at=NOW - timedelta(days=100 * age))
        for age, item in enumerate(reversed(history))
    ]
    head = fit_text(config, events, vectors())
    by_key = {str(row): vector for row, vector in enumerate(vectors())}
    profile = build_profile(
        past,
        by_key,
        now=NOW,
        half_life=None,
        kind_weights=KIND_WEIGHTS,
        recency=config.gamma,
        turn=head.directions if head else None,
    )
    amounts = item_weights(
        past, now=NOW, half_life=None, kind_weights=KIND_WEIGHTS, recency=config.neighbour_gamma
    )
    neighbours: dict[str, dict[str, float]] = {}
    for source, amount in amounts.items():
        for candidate, weight in fitted.neighbours.neighbours.of(int(source)):
            neighbours.setdefault(str(candidate), {})[source] = weight * amount / 4.0
    seen = np.unique(events.items)
    prior = {str(item): float(fitted.prior[item]) for item in seen if item in candidates}
    weights = PersonalWeights(
        taste=config.weights.taste,
        neighbours=config.weights.neighbours,
        popularity=config.weights.popularity,
        learned=True,
        average=float(fitted.prior[seen].mean()),
    )
    keys = [str(item) for item in candidates]
    assert profile is not None
    ranked = rank_for_user(
        keys, profile=profile, vectors=by_key, neighbours=neighbours, prior=prior, weights=weights
    )
    common = common_points(ranked[-1], profile=profile, vectors=by_key, prior=prior, weights=weights)
    return ranked, common


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=12),
    candidates=st.lists(st.integers(0, ITEMS - 1), min_size=2, max_size=ITEMS, unique=True),
    head=st.sampled_from([None, HeadConfig(), HeadConfig(ridge=0.01, mix=1.0)]),
    kind=st.sampled_from(KINDS),
    gammas=st.tuples(st.sampled_from([0.6, 1.0]), st.sampled_from([0.6, 1.0])),
    neighbours=st.builds(
        NeighbourConfig,
        method=st.sampled_from(["ease", "item-knn"]),
        strength=st.just(20.0),
        recency=st.sampled_from([None, 0.2]),
        order=st.sampled_from([0.0, 0.3]),
    ),
)
def test_any_candidates_differ_by_what_training_measured(history, candidates, head, kind, gammas, neighbours):  # type: ignore[no-untyped-def]
    weights = Weights(taste=0.7, neighbours=0.9, popularity=0.4)
    config = ScorerConfig(
        weights=weights,
        gamma=gammas[0],
        neighbour_gamma=gammas[1],
        head=head,
        neighbours=neighbours,
        popularity=kind,
    )
    fitted = fit_scorer(config, log(), vectors())
    measured = fitted([history])[0]
    ranked, common = served(fitted, history, candidates)
    assert len(ranked) == len(candidates)
    parts = points(weights, fitted, [history])
    for item in ranked:
        # What all candidates have in common is left out, and known.
        assert item.score + sum(common) == pytest.approx(measured[int(item.key)], abs=2e-5)
        assert sum(item.contributions.values()) == pytest.approx(item.score, abs=1e-9)
        told = personal_points(item)
        assert told is not None
        scores_by_history = [float(part[0, int(item.key)]) for part in parts]
        assert np.add(told, common) == pytest.approx(scores_by_history, abs=2e-5)


def test_points_are_told_where_a_taste_is_behind_them() -> None:
    item = RankedItem(
        "x", 1.5, {"taste:1": 0.5, "taste": 0.25, "neighbours:2": 0.5, "average": 0.5, "diversity": -0.25}
    )
    assert personal_points(item) == (0.75, 0.5, 0.5)
    assert personal_points(RankedItem("x", 1.0, {"neighbours:2": 0.5, "popularity": 0.5})) is None


def test_events_against_an_item_make_the_others_no_older() -> None:
    events = [
        Event(key="a", kind="purchase", at=NOW - timedelta(days=9)),
        Event(key="b", kind="dismiss", at=NOW - timedelta(days=5)),
        Event(key="c", kind="purchase", at=NOW),
    ]
    assert item_weights(
        events, now=NOW, half_life=None, kind_weights=KIND_WEIGHTS, recency=0.5
    ) == pytest.approx({"a": 2.0, "b": -1.0, "c": 4.0})
