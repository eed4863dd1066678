"""Methods side by side: small values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec_plugin.evaluation.comparison import best_of, contrast, mean, table, values_of

NAN = math.nan


def values(*numbers: float) -> dict[str, np.ndarray]:
    return {"NDCG@10": np.array(numbers)}


def test_ranks_are_worth_what_their_metric_says_and_mrr_looks_a_hundred_places_down() -> None:
    found = values_of(np.array([1.0, 3.0, 50.0, 101.0, NAN]))
    assert found["NDCG@10"].tolist() == pytest.approx([1.0, 0.5, 0.0, 0.0, NAN], nan_ok=True)
    assert found["HR@10"].tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0, NAN], nan_ok=True)
    assert found["Recall@10"] is found["HR@10"]  # with one target each
    assert found["MRR"].tolist() == pytest.approx([1.0, 1 / 3, 0.02, 0.0, NAN], nan_ok=True)


def test_a_mean_leaves_out_what_was_not_measured() -> None:
    assert mean(np.array([1.0, NAN, 0.0])) == 0.5
    assert math.isnan(mean(np.array([NAN])))


def test_a_table_may_be_of_a_slice() -> None:
    methods = {"a": values(1.0, 0.0), "b": values(0.0, NAN)}
    assert table(methods)["a"] == {"NDCG@10": 0.5}
    later = table(methods, where=np.array([False, True]))
    assert later["a"] == {"NDCG@10": 0.0}
    assert math.isnan(later["b"]["NDCG@10"])


def test_the_best_is_the_first_of_equals_among_those_that_were_measured() -> None:
    methods = {"a": values(NAN), "b": values(0.5), "c": values(0.5)}
    assert best_of(methods, ["a", "b", "c"]) == "b"
    assert best_of({**methods, "d": values(0.75)}, ["b", "d", "c"]) == "d"
    assert best_of(methods, ["a"]) is None


def test_a_contrast_pairs_the_cases_that_both_were_measured_on() -> None:
    methods = {"a": values(1.0, 1.0, NAN, 0.5), "b": values(0.5, 0.5, 1.0, 0.0)}
    found = contrast(methods, "a", "b", groups=[1, 2, 3, 4])
    # Three cases, each better by a half: no luck of the draw can change that.
    assert (found.difference, found.low, found.high, found.cases) == (0.5, 0.5, 0.5, 3)
    assert found.ratio == pytest.approx(2.5)


def test_a_ratio_to_nothing_is_no_number() -> None:
    found = contrast({"a": values(1.0), "b": values(0.0)}, "a", "b", groups=[1])
    assert found.difference == 1.0
    assert math.isnan(found.ratio)
