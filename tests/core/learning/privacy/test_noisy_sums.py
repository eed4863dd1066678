"""Noise that hides a person: the bill is added up anew, and what one user moves is bounded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.privacy.gaussian import delta_of, epsilon_of, mu_of, together
from llmrec_plugin.learning.privacy.noisy_sums import (
    GAMMA,
    ITEMS_PER_USER,
    SUM_BOUND,
    _bounded,
    private_counts,
    private_head,
)
from llmrec_plugin.learning.scorers.projection_head import user_states
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.types import Matrix

ITEMS, D = 60, 6


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def catalogue() -> Matrix:
    rows = rng(1).normal(size=(ITEMS, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def summed_up(mu: float, epsilon: float) -> float:
    """By how much the odds of N(mu, 1) exceed e^epsilon times those of N(0, 1), added up over a fine grid."""
    x = np.linspace(-30, 30 + mu, 600_001)
    with_user = np.exp(-((x - mu) ** 2) / 2)
    without = np.exp(-(x**2) / 2)
    over = np.maximum(0.0, with_user - math.exp(epsilon) * without)
    return float(over.sum() * (x[1] - x[0]) / math.sqrt(2 * math.pi))


@pytest.mark.parametrize(("mu", "epsilon"), [(0.3, 1.0), (1.0, 0.5), (1.0, 3.0), (2.5, 8.0), (0.1, 0.05)])
def test_the_bill_is_what_the_two_curves_say(mu: float, epsilon: float) -> None:
    assert delta_of(mu, epsilon) == pytest.approx(summed_up(mu, epsilon), rel=1e-4, abs=1e-12)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (2.0, 1e-5), (8.0, 1e-5)])
def test_the_noise_asked_for_keeps_to_the_promise_and_hardly_more(epsilon: float, delta: float) -> None:
    mu = mu_of(epsilon, delta)
    assert summed_up(mu, epsilon) == pytest.approx(delta, rel=1e-3)
    assert epsilon_of(mu, delta) == pytest.approx(epsilon, rel=1e-6)


def test_two_releases_cost_as_much_as_one_about_a_step_in_both_directions() -> None:
    assert together(0.3, 0.4) == pytest.approx(0.5)
    assert together() == epsilon_of(0.0, 1e-5) == delta_of(0.0, 1.0) == 0.0


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.inf, 1e-5), (1, 0), (1, 1)])
def test_a_promise_that_cannot_be_kept_is_no_promise(epsilon: float, delta: float) -> None:
    with pytest.raises(ConfigurationError, match="epsilon above 0"):
        mu_of(epsilon, delta)


@settings(max_examples=60, deadline=None)
@example(list(range(50)), [3, 4])
@given(st.lists(st.integers(0, ITEMS - 1), max_size=60), st.lists(st.integers(0, ITEMS - 1), max_size=20))
def test_no_user_moves_the_sums_by_more_than_the_bound(one: list[int], other: list[int]) -> None:
    whitened = fit_whitening(catalogue()).apply(catalogue())
    # The other has few enough targets for none to be drawn, so the two sums share their part exactly.
    with_one, without = _bounded([other, one], whitened, rng()), _bounded([other], whitened, rng())
    moved = math.sqrt(
        np.square(with_one.inputs - without.inputs).sum()
        + np.square(with_one.outputs - without.outputs).sum()
        + (with_one.examples - without.examples) ** 2
    )
    assert moved <= SUM_BOUND + 1e-4


def test_a_user_counts_for_so_many_items_and_for_each_once() -> None:
    users = np.r_[np.zeros(3 * ITEMS, np.int64), np.ones(2, np.int64)]
    items = np.r_[np.tile(np.arange(ITEMS), 3), [4, 4]]
    counts = private_counts(users, items, ITEMS, mu=1e6, rng=rng()).round()
    assert counts.sum() == ITEMS_PER_USER + 1
    assert counts[4] >= 1
    assert counts.max() <= 2


def test_counts_are_right_up_to_the_noise_and_what_nobody_took_mostly_counts_nothing() -> None:
    size, mu = 4_000, 1.0
    sigma = ITEMS_PER_USER**0.5 / mu
    users = np.arange(2_000)
    items = np.where(users < 1_500, 7, 9)
    counts = private_counts(users, items, size, mu=mu, rng=rng())
    assert counts[7] == pytest.approx(1_500, abs=5 * sigma)
    assert counts[9] == pytest.approx(500, abs=5 * sigma)
    rest = np.delete(counts, [7, 9])
    assert 0.015 < (rest > 0).mean() < 0.031  # beyond two standard deviations: 2.3 %
    assert private_counts(np.empty(0, np.int64), np.empty(0, np.int64), 3, mu=1e6, rng=rng()).tolist() == [
        0,
        0,
        0,
    ]


def walks(turn: Matrix, *, users: int) -> list[list[int]]:
    """Each user goes on to an item near where `turn` takes the last one."""
    vectors = catalogue()
    draw = rng(2)
    odds = np.exp(8.0 * (vectors @ turn @ vectors.T).astype(np.float64))
    odds /= odds.sum(axis=1, keepdims=True)
    found = []
    for _ in range(users):
        items = [int(draw.integers(ITEMS))]
        for _ in range(5):
            items.append(int(draw.choice(ITEMS, p=odds[items[-1]])))
        found.append(items)
    return found


def ranks(histories: list[list[int]], mu: float) -> float:
    """Mean place of the last item by a head that was learned from the others."""
    vectors = catalogue()
    whitening = fit_whitening(vectors)
    head = private_head(histories[200:], whitening.apply(vectors), whitening, mu=mu, rng=rng(5))
    places = []
    for *past, target in histories[:200]:
        user = user_states(head.directions(vectors[past]), gamma=GAMMA)[-1]
        scores = vectors @ user
        places.append(int((scores > scores[target]).sum()))
    return float(np.mean(places))


def test_many_users_are_heard_through_the_noise_and_few_are_not() -> None:
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    histories = walks(turn, users=3_200)
    identity = ranks(histories[:201], mu=1e-4)  # one user, endless noise: the whitening is left
    assert ranks(histories, mu=1.0) < 0.7 * identity
    whitening = fit_whitening(catalogue())
    head = private_head([[1, 2]], whitening.apply(catalogue()), whitening, mu=1e-4, rng=rng())
    assert np.corrcoef(head.adapted.ravel(), whitening.matrix.ravel())[0, 1] > 0.99


def test_nobody_with_a_past_leaves_a_head_of_noise_that_counts_nothing() -> None:
    whitening = fit_whitening(catalogue())
    head = private_head([[3], []], whitening.apply(catalogue()), whitening, mu=0.5, rng=rng(7))
    assert np.isfinite(head.adapted).all()
