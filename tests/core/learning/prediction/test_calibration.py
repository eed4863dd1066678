"""Probabilities are those that data of a known answer was made with."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.learning.prediction.calibration import Pointwise, fit_pointwise, pairs

SCALES = np.array([4.0, 1.0, 2.0])


def world(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of taken and of other items; of all with the same points, sigmoid(<points, SCALES> - 2) are
    taken."""
    draw = np.random.default_rng(seed)
    points = draw.uniform(-1.0, 1.5, size=(count, 3))
    taken = draw.random(count) < 1 / (1 + np.exp(2 - points @ SCALES))
    return points[taken], points[~taken]


def of_taste(values: np.ndarray) -> np.ndarray:
    return np.column_stack([values, np.zeros((len(values), 2))])


def test_the_form_that_made_the_data_is_found() -> None:
    fitted = fit_pointwise(*world(20_000))
    assert fitted is not None
    assert [fitted.taste, fitted.neighbours, fitted.popularity] == pytest.approx(SCALES, abs=0.2)
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


def test_points_without_any_sense_tell_nothing_and_more_is_never_less_likely() -> None:
    draw = np.random.default_rng(2)
    same = fit_pointwise(draw.normal(size=(500, 3)), draw.normal(size=(500, 3)))
    assert same is not None
    assert same(np.diag([2.0, 2.0, 2.0])) == pytest.approx([0.5] * 3, abs=0.15)
    assert fit_pointwise(np.zeros((200, 3)), np.ones((200, 3))) == Pointwise(
        taste=0.0, neighbours=0.0, popularity=0.0, bias=0.0
    )


def test_what_speaks_against_an_item_is_left_out_and_the_rest_is_fitted_anew() -> None:
    taken, others = world(8_000)
    turned = np.array([1.0, -1.0, 1.0])
    fitted = fit_pointwise(taken * turned, others * turned)
    assert fitted is not None
    assert fitted.neighbours == 0.0
    assert fitted.taste > 3.0
    assert (fitted(taken * turned).mean() + 1 - fitted(others * turned).mean()) / 2 > 0.7


def test_perfect_points_ask_for_no_endless_scale() -> None:
    fitted = fit_pointwise(of_taste(np.ones(200)), of_taste(np.zeros(200)))
    assert fitted is not None
    assert fitted(of_taste(np.array([0.0, 1.0]))) == pytest.approx([0.0, 1.0], abs=0.1)
    assert np.isfinite(fitted.taste)


def test_few_pairs_are_no_calibration() -> None:
    assert fit_pointwise(of_taste(np.ones(99)), of_taste(np.zeros(200))) is None


def test_points_that_are_no_number_are_refused() -> None:
    with pytest.raises(InvalidVector, match="not finite"):
        fit_pointwise(of_taste(np.full(200, np.nan)), of_taste(np.zeros(200)))


def test_the_other_item_of_a_pair_is_new_to_the_user() -> None:
    part = np.array([[0.0, 1.0, 2.0, 3.0]] * 3, np.float32)
    cases = [Case(0, 1, (0, 2)), Case(1, 3, ()), Case(2, 0, (1, 2, 3))]
    taken, others = pairs([part, 2 * part, 3 * part], cases, np.random.default_rng(0))
    assert taken.tolist() == [[1.0, 2.0, 3.0]]
    assert others.tolist() == [[3.0, 6.0, 9.0]]
    assert pairs([part] * 3, cases[1:], np.random.default_rng(0))[0].shape == (0, 3)
