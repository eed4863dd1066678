"""Lists without a query, their reasons, and the floor of similarity."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.calibration import similarity_floor
from llmrec_plugin.ranking.explanation import Reason, explain
from llmrec_plugin.ranking.personal import PersonalWeights, rank_for_user
from llmrec_plugin.ranking.profile import Profile, declared_profile
from llmrec_plugin.types import ContributionCode, RankedItem, Vector

Neighbours = Mapping[str, Mapping[str, float]]

WEIGHTS = PersonalWeights(taste=0.3, neighbours=0.6, popularity=0.1)
KEYS = [f"k{number}" for number in range(12)]
RNG = np.random.default_rng(3)
CLOUD = {key: RNG.normal(size=8).astype(np.float32) for key in KEYS}
TASTE = Profile(keys=tuple("pqrst"), parts=RNG.normal(size=(5, 8)).astype(np.float32))


def at(degrees: float) -> Vector:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def rank(
    candidates: Sequence[str],
    *,
    profile: Profile | None = None,
    vectors: Mapping[str, Vector] | None = None,
    neighbours: Neighbours | None = None,
    prior: Mapping[str, float] | None = None,
    weights: PersonalWeights = WEIGHTS,
) -> list[RankedItem]:
    return rank_for_user(
        candidates,
        profile=profile,
        vectors=vectors or {},
        neighbours=neighbours or {},
        prior=prior or {},
        weights=weights,
    )


def test_each_source_is_scaled_by_its_range_and_named() -> None:
    ranked = rank(
        ["a", "b"],
        profile=declared_profile(at(0)),
        vectors={"a": at(0), "b": at(90)},
        neighbours={"a": {"p": 1.0, "q": 3.0}, "b": {"p": 2.0}},
        prior={"a": 10.0, "b": 30.0},
    )
    # taste: cosines 1 and 0 lie 0.3 apart around their mean; neighbours: of at most 4; popularity: 0 and 1.
    assert [entry.key for entry in ranked] == ["a", "b"]
    assert ranked[0].contributions == pytest.approx(
        {"taste": 0.15, "neighbours:p": 0.15, "neighbours:q": 0.45, "popularity": 0.0}
    )
    assert ranked[1].contributions == pytest.approx({"taste": -0.15, "neighbours:p": 0.3, "popularity": 0.1})


def test_learned_weights_are_points_per_unit_of_each_source() -> None:
    ranked = rank(
        ["a", "b", "new"],
        profile=declared_profile(at(0)),
        vectors={"a": at(0), "b": at(90)},
        neighbours={"a": {"p": 0.5}},
        prior={"a": 10.0, "b": 30.0},
        weights=PersonalWeights(taste=2.0, neighbours=4.0, popularity=0.1, learned=True, average=15.0),
    )
    # taste: 2 for each cosine above the mean of .5; neighbours: 4 times its strength; popularity: a tenth
    # of what is above the least popular, where what is new counts as 15.
    by_key = {entry.key: entry.contributions for entry in ranked}
    assert by_key["a"] == pytest.approx({"taste": 1.0, "neighbours:p": 2.0, "popularity": 0.0}, abs=1e-6)
    assert by_key["b"] == pytest.approx({"taste": -1.0, "popularity": 2.0}, abs=1e-6)
    assert by_key["new"] == pytest.approx({"popularity": 0.5}, abs=1e-6)


def test_with_learned_weights_alone_what_is_new_counts_as_nothing() -> None:
    weights = PersonalWeights(taste=0.0, neighbours=0.0, popularity=0.1, learned=True)
    ranked = rank(["a", "new"], prior={"a": 10.0}, weights=weights)
    assert [(entry.key, entry.score) for entry in ranked] == [("a", 0.0), ("new", -1.0)]


def test_without_history_the_order_is_that_of_the_prior() -> None:
    ranked = rank(["flop", "hit", "middle"], prior={"flop": 0.1, "hit": 0.9, "middle": 0.5})
    assert [entry.key for entry in ranked] == ["hit", "middle", "flop"]


def test_a_new_item_stands_between_the_popular_and_the_unpopular() -> None:
    ranked = rank(["flop", "hit", "new"], prior={"flop": 0.1, "hit": 0.9})
    assert [entry.key for entry in ranked] == ["hit", "new", "flop"]


def test_popularity_that_does_not_differ_moves_nothing() -> None:
    ranked = rank(["b", "a"], prior={"a": 0.7, "b": 0.7})
    assert [(entry.key, entry.score) for entry in ranked] == [("a", 0.0), ("b", 0.0)]


def test_nothing_known_at_all_gives_the_candidates_by_key() -> None:
    assert [entry.key for entry in rank(["c", "a", "b"])] == ["a", "b", "c"]


def test_no_candidates_give_an_empty_list() -> None:
    assert rank([], profile=TASTE, vectors=CLOUD, neighbours={"a": {"p": 1.0}}, prior={"a": 1.0}) == []


def test_a_candidate_named_twice_is_ranked_once() -> None:
    assert [entry.key for entry in rank(["a", "b", "a"])] == ["a", "b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prior_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(InvalidVector):
        rank(["a", "b"], prior={"a": 0.5, "b": bad})


@given(
    candidates=st.lists(st.sampled_from(KEYS), unique=True),
    neighbours=st.dictionaries(
        st.sampled_from(KEYS), st.dictionaries(st.sampled_from("pqr"), st.floats(-2, 5)), max_size=8
    ),
    prior=st.dictionaries(st.sampled_from(KEYS), st.floats(0, 1)),
    profile=st.sampled_from([None, TASTE]),
    weights=st.builds(
        PersonalWeights, taste=st.floats(0, 1), neighbours=st.floats(0, 1), popularity=st.floats(0, 1)
    ),
    seed=st.integers(0, 100),
)
def test_any_list_is_explained_in_full_stable_and_independent_of_the_order_of_candidates(
    candidates: list[str],
    neighbours: Neighbours,
    prior: dict[str, float],
    profile: Profile | None,
    weights: PersonalWeights,
    seed: int,
) -> None:
    def ranked(keys: list[str]) -> list[RankedItem]:
        return rank(keys, profile=profile, vectors=CLOUD, neighbours=neighbours, prior=prior, weights=weights)

    result = ranked(candidates)
    assert result == sorted(result, key=lambda entry: (-entry.score, entry.key))
    assert {entry.key for entry in result} == set(candidates)
    for entry in result:
        assert entry.score == pytest.approx(sum(entry.contributions.values()), abs=1e-9)
    again = ranked(random.Random(seed).sample(candidates, len(candidates)))
    assert {entry.key: entry.score for entry in again} == pytest.approx(
        {entry.key: entry.score for entry in result}, abs=1e-9
    )


NAMES = ("text", "vector", "taste", "neighbours", "popularity")


def reasons(**contributions: float) -> list[Reason]:
    named = {name.replace("__", ":"): value for name, value in contributions.items()}
    return explain(RankedItem(key="x", score=sum(named.values()), contributions=named), NAMES)


def test_the_two_strongest_causes_come_with_their_share_of_what_speaks_for_the_item() -> None:
    assert reasons(text=0.125, taste__p=0.5, neighbours__q=0.375, diversity=-0.4) == [
        Reason(code=ContributionCode("taste", "p"), share=0.5),
        Reason(code=ContributionCode("neighbours", "q"), share=0.375),
    ]


def test_a_third_cause_is_not_told() -> None:
    assert len(reasons(text=0.4, vector=0.3, popularity=0.3)) == 2


def test_a_cause_under_fifteen_per_cent_is_no_reason() -> None:
    assert reasons(text=0.86, popularity=0.14) == [Reason(code=ContributionCode("text"), share=0.86)]
    assert [reason.code.name for reason in reasons(text=0.85, popularity=0.15)] == ["text", "popularity"]
    # fifteen are enough, for one cause and for two of one code that have them together only
    one, other = reasons(neighbours__a=0.5, neighbours__b=0.15, unknown=0.35)
    assert (one.code.source, other.code.source) == ("a", "b")
    text, together = reasons(text=17.0, neighbours__a=1.5, neighbours__b=1.5)
    assert (text.code.name, together.code.source) == ("text", "a")


def test_a_share_is_one_of_what_speaks_for_the_item_however_much_that_is() -> None:
    assert [reason.share for reason in reasons(text=3.0, taste__p=1.0)] == [0.75, 0.25]


def test_many_small_causes_of_one_code_are_told_by_the_strongest_of_them() -> None:
    small = {
        f"neighbours__{number}": 0.05 + number / 100 for number in range(6)
    }  # 0.05 … 0.10, together 0.45
    first, second = reasons(**small, popularity=0.4, text=0.1, taste__p=0.05)
    assert (*first.code, first.share) == ("neighbours", "5", pytest.approx(0.45))
    assert (second.code.name, second.share) == ("popularity", pytest.approx(0.4))


def test_a_cause_that_is_told_already_is_not_told_by_its_small_parts_too() -> None:
    assert [
        r.code.source
        for r in reasons(neighbours__a=0.5, neighbours__b=0.1, neighbours__c=0.1, popularity=0.1)
    ] == ["a"]


def test_small_causes_of_different_codes_give_no_reason_at_all() -> None:
    assert reasons(unknown=0.7, text=0.1, vector=0.1, popularity=0.1) == []


def test_what_speaks_against_an_item_is_no_reason() -> None:
    assert reasons(taste=-0.5, diversity=-0.1) == []
    assert reasons(text=0.0) == []
    assert explain(RankedItem(key="x", score=0.0, contributions={}), NAMES) == []


def test_causes_of_equal_strength_come_in_order_of_name() -> None:
    assert [reason.code.name for reason in reasons(vector=0.4, text=0.4)] == ["text", "vector"]


def test_a_key_may_hold_a_colon() -> None:
    item = RankedItem(key="x", score=1.0, contributions={"neighbours:course:7": 1.0})
    assert explain(item, NAMES) == [Reason(code=ContributionCode("neighbours", "course:7"), share=1.0)]


def test_a_contribution_of_an_unknown_name_counts_but_is_not_told() -> None:
    assert reasons(campaign=0.75, text=0.25) == [Reason(code=ContributionCode("text"), share=0.25)]


def test_the_floor_lies_where_nineteen_of_twenty_nonsense_queries_end() -> None:
    nonsense = np.linspace(0.0, 0.4, 101)
    assert similarity_floor(nonsense, np.full(20, 0.8)) == pytest.approx(0.38)


def test_the_floor_gives_way_to_nine_of_ten_true_matches() -> None:
    nonsense = np.linspace(0.2, 0.4, 101)
    matches = np.linspace(0.3, 0.8, 51)  # a tenth of them lies below 0.35
    assert similarity_floor(nonsense, matches) == pytest.approx(0.35)


def test_there_is_no_floor_where_it_would_let_most_nonsense_pass() -> None:
    nonsense = np.linspace(0.2, 0.4, 101)
    matches = np.linspace(0.2, 0.7, 51)  # a tenth of them lies below 0.25, and only a quarter of the nonsense
    assert similarity_floor(nonsense, matches) is None


def test_there_is_no_floor_on_few_samples() -> None:
    nine, ten, many = (np.linspace(0.0, 0.4, count) for count in (9, 10, 50))
    assert similarity_floor(ten, np.full(10, 0.8)) == pytest.approx(0.38)
    assert similarity_floor(nine, np.full(50, 0.8)) is None
    assert similarity_floor(many, np.full(9, 0.8)) is None
    assert similarity_floor(np.array([]), np.array([])) is None


def test_a_floor_refuses_at_least_half_of_the_nonsense_and_lets_pass_what_lies_on_it() -> None:
    matches = np.full(20, 0.3)  # the floor can lie no higher
    assert similarity_floor(np.repeat([0.1, 0.5], 10), matches) == pytest.approx(0.3)
    assert similarity_floor(np.repeat([0.1, 0.3, 0.5], [8, 4, 8]), matches) is None  # refuses 8 of 20


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_floor_refuses_cosines_that_are_not_finite(bad: float) -> None:
    with pytest.raises(InvalidVector, match="floor"):
        similarity_floor(np.array([0.1, bad]), np.full(20, 0.8))
    with pytest.raises(InvalidVector, match="floor"):
        similarity_floor(np.full(20, 0.1), np.array([0.8, bad]))
