"""The stages: what each adds, and what none may break."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.fusion import linear
from llmrec_plugin.ranking.items import add
from llmrec_plugin.ranking.profile import Profile, declared_profile
from llmrec_plugin.ranking.ranker import Ranker
from llmrec_plugin.ranking.stages import Cap, Diversity, Neighbours, Prior, Stage, Taste
from llmrec_plugin.types import Hit, RankedItem, Vector


def item(key: str, score: float) -> RankedItem:
    return RankedItem(key=key, score=score, contributions={"text": score})


def vector(*numbers: float) -> Vector:
    return np.array(numbers, dtype=np.float32)


def at(degrees: float) -> Vector:
    return vector(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


KEYS = [f"k{number}" for number in range(12)]
RNG = np.random.default_rng(7)
CLOUD = {key: RNG.normal(size=8).astype(np.float32) for key in KEYS[:10]}  # two have no vector
TASTE = Profile(
    keys=tuple("pqrst"), parts=RNG.normal(size=(5, 8)).astype(np.float32), disliked=frozenset("s")
)

items_of_any_kind = st.dictionaries(
    st.sampled_from(KEYS), st.floats(-1e3, 1e3) | st.sampled_from([0.0, 0.5]), max_size=12
).map(lambda scores: [item(key, score) for key, score in scores.items()])
strengths = st.floats(0, 2)

stages_of_any_kind = st.one_of(
    st.builds(Taste, st.just(TASTE), st.just(CLOUD), strengths),
    st.builds(Diversity, st.just(CLOUD), strengths, st.integers(0, 15)),
    st.builds(
        Neighbours,
        st.dictionaries(
            st.sampled_from(KEYS), st.dictionaries(st.sampled_from("pqr"), st.floats(-5, 5)), max_size=6
        ),
        strengths,
    ),
    st.builds(
        Cap,
        st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from("ab"), max_size=2), max_size=8),
        st.integers(1, 3),
        st.integers(0, 6),
    ),
    st.builds(Prior, st.dictionaries(st.sampled_from(KEYS), st.floats(0, 1)), strengths),
)


@given(items=items_of_any_kind, stages=st.lists(stages_of_any_kind, max_size=5))
def test_contributions_sum_to_the_score_after_any_stages(
    items: list[RankedItem], stages: list[Stage]
) -> None:
    ranked: Sequence[RankedItem] = items
    for stage in stages:
        ranked = stage(ranked)
    assert sorted(entry.key for entry in ranked) == sorted(entry.key for entry in items)
    for entry in ranked:
        assert entry.score == pytest.approx(sum(entry.contributions.values()), abs=1e-9)


@given(items=items_of_any_kind, stage=stages_of_any_kind, seed=st.integers(0, 1000))
def test_the_order_of_candidates_does_not_matter(items: list[RankedItem], stage: Stage, seed: int) -> None:
    shuffled = random.Random(seed).sample(items, len(items))
    one = {entry.key: entry.score for entry in stage(items)}
    assert {entry.key: entry.score for entry in stage(shuffled)} == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize(
    "stage",
    [
        Taste(TASTE, CLOUD, 0.0),
        Diversity(CLOUD, 0.0, 5),
        Neighbours({"k1": {"p": 1.0}}, 0.0),
        Prior({"k1": 1.0}, 0.0),
    ],
)
@given(items=items_of_any_kind)
def test_strength_zero_changes_nothing(stage: Stage, items: list[RankedItem]) -> None:
    assert stage(items) == items


@pytest.mark.parametrize(
    "stage", [Taste(TASTE, CLOUD, 1.0), Diversity(CLOUD, 1.0, 5), Neighbours({}, 1.0), Prior({}, 1.0)]
)
def test_an_empty_list_stays_empty(stage: Stage) -> None:
    assert stage([]) == []


def test_adding_to_a_name_that_is_there_sums_it_up() -> None:
    twice = add(item("a", 1.0), {"text": 0.5, "vector": 0.25})
    assert twice == RankedItem(key="a", score=1.75, contributions={"text": 1.5, "vector": 0.25})


def test_taste_puts_best_and_worst_candidate_its_strength_apart_and_gives_nothing_on_the_whole() -> None:
    taste = Taste(declared_profile(at(0)), {"near": at(0), "middle": at(60), "far": at(120)}, 0.3)
    # cosines 1, 0.5, -0.5; mean 1/3; range 1.5
    ranked = taste([item("near", 0.0), item("middle", 0.0), item("far", 0.0)])
    assert [entry.contributions["taste"] for entry in ranked] == pytest.approx(
        [0.3 * (2 / 3) / 1.5, 0.3 * (1 / 6) / 1.5, 0.3 * (-5 / 6) / 1.5], abs=1e-6
    )


def test_taste_names_the_three_largest_parts_of_each_item() -> None:
    axes = np.eye(5, dtype=np.float32)
    profile = Profile(keys=("p", "q", "r", "s", "t"), parts=axes / np.float32(math.sqrt(5)))
    candidates = {"a": axes[0] + axes[3], "b": axes[1]}
    first, second = Taste(profile, candidates, 1.0)([item("a", 0.0), item("b", 0.0)])
    # Against the mean of the two, a gains by p and s and loses by q; r and t tell nothing.
    assert {"taste:p", "taste:s", "taste"} < set(first.contributions)
    assert first.contributions["taste:p"] == pytest.approx(first.contributions["taste:s"])
    assert second.contributions["taste:q"] > 0
    assert len([name for name in first.contributions if name.startswith("taste:")]) == 3
    assert first.score - second.score == pytest.approx(1.0, abs=1e-6)


def test_the_parts_that_taste_names_are_the_largest_of_all() -> None:
    rng = np.random.default_rng(11)
    past = tuple(f"p{number}" for number in range(300))
    profile = Profile(keys=past, parts=rng.normal(size=(300, 8)).astype(np.float32))
    items = [item(key, 0.0) for key in CLOUD]
    whole = Taste(profile, CLOUD, 1.0, named=None)(items)
    for told, full in zip(Taste(profile, CLOUD, 1.0)(items), whole, strict=True):
        parts = {name: value for name, value in full.contributions.items() if name != "text"}
        named = set(told.contributions) - {"text", "taste"}
        assert named == set(sorted(parts, key=lambda name: -parts[name])[:3])
        assert told.score == pytest.approx(full.score, abs=1e-6)


def test_taste_of_few_past_items_leaves_no_rest() -> None:
    profile = Profile(keys=("p", "q"), parts=np.stack([at(0), at(90)]) / np.float32(math.sqrt(2)))
    ranked = Taste(profile, {"a": at(10), "b": at(90)}, 1.0)([item("a", 0.0), item("b", 0.0)])
    assert set(ranked[0].contributions) == {"text", "taste:p", "taste:q"}


def test_taste_pushes_a_dismissed_kind_of_item_below_its_equals() -> None:
    away = Profile(keys=("gone",), parts=-at(0)[None, :], disliked=frozenset({"gone"}))
    ranked = Taste(away, {"like": at(5), "other": at(80)}, 0.2)([item("like", 1.0), item("other", 1.0)])
    assert ranked[0].score < 1.0 < ranked[1].score


def test_taste_treats_an_item_without_a_vector_as_average() -> None:
    taste = Taste(declared_profile(at(0)), {"near": at(0), "far": at(180)}, 0.5)
    ranked = taste([item("near", 0.0), item("unknown", 0.0), item("far", 0.0)])
    assert [entry.score for entry in ranked] == pytest.approx([0.25, 0.0, -0.25])


@pytest.mark.parametrize(
    "vectors", [{}, {"a": at(10)}, {"a": at(10), "b": at(10)}, {"a": at(10), "b": at(10.0001)}]
)
def test_taste_says_nothing_where_candidates_do_not_differ(vectors: dict[str, Vector]) -> None:
    items = [item("a", 1.0), item("b", 0.5)]
    assert Taste(declared_profile(at(0)), vectors, 1.0)(items) == items


def test_taste_refuses_items_of_another_encoder() -> None:
    with pytest.raises(InvalidVector, match="two encoders"):
        Taste(declared_profile(at(0)), {"a": vector(1, 2, 3)}, 1.0)([item("a", 0.0)])


def test_also_gives_the_best_candidate_its_weight_and_names_each_cause() -> None:
    neighbours = Neighbours({"a": {"p": 3.0, "q": 1.0}, "b": {"q": 2.0}}, 0.6)
    first, second, third = neighbours([item("a", 0.0), item("b", 0.0), item("c", 0.0)])
    assert first.contributions == pytest.approx({"text": 0.0, "neighbours:p": 0.45, "neighbours:q": 0.15})
    assert second.contributions == pytest.approx({"text": 0.0, "neighbours:q": 0.3})
    assert third.contributions == {"text": 0.0}


def test_what_nobody_took_together_counts_the_same_and_is_called_alike() -> None:
    causes = {"a": {"p": 3.0, "q": 1.0}, "b": {"q": 2.0}}
    plain = Neighbours(causes, 0.6)([item("a", 0.0), item("b", 0.0)])
    told = Neighbours(causes, 0.6, text_neighbours={"q": {"a"}})([item("a", 0.0), item("b", 0.0)])
    assert [one.score for one in told] == [one.score for one in plain]
    assert told[0].contributions == pytest.approx(
        {"text": 0.0, "neighbours:p": 0.45, "text_neighbours:q": 0.15}
    )
    assert told[1].contributions == plain[1].contributions


def test_also_holds_back_what_follows_from_a_dismissed_item() -> None:
    ranked = Neighbours({"a": {"p": 1.0}, "b": {"gone": -1.0}}, 1.0)([item("a", 0.0), item("b", 0.0)])
    assert [entry.score for entry in ranked] == [0.5, -0.5]


def test_however_small_the_difference_the_best_candidate_of_also_gets_its_weight() -> None:
    ranked = Neighbours({"a": {"p": 0.25}}, 0.5)([item("a", 0.0), item("b", 0.0)])
    assert [entry.score for entry in ranked] == [0.5, 0.0]


def test_causes_that_cancel_out_for_every_candidate_say_nothing() -> None:
    assert Neighbours({"a": {"p": 1.0, "gone": -1.0}}, 0.5)([item("a", 1.0)]) == [item("a", 1.0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_also_refuses_a_weight_that_is_not_finite(bad: float) -> None:
    with pytest.raises(InvalidVector, match="neighbour"):
        Neighbours({"a": {"p": bad}}, 1.0)([item("b", 0.0), item("a", 0.0)])


def test_prior_gives_a_new_item_the_mean_of_the_others() -> None:
    ranked = Prior({"hit": 1.0, "flop": 0.2, "elsewhere": 9.0}, 0.5)(
        [item("hit", 0.0), item("new", 0.0), item("flop", 0.0)]
    )
    assert [entry.contributions["popularity"] for entry in ranked] == pytest.approx([0.5, 0.3, 0.1])


def test_prior_bears_the_name_it_is_given() -> None:
    assert Prior({"a": 1.0}, 0.5, name="trending")([item("a", 0.0)])[0].contributions["trending"] == 0.5


def test_prior_says_nothing_when_it_knows_none_of_the_candidates() -> None:
    assert Prior({"elsewhere": 1.0}, 0.5)([item("a", 1.0)]) == [item("a", 1.0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_prior_refuses_a_value_that_is_not_finite(bad: float) -> None:
    with pytest.raises(InvalidVector, match="popularity"):
        Prior({"a": bad}, 1.0)([item("a", 0.0)])


def test_diversity_puts_something_else_between_two_of_a_kind() -> None:
    vectors = {"red": at(0), "crimson": at(10), "blue": at(90)}
    ranked = Diversity(vectors, 0.5, 3)([item("red", 1.0), item("crimson", 0.9), item("blue", 0.7)])
    # crimson loses 0.5 * cos 10 = 0.49 and comes to 0.41, blue loses 0.5 * cos 90 = 0 to red.
    assert [entry.key for entry in ranked] == ["red", "blue", "crimson"]
    assert ranked[2].score == pytest.approx(0.9 - 0.5 * math.cos(math.radians(10)), abs=1e-6)
    assert "diversity" not in ranked[0].contributions


def test_diversity_holds_nothing_back_for_being_the_opposite() -> None:
    ranked = Diversity({"a": at(0), "b": at(180)}, 1.0, 2)([item("a", 1.0), item("b", 0.5)])
    assert [entry.score for entry in ranked] == [1.0, 0.5]


def test_diversity_leaves_items_without_a_vector_where_they_are() -> None:
    ranked = Diversity({"a": at(0)}, 1.0, 3)([item("x", 0.2), item("a", 1.0), item("y", 0.9)])
    assert [entry.score for entry in ranked] == [1.0, 0.9, 0.2]


def test_diversity_stops_after_its_limit() -> None:
    vectors = {"a": at(0), "b": at(90), "b2": at(90), "tail": at(0)}
    items = [item("a", 1.0), item("b", 0.95), item("b2", 0.94), item("tail", 0.1)]
    ranked = Diversity(vectors, 0.5, 1)(items)
    # Only the first place was contested: b and b2 resemble each other, but neither resembles a;
    # the tail could not have won the place and keeps its score, though it is the twin of a.
    assert [(entry.key, entry.score) for entry in ranked] == [
        ("a", 1.0),
        ("b", pytest.approx(0.95)),
        ("b2", pytest.approx(0.94)),
        ("tail", 0.1),
    ]


@given(
    items=items_of_any_kind,
    strength=st.floats(0.001, 2),
    limit=st.integers(1, 15),
)
def test_diversity_never_lets_scores_rise_along_the_list_and_sorting_keeps_its_order(
    items: list[RankedItem], strength: float, limit: int
) -> None:
    ranked = Diversity(CLOUD, strength, limit)(items)
    assert ranked == sorted(ranked, key=lambda entry: (-entry.score, entry.key))
    assert all(entry.contributions.get("diversity", 0.0) <= 0 for entry in ranked)


@given(items=items_of_any_kind, strength=st.floats(0.001, 2), limit=st.integers(1, 15))
def test_diversity_places_the_first_items_as_the_greedy_rule_says(
    items: list[RankedItem], strength: float, limit: int
) -> None:
    unit = {key: value / np.linalg.norm(value) for key, value in CLOUD.items()}

    def held_back(entry: RankedItem, above: list[RankedItem]) -> float:
        cosines = [
            float(unit[entry.key] @ unit[other.key]) if {entry.key, other.key} <= unit.keys() else 0.0
            for other in above
        ]
        return entry.score - strength * max([0.0, *cosines])

    by_key = {entry.key: entry for entry in items}
    placed: list[RankedItem] = []
    for entry in Diversity(CLOUD, strength, limit)(items)[:limit]:
        best = max(held_back(other, placed) for key, other in by_key.items())
        assert held_back(by_key[entry.key], placed) == pytest.approx(best, abs=1e-4)
        assert entry.score == pytest.approx(best, abs=1e-4)
        placed.append(by_key.pop(entry.key))


def test_the_ranker_fuses_passes_the_stages_and_breaks_ties_by_key() -> None:
    ranker = Ranker(
        partial(linear, weights={"text": 0.5, "vector": 0.5}), (Prior({"b": 1.0, "c": 1.0, "a": 0.0}, 1.0),)
    )
    ranked = ranker.rank({"text": [Hit("a", 2.0), Hit("b", 1.0), Hit("c", 1.0)]})
    assert [(entry.key, entry.score) for entry in ranked] == [("b", 1.0), ("c", 1.0), ("a", 0.5)]


def test_a_ranker_without_stages_or_hits_gives_what_the_fusion_gives() -> None:
    ranker = Ranker(partial(linear, weights={"text": 1.0}))
    assert ranker.rank({}) == []
    assert [entry.key for entry in ranker.rank({"text": [Hit("a", 1.0), Hit("b", 3.0)]})] == ["b", "a"]


@given(order=st.permutations(KEYS))
def test_the_ranker_gives_the_same_list_whatever_the_order_of_hits(order: list[str]) -> None:
    ranker = Ranker(
        partial(linear, weights={"text": 1.0}),
        (Taste(TASTE, CLOUD, 0.5), Diversity(CLOUD, 0.3, 5)),
    )
    hits = {key: Hit(key, float(number % 4)) for number, key in enumerate(KEYS)}
    expected = ranker.rank({"text": list(hits.values())})
    ranked = ranker.rank({"text": [hits[key] for key in order]})
    assert ranked == expected


def test_items_of_which_nothing_is_known_are_spread_out_like_others() -> None:
    items = [RankedItem(key=key, score=0, contributions={}) for key in "abc"]
    vectors = {
        "a": np.array([1, 0], np.float32),
        "b": np.array([1, 0], np.float32),
        "c": np.array([0, 1], np.float32),
    }
    assert [item.key for item in Diversity(vectors, strength=0.5, limit=3)(items)] == ["a", "c", "b"]


def test_a_group_takes_so_many_of_the_first_places_and_what_is_too_much_comes_next() -> None:
    items = [item(key, score) for key, score in zip("abcdefg", [9, 8, 7, 6, 5, 4, 3], strict=True)]
    groups = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "x", "f": ["z", "x"]}
    capped = Cap(groups, most=2, places=4)(items)
    # places: a and b of x, d of y, then g, which has no group; c, e and f (one of x) had no room
    assert [one.key for one in capped] == ["a", "b", "d", "g", "c", "e", "f"]
    assert [one.contributions.get("cap", 0.0) < 0 for one in capped] == [False] * 4 + [True] * 3


def test_what_is_too_much_of_a_group_stays_above_what_had_no_place_either() -> None:
    items = [item(key, score) for key, score in zip("abcd", [9, 8, 7, 6], strict=True)]
    capped = Cap({"a": "x", "b": "x"}, most=1, places=2)(items)
    assert [one.key for one in capped] == ["a", "c", "b", "d"]
    assert capped[2].score == pytest.approx(7.0, abs=1e-5)


def test_a_group_without_any_room_keeps_its_order() -> None:
    items = [item(key, score) for key, score in zip("abc", [9, 8, 7], strict=True)]
    assert Cap(dict.fromkeys("abc", "x"), most=0, places=2)(items) == items


def test_where_nothing_else_is_left_the_group_fills_the_list() -> None:
    items = [item(key, 1.0) for key in "abc"]
    groups = dict.fromkeys("abc", ("x",))
    assert [one.key for one in Cap(groups, most=1, places=9)(items)] == ["a", "b", "c"]
    assert Cap(groups, most=1, places=0)(items) == items


@given(items=items_of_any_kind, most=st.integers(1, 3), places=st.integers(1, 12))
def test_no_group_is_ever_over_its_share_while_others_are_left(
    items: list[RankedItem], most: int, places: int
) -> None:
    groups = {key: [key in KEYS[:6]] for key in KEYS}
    capped = Cap(groups, most, places)(items)
    assert sorted(one.key for one in capped) == sorted(one.key for one in items)
    room = sum(min(most, sum(groups[one.key] == [of] for one in items)) for of in (True, False))
    first = capped[: min(places, room)]
    for of in (True, False):
        assert sum(groups[one.key] == [of] for one in first) <= most
