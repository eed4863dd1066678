"""Probabilities are those that data of a known answer was made with."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.learning.pointwise import Pointwise, fit_pointwise, pairs


def world(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of taken and of other items; of all with one score, sigmoid(4 * score - 2) are taken."""
    draw = np.random.default_rng(seed)
    scores = draw.uniform(-1.0, 2.0, size=count)
    taken = draw.random(count) < 1 / (1 + np.exp(2 - 4 * scores))
    return scores[taken], scores[~taken]


def test_the_form_that_made_the_data_is_found() -> None:
    fitted = fit_pointwise(*world(20_000))
    assert fitted is not None
    assert fitted.scale == pytest.approx(4.0, abs=0.2)
    assert fitted.bias == pytest.approx(-2.0, abs=0.15)


def test_of_a_hundred_items_given_a_probability_as_many_are_taken() -> None:
    fitted = fit_pointwise(*world(8_000))
    assert fitted is not None
    taken, others = world(40_000, seed=1)
    told = fitted(np.concatenate([taken, others]))
    is_taken = np.repeat([1.0, 0.0], [len(taken), len(others)])
    for low in np.arange(0.0, 1.0, 0.1):
        part = (told >= low) & (told < low + 0.1)
        assert is_taken[part].mean() == pytest.approx(told[part].mean(), abs=0.04)


def test_scores_without_any_sense_tell_nothing_and_a_better_score_is_never_less_likely() -> None:
    draw = np.random.default_rng(2)
    same = fit_pointwise(draw.normal(size=500), draw.normal(size=500))
    assert same is not None
    assert same([-2.0, 2.0]) == pytest.approx([0.5, 0.5], abs=0.15)
    assert fit_pointwise(np.zeros(200), np.ones(200)) == Pointwise(scale=0.0, bias=0.0)
    assert fit_pointwise(np.ones(200), np.ones(200)) == Pointwise(scale=0.0, bias=pytest.approx(0.0))


def test_perfect_scores_ask_for_no_endless_scale() -> None:
    fitted = fit_pointwise(np.ones(200), np.zeros(200))
    assert fitted is not None
    assert fitted([0.0, 1.0]) == pytest.approx([0.0, 1.0], abs=0.1)
    assert np.isfinite(fitted.scale)


def test_few_pairs_are_no_calibration() -> None:
    assert fit_pointwise(np.ones(99), np.zeros(200)) is None


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidVector, match="not finite"):
        fit_pointwise([np.nan] * 200, np.zeros(200))


def test_the_other_item_of_a_pair_is_new_to_the_user() -> None:
    scores = np.array([[0.0, 1.0, 2.0, 3.0]] * 3, np.float32)
    cases = [Case(0, 1, (0, 2)), Case(1, 3, ()), Case(2, 0, (1, 2, 3))]
    taken, others = pairs(scores, cases, np.random.default_rng(0))
    assert taken.tolist() == [1.0]
    assert others.tolist() == [3.0]
