"""A map learned elsewhere helps where own events are few, and gives way where they are many."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.scorers.projection_head import HeadSums, collect, fit_head, identity_head
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.model_config import HeadConfig, ScorerConfig
from llmrec_plugin.learning.selection.transfer import Source, fit_from, head_from, map_of
from llmrec_plugin.types import Matrix

DIMENSIONS = 16
ITEMS = 400


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def catalogue(seed: int) -> Matrix:
    rows = rng(seed).normal(size=(ITEMS, DIMENSIONS)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


RULE = np.linalg.qr(rng(9).normal(size=(DIMENSIONS, DIMENSIONS)))[0]
"""On every site what is taken next lies where this turns what was taken before."""


def histories(vectors: Matrix, users: int, seed: int) -> list[list[int]]:
    draw = rng(seed)
    found = []
    for _ in range(users):
        first = int(draw.integers(ITEMS))
        scores = vectors @ (vectors[first] @ RULE) + draw.normal(0, 0.1, ITEMS)
        found.append([first, int(scores.argmax())])
    return found


def as_events(known: list[list[int]]) -> Events:
    rows = [(user, item, place) for user, items in enumerate(known) for place, item in enumerate(items)]
    return Events.of(*zip(*rows, strict=True)) if rows else Events.of([], [], [])


NOTHING = HeadSums(np.zeros((DIMENSIONS, DIMENSIONS)), np.zeros((DIMENSIONS, DIMENSIONS)), 0)


def error(head_vectors: Matrix, vectors: Matrix, pairs: list[list[int]]) -> float:
    """Mean rank of what was taken next among all items."""
    scores = head_vectors[[one for one, _ in pairs]] @ vectors.T
    wanted = scores[np.arange(len(pairs)), [other for _, other in pairs]]
    return float((scores > wanted[:, None]).sum(axis=1).mean())


def site(seed: int) -> tuple[Matrix, Whitening]:
    vectors = catalogue(seed)
    return vectors, fit_whitening(vectors)


def learned_elsewhere() -> Matrix:
    vectors, whitening = site(1)
    sums = collect(histories(vectors, 3000, 1), whitening.apply(vectors), gamma=1.0, rng=rng())
    return map_of(fit_head(sums, whitening, gamma=1.0, ridge=1e-3, mix=0.5), mix=0.5)


def test_the_map_of_a_head_is_what_was_learned() -> None:
    vectors, whitening = site(1)
    sums = collect(histories(vectors, 3000, 1), whitening.apply(vectors), gamma=1.0, rng=rng())
    bare = fit_head(sums, whitening, gamma=1.0, ridge=1e-3, mix=0.0)
    expected = bare.adapted @ np.linalg.inv(whitening.matrix)
    assert learned_elsewhere() == pytest.approx(expected, abs=1e-4)
    assert np.linalg.norm(learned_elsewhere()) == pytest.approx(DIMENSIONS**0.5, rel=1e-4)


def test_without_own_events_the_source_answers() -> None:
    vectors, whitening = site(2)
    later = histories(vectors, 300, 5)
    source = Source(learned_elsewhere(), weight=500)
    head = fit_from(NOTHING, whitening, source, gamma=1.0, ridge=1e-3, mix=0.0)
    nothing = identity_head(whitening, gamma=1.0)
    assert error(head.directions(vectors), vectors, later) < 0.2 * error(
        nothing.directions(vectors), vectors, later
    )


def test_few_own_events_gain_by_a_source_and_many_do_not_lose_by_a_wrong_one() -> None:
    vectors, whitening = site(2)
    later = histories(vectors, 300, 5)
    settings = {"gamma": 1.0, "ridge": 1e-3, "mix": 0.0}

    def own(users: int) -> float:
        sums = collect(histories(vectors, users, 3), whitening.apply(vectors), gamma=1.0, rng=rng())
        return error(fit_head(sums, whitening, **settings).directions(vectors), vectors, later)

    def helped(users: int, source: Matrix) -> float:
        config = ScorerConfig(gamma=1.0, head=HeadConfig(ridge=1e-3, mix=0.0))
        head = head_from(Source(source, 300), config, as_events(histories(vectors, users, 3)), vectors)
        return error(head.directions(vectors), vectors, later)

    assert helped(20, learned_elsewhere()) < 0.5 * own(20)
    wrong = -learned_elsewhere()  # the own examples say that it explains nothing: it counts nothing
    assert helped(3000, wrong) == pytest.approx(own(3000), rel=0.2)
    assert helped(3000, learned_elsewhere()) == pytest.approx(own(3000), rel=0.2)


def test_a_source_that_knows_nothing_leaves_the_own_events() -> None:
    vectors, whitening = site(2)
    sums = collect(histories(vectors, 50, 3), whitening.apply(vectors), gamma=1.0, rng=rng())
    empty = np.zeros((DIMENSIONS, DIMENSIONS), np.float32)
    head = fit_from(sums, whitening, Source(empty, 1e-9), gamma=1.0, ridge=1e-3, mix=1.0)
    assert head.adapted == pytest.approx(
        fit_head(sums, whitening, gamma=1.0, ridge=1e-3, mix=1.0).adapted, abs=1e-3
    )
    alone = fit_from(NOTHING, whitening, Source(empty, 1), gamma=1.0, ridge=1e-3, mix=1.0)
    assert alone.adapted == pytest.approx(whitening.matrix)


def test_a_source_must_count() -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        Source(np.eye(2, dtype=np.float32), weight=0)


def test_a_setup_without_a_head_takes_usual_settings() -> None:
    vectors, _ = site(2)
    source = Source(learned_elsewhere(), weight=500)
    head = head_from(source, ScorerConfig(), as_events([]), vectors)
    assert head.gamma == 1.0
    assert np.isfinite(head.adapted).all()
