"""Metrics against values derived by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.evaluation.metrics import condensed_ndcg, judged, ndcg, recall, reciprocal_rank

Metric = Callable[..., float]

GRADES = {"a": 3, "b": 1, "c": 0, "d": 2}
# Gains 2^g - 1: a 7, b 1, c 0, d 3. Discounts log2(rank + 1): 1, 1.58496, 2, 2.32193.
IDEAL = 7 / 1 + 3 / math.log2(3) + 1 / 2  # a, d, b: 9.39279


def test_ndcg_of_a_hand_derived_ranking() -> None:
    # x is unjudged and takes the first place: b at 2, a at 3, d at 4.
    gained = 1 / math.log2(3) + 7 / 2 + 3 / math.log2(5)
    assert ndcg(["x", "b", "a", "d"], GRADES, k=10) == pytest.approx(gained / IDEAL)
    assert gained / IDEAL == pytest.approx(0.57735, abs=1e-5)


def test_ndcg_looks_no_further_than_k() -> None:
    assert ndcg(["b", "a", "d"], GRADES, k=1) == pytest.approx(1 / 7)


def test_the_ideal_is_cut_at_k_as_well() -> None:
    assert ndcg(["a"], GRADES, k=1) == 1.0


def test_the_condensed_variant_strikes_what_nobody_judged() -> None:
    assert condensed_ndcg(["x", "a", "y", "d", "z", "b"], GRADES, k=3) == pytest.approx(1.0)
    assert condensed_ndcg(["x", "y"], GRADES, k=3) == 0.0


def test_reciprocal_rank_is_that_of_the_first_relevant_item() -> None:
    assert reciprocal_rank(["x", "c", "b", "a"], GRADES, k=10) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x", "c", "b"], GRADES, k=2) == 0.0


def test_recall_is_the_share_of_relevant_items_found() -> None:
    assert recall(["a", "x", "c", "b"], GRADES, k=3) == pytest.approx(1 / 3)
    assert recall(["a", "x", "c", "b"], GRADES, k=4) == pytest.approx(2 / 3)


def test_judged_is_the_share_of_places_that_anyone_judged() -> None:
    assert judged(["a", "x", "c", "y"], GRADES, k=4) == 0.5
    assert judged(["a"], GRADES, k=10) == 1.0


@pytest.mark.parametrize("metric", [ndcg, condensed_ndcg, reciprocal_rank, recall])
@pytest.mark.parametrize("grades", [{}, {"a": 0}])
def test_without_a_relevant_item_nothing_can_be_measured(metric: Metric, grades: dict[str, int]) -> None:
    assert math.isnan(metric(["a", "b"], grades, k=10))


@pytest.mark.parametrize("metric", [ndcg, condensed_ndcg, reciprocal_rank, recall])
def test_an_empty_ranking_is_measured_and_bad(metric: Metric) -> None:
    assert metric([], GRADES, k=10) == 0.0


def test_how_much_of_an_empty_ranking_was_judged_cannot_be_measured() -> None:
    assert math.isnan(judged([], GRADES, k=10))


@pytest.mark.parametrize("metric", [ndcg, condensed_ndcg, reciprocal_rank, recall, judged])
@given(
    ranking=st.lists(st.sampled_from("abcdefgh"), unique=True),
    grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)),
    k=st.integers(1, 10),
)
def test_every_metric_lies_between_0_and_1(
    metric: Metric, ranking: list[str], grades: dict[str, int], k: int
) -> None:
    value = metric(ranking, grades, k=k)
    assert math.isnan(value) or 0 <= value <= 1 + 1e-12


@given(grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)), k=st.integers(1, 10))
def test_the_order_of_grades_is_the_best_there_is(grades: dict[str, int], k: int) -> None:
    best = ndcg(sorted(grades, key=lambda key: -grades[key]), grades, k=k)
    assert math.isnan(best) or best == pytest.approx(1.0)
