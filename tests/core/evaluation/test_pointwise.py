"""Probabilities against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.evaluation.pointwise import area_under_curve, calibration, measures


def test_four_answers_worked_out_by_hand() -> None:
    # Said yes to the first and the second; one of them is right, and so is the no to the fourth.
    found = measures([True, False, True, False], [0.9, 0.8, 0.4, 0.1])
    assert found["accuracy"] == 0.5
    assert found["precision"] == 0.5
    assert found["recall"] == 0.5
    assert found["F1"] == 0.5
    # Of the four pairs of one that is true and one that is not, .9 wins both, .4 wins one.
    assert found["AUC"] == 0.75
    expected = -(math.log(0.9) + math.log(0.2) + math.log(0.4) + math.log(0.9)) / 4
    assert found["log-loss"] == pytest.approx(expected)


def test_a_probability_of_one_half_is_a_yes() -> None:
    assert measures([True], [0.5])["recall"] == 1.0


def test_what_cannot_be_measured_is_not_a_number() -> None:
    alike = measures([False, False], [0.1, 0.2])
    assert math.isnan(alike["AUC"])
    assert math.isnan(alike["precision"])
    assert math.isnan(alike["recall"])
    assert alike["accuracy"] == 1.0
    assert all(math.isnan(value) for value in measures([], []).values())


def test_being_certain_and_wrong_costs_much_but_not_everything() -> None:
    assert 20 < measures([True], [0.0])["log-loss"] < 21


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_the_area_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, int]]) -> None:
    yes = [score for label, score in rows if label]
    no = [score for label, score in rows if not label]
    labels, scores = np.array([label for label, _ in rows]), np.array([float(score) for _, score in rows])
    found = area_under_curve(labels, scores)
    if not (yes and no):
        assert math.isnan(found)
    else:
        wins = sum((one > other) + 0.5 * (one == other) for one in yes for other in no)
        assert found == pytest.approx(wins / (len(yes) * len(no)))


def test_what_was_promised_stands_beside_what_came_true() -> None:
    found = calibration([True, False, True, True], [0.1, 0.15, 0.95, 1.0])
    assert [(one["low"], one["count"], one["share"]) for one in found] == [(0.1, 2, 0.5), (0.9, 2, 1.0)]
    assert found[0]["mean"] == pytest.approx(0.125)
    uneven = calibration([True, False, True], [0.1, 0.2, 0.6], bins=4)
    assert [(one["low"], one["high"], one["count"]) for one in uneven] == [(0.0, 0.25, 2), (0.5, 0.75, 1)]
    assert calibration([], []) == []
