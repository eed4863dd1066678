"""Fusion of the legs: known sums, and what must hold of any input."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.fusion import complete, linear, reciprocal_rank
from llmrec_plugin.ranking.vectors import cosines_to
from llmrec_plugin.types import Hit, RankedItem

Fuse = Callable[..., list[RankedItem]]

HALF = {"text": 0.5, "vector": 0.5}

hits = st.lists(
    st.builds(
        Hit,
        st.sampled_from("abcdefghij"),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=12,
)
legs_of_any_kind = st.fixed_dictionaries({"text": hits, "vector": hits})
weights_of_any_kind = st.fixed_dictionaries(
    {"text": st.floats(0, 10), "vector": st.floats(0, 10)},
)


def order(items: Sequence[RankedItem]) -> list[str]:
    return [item.key for item in items]


def scores(items: Sequence[RankedItem]) -> dict[str, float]:
    return {item.key: item.score for item in items}


def test_linear_brings_each_leg_to_0_to_1_and_adds_by_weight() -> None:
    legs = {
        "text": [Hit("a", 30.0), Hit("b", 20.0), Hit("c", 10.0)],  # 1, 0.5, 0
        "vector": [Hit("c", 0.9), Hit("a", 0.7), Hit("d", 0.5)],  # 1, 0.5, 0
    }
    ranked = linear(legs, {"text": 0.25, "vector": 0.75})
    assert order(ranked) == ["c", "a", "b", "d"]
    assert scores(ranked) == pytest.approx({"c": 0.75, "a": 0.25 + 0.375, "b": 0.125, "d": 0.0})
    assert ranked[1].contributions == pytest.approx({"text": 0.25, "vector": 0.375})


def test_an_item_has_no_contribution_from_a_leg_that_did_not_find_it() -> None:
    ranked = linear({"text": [Hit("a", 2.0), Hit("b", 1.0)], "vector": [Hit("a", 0.5)]}, HALF)
    assert set(ranked[1].contributions) == {"text"}


def test_a_leg_whose_scores_are_all_equal_counts_one_for_each_hit() -> None:
    ranked = linear({"text": [Hit("b", 4.0), Hit("a", 4.0)]}, {"text": 0.5})
    assert scores(ranked) == {"a": 0.5, "b": 0.5}


def test_scores_at_the_ends_of_the_number_line_do_not_overflow() -> None:
    largest = float(np.finfo(np.float64).max)
    ranked = linear({"text": [Hit("a", largest), Hit("b", 0.0), Hit("c", -largest)]}, {"text": 1.0})
    assert scores(ranked) == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_reciprocal_rank_counts_a_first_place_its_full_weight_and_falls_with_rank() -> None:
    legs = {"text": [Hit("a", 9.0), Hit("b", 8.0)], "vector": [Hit("b", 0.9)]}
    ranked = reciprocal_rank(legs, {"text": 0.4, "vector": 0.6}, k=9)
    # (9 + 1) / (9 + 2) of the text weight for the second place, all of the vector weight for the first.
    assert ranked[0].contributions == pytest.approx({"text": 0.4 * 10 / 11, "vector": 0.6})
    assert scores(ranked)["a"] == pytest.approx(0.4)
    usual = reciprocal_rank({"text": [Hit("a", 9.0), Hit("b", 8.0)]}, {"text": 1.0})
    assert scores(usual)["b"] == pytest.approx(61 / 62)  # k is 60 unless it is given


def test_reciprocal_rank_ranks_equal_scores_of_a_leg_by_key() -> None:
    ranked = reciprocal_rank({"text": [Hit("b", 9.0), Hit("a", 9.0)]}, {"text": 1.0}, k=9)
    assert scores(ranked) == pytest.approx({"a": 1.0, "b": 10 / 11})


def test_reciprocal_rank_looks_at_ranks_and_not_at_scores() -> None:
    near = reciprocal_rank({"text": [Hit("a", 9.0), Hit("b", 8.9)]}, {"text": 1.0})
    far = reciprocal_rank({"text": [Hit("a", 9.0), Hit("b", -8.9)]}, {"text": 1.0})
    assert near == far


@pytest.mark.parametrize("fuse", [linear, reciprocal_rank])
def test_no_hits_give_an_empty_list(fuse: Fuse) -> None:
    assert fuse({}, {}) == []
    assert fuse({"text": (), "vector": ()}, HALF) == []


@pytest.mark.parametrize("fuse", [linear, reciprocal_rank])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused_by_name_of_the_leg(fuse: Fuse, bad: float) -> None:
    with pytest.raises(InvalidVector, match="vector leg"):
        fuse({"text": [Hit("a", 1.0)], "vector": [Hit("b", 1.0), Hit("a", bad)]}, HALF)


@pytest.mark.parametrize("fuse", [linear, reciprocal_rank])
@given(legs=legs_of_any_kind, weights=weights_of_any_kind)
def test_contributions_sum_to_the_score(
    fuse: Fuse, legs: Mapping[str, list[Hit]], weights: Mapping[str, float]
) -> None:
    for item in fuse(legs, weights):
        assert item.score == pytest.approx(sum(item.contributions.values()))
        assert 0 <= item.score <= sum(weights.values()) * (1 + 1e-12)


@pytest.mark.parametrize("fuse", [linear, reciprocal_rank])
@given(legs=legs_of_any_kind)
def test_every_candidate_appears_once_best_first_and_equals_stand_in_order_of_key(
    fuse: Fuse, legs: Mapping[str, list[Hit]]
) -> None:
    ranked = fuse(legs, HALF)
    assert sorted(order(ranked)) == sorted({hit.key for found in legs.values() for hit in found})
    assert ranked == sorted(ranked, key=lambda item: (-item.score, item.key))


@pytest.mark.parametrize("fuse", [linear, reciprocal_rank])
@given(legs=legs_of_any_kind, seed=st.integers(0, 1000))
def test_the_order_in_which_hits_arrive_does_not_matter(
    fuse: Fuse, legs: Mapping[str, list[Hit]], seed: int
) -> None:
    shuffled = {name: random.Random(seed).sample(found, len(found)) for name, found in legs.items()}
    assert fuse(shuffled, HALF) == fuse(legs, HALF)


@given(
    values=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-1000, 1000), min_size=1),
    factor=st.floats(0.01, 100),
    shift=st.floats(-100, 100),
)
def test_linear_does_not_care_about_the_scale_of_a_leg(
    values: dict[str, int], factor: float, shift: float
) -> None:
    plain = linear({"text": [Hit(key, value) for key, value in values.items()]}, {"text": 1.0})
    moved = linear(
        {"text": [Hit(key, value * factor + shift) for key, value in values.items()]}, {"text": 1.0}
    )
    assert scores(moved) == pytest.approx(scores(plain), abs=1e-9)


def test_complete_gives_text_hits_their_cosine() -> None:
    legs = {"text": [Hit("b", 5.0), Hit("c", 4.0), Hit("unknown", 3.0)], "vector": [Hit("c", 0.3)]}
    completed = complete(legs, {"b": 0.6, "c": 0.1, "elsewhere": 1.0})
    assert completed["text"] == legs["text"]
    # c keeps the score of its leg, b is added, an item without a cosine is not.
    assert completed["vector"] == [Hit("b", 0.6), Hit("c", 0.3)]


def test_complete_leaves_legs_alone_when_nothing_is_missing() -> None:
    legs = {"text": [Hit("a", 1.0)], "vector": [Hit("a", 0.5)]}
    assert complete(legs, {"a": 1.0}) == legs
    assert complete({}, {"a": 1.0}) == {}


def test_cosines_do_not_depend_on_lengths() -> None:
    """Stored vectors are rounded to half precision, so their length is only nearly 1."""
    vectors: dict[str, np.ndarray] = {"a": np.array([0, 0.5], np.float16), "b": np.array([3, 4], np.float32)}
    found = cosines_to(np.array([0, 3.0], np.float32), ["b", "a", "unknown", "a"], vectors)
    assert found == pytest.approx({"a": 1.0, "b": 0.8})
    assert cosines_to(np.array([0, 3.0], np.float32), ["unknown"], vectors) == {}


def test_cosines_to_a_query_of_another_encoder_are_refused() -> None:
    with pytest.raises(InvalidVector, match="two encoders"):
        cosines_to(np.ones(3, np.float32), ["a"], {"a": np.ones(2, np.float32)})
