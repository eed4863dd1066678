"""Editors' decisions on a list: known cases, and what must hold of any of them together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.ranking.rules import Decision, arrange
from llmrec_plugin.types import RankedItem


def ranked(**scores: float) -> list[RankedItem]:
    return [RankedItem(key=key, score=score, contributions={"text": score}) for key, score in scores.items()]


def decision(action: str, *keys: str, name: str = "rule:1", **values: object) -> Decision:
    return Decision(name=name, action=action, keys=keys, **values)  # type: ignore[arg-type]


def order(items: Sequence[RankedItem]) -> str:
    return "".join(item.key for item in items)


FOUR = ranked(a=1.0, b=0.8, c=0.5, d=0.0)


def test_without_decisions_the_list_stays() -> None:
    assert arrange(FOUR, []) == FOUR


def test_a_boost_moves_by_its_share_of_the_distance_from_best_to_worst() -> None:
    boosted = arrange(FOUR, [decision("boost", "d", strength=0.6)])
    assert order(boosted) == "abdc"
    assert boosted[2].score == pytest.approx(0.6)  # 0.6 of the distance of 1.0
    assert boosted[2].contributions == {"text": 0.0, "rule:1": pytest.approx(0.6)}
    wide = arrange(ranked(a=5.0, b=4.0, c=2.0, d=1.0), [decision("boost", "d", strength=0.5)])
    assert [(item.key, item.score) for item in wide[:3]] == [("a", 5.0), ("b", 4.0), ("d", 3.0)]
    assert arrange(FOUR, [decision("boost", "d")]) == [*FOUR[:3], add(FOUR[3], {"rule:1": 0.0})]
    two = arrange(ranked(a=3.0, b=1.0), [decision("boost", "b", strength=0.25)])
    assert [(item.key, item.score) for item in two] == [("a", 3.0), ("b", 1.5)]


def test_a_burial_is_the_opposite_of_a_boost_and_both_add_up() -> None:
    buried = arrange(FOUR, [decision("bury", "a", strength=0.6)])
    assert order(buried) == "bcad"
    both = arrange(
        FOUR,
        [decision("bury", "a", strength=0.6), decision("boost", "a", name="rule:2", strength=0.3)],
    )
    assert order(both) == "bacd"  # 1 - 0.6 + 0.3 = 0.7
    assert both[1].contributions == pytest.approx({"text": 1.0, "rule:1": -0.6, "rule:2": 0.3})


def test_where_all_are_equal_a_boost_counts_and_the_others_keep_their_order() -> None:
    listing = ranked(z=0.5, m=0.5, a=0.5, k=0.5)
    boosted = arrange(listing, [decision("boost", "k", strength=0.25)])
    assert order(boosted) == "kzma"
    assert boosted[0].score == 0.75  # as if best and worst were 1 apart


def test_a_boost_of_what_is_not_in_the_list_changes_nothing() -> None:
    assert arrange(FOUR, [decision("boost", "x", strength=1.0)]) == FOUR


def test_what_is_hidden_is_gone_even_where_it_is_pinned() -> None:
    assert order(arrange(FOUR, [decision("pin", "b", "a"), decision("hide", "b")])) == "acd"


def test_a_pin_stands_at_its_place_whether_it_was_above_or_below() -> None:
    assert order(arrange(FOUR, [decision("pin", "d", place=2)])) == "adbc"
    assert order(arrange(FOUR, [decision("pin", "a", place=3)])) == "bcad"


def test_a_pin_has_the_score_of_the_item_above_and_the_first_one_of_the_item_below() -> None:
    pinned = arrange(FOUR, [decision("pin", "d", "x", place=2)])
    assert order(pinned) == "adxbc"
    assert [item.score for item in pinned] == pytest.approx([1.0, 1.0, 1.0, 0.8, 0.5])
    assert pinned[1].contributions == pytest.approx({"text": 0.0, "rule:1": 1.0})
    first = arrange(FOUR, [decision("pin", "x")])
    assert order(first) == "xabcd"
    assert first[0].contributions == pytest.approx({"rule:1": 1.0})
    kept = arrange(FOUR, [decision("pin", "a")])
    assert kept[0].contributions == {"text": 1.0, "rule:1": 0.0}


def test_a_pin_beyond_the_end_closes_the_list_and_makes_one_of_nothing() -> None:
    assert order(arrange(FOUR, [decision("pin", "x", place=9)])) == "abcdx"
    assert order(arrange([], [decision("pin", "x", "y", place=3)])) == "xy"


def test_of_two_pins_for_one_place_the_earlier_has_it_and_for_one_item_too() -> None:
    pins = [decision("pin", "c", place=1), decision("pin", "d", "c", name="rule:2", place=1)]
    assert order(arrange(FOUR, pins)) == "cdab"


scores = st.floats(-1e3, 1e3, allow_nan=False)
lists = st.dictionaries(st.sampled_from("abcdefghij"), scores, max_size=10).map(
    lambda found: best_first(ranked(**found))
)
decisions = st.lists(
    st.builds(
        Decision,
        name=st.just("rule:0"),
        action=st.sampled_from(["pin", "boost", "bury", "hide"]),
        keys=st.lists(st.sampled_from("abcdefghijxyz"), max_size=4).map(tuple),
        place=st.integers(1, 12),
        strength=st.floats(0, 1),
    ),
    max_size=6,
).map(
    lambda drawn: [
        Decision(
            name=f"rule:{number}",
            action=one.action,
            keys=one.keys,
            place=one.place,
            strength=one.strength,
        )
        for number, one in enumerate(drawn)
    ]
)


@given(lists, decisions)
def test_contributions_sum_to_the_score_and_scores_fall_under_every_rule(
    items: list[RankedItem], decided: list[Decision]
) -> None:
    result = arrange(items, decided)
    for item in result:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-9)
    for above, below in pairwise(result):
        assert above.score >= below.score - 1e-9
    assert len({item.key for item in result}) == len(result)


@given(lists, decisions)
def test_nothing_but_hidden_items_is_lost_and_nothing_but_pins_is_added(
    items: list[RankedItem], decided: list[Decision]
) -> None:
    keys = {item.key for item in arrange(items, decided)}
    before = {item.key for item in items}
    hidden = {key for one in decided if one.action == "hide" for key in one.keys}
    pinned = {key for one in decided if one.action == "pin" for key in one.keys}
    assert keys == (before | pinned) - hidden


@given(lists, st.permutations("abxy"), st.integers(1, 8))
def test_pins_hold_their_places_if_the_list_is_long_enough(
    items: list[RankedItem], keys: list[str], place: int
) -> None:
    result = order(arrange(items, [decision("pin", *keys, place=place)]))
    free = len([item for item in items if item.key not in keys])
    assert result[min(place - 1, free) :].startswith("".join(keys))


@given(lists, decisions)
def test_every_effect_is_seen_in_the_contributions(items: list[RankedItem], decided: list[Decision]) -> None:
    before = {item.key: item.contributions for item in items}
    touched = {one.name: set(one.keys) for one in decided if one.action in ("boost", "bury", "pin")}
    for item in arrange(items, decided):
        added = set(item.contributions) - set(before.get(item.key, {}))
        assert all(item.key in touched[name] for name in added)
        weighed = {one.name for one in decided if one.action in ("boost", "bury") and item.key in one.keys}
        assert item.key not in before or weighed <= added
