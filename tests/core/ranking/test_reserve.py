"""Places kept for new items: known lists, and what must hold of any."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.reserve import reserve
from llmrec_plugin.types import RankedItem


def ranked(keys: str) -> list[RankedItem]:
    """Best first, from 1.0 down in steps of 0.1."""
    return [
        RankedItem(key=key, score=1 - place / 10, contributions={"text": 1 - place / 10})
        for place, key in enumerate(keys)
    ]


def order(items: list[RankedItem]) -> str:
    return "".join(item.key for item in items)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "abcdefgz"),
        (0.25, "abcgdefz"),  # the fourth place to the list's own new item, the eighth has one
        (0.5, "agbzcxdyef"),
        (1.0, "gzxyabcdef"),
    ],
)
def test_every_so_many_places_a_new_item_stands(share: float, expected: str) -> None:
    assert order(reserve(ranked("abcdefgz"), ranked("xgyz"), share)) == expected


def test_new_items_that_rank_well_on_their_own_move_nothing() -> None:
    assert reserve(ranked("xaby"), ranked("xy"), 0.5) == ranked("xaby")


def test_a_lifted_item_has_the_score_of_the_one_above() -> None:
    result = reserve(ranked("abc"), ranked("c"), 0.5)
    assert order(result) == "acb"
    assert result[1].score == pytest.approx(1.0)
    assert result[1].contributions == pytest.approx({"text": 0.8, "reserve": 0.2})


def test_without_new_items_the_list_stays() -> None:
    assert reserve(ranked("abc"), [], 0.5) == ranked("abc")


lists = st.dictionaries(st.sampled_from("abcdefghijkl"), st.floats(-10, 10), max_size=12).map(
    lambda scores: best_first(
        RankedItem(key=key, score=score, contributions={"text": score}) for key, score in scores.items()
    )
)


@given(lists, lists, st.floats(0, 1))
def test_scores_fall_nothing_is_lost_and_the_share_is_kept(
    items: list[RankedItem], new: list[RankedItem], share: float
) -> None:
    result = reserve(items, new, share)
    for above, below in pairwise(result):
        assert above.score >= below.score - 1e-9
    for item in result:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-9)
    keys = [item.key for item in result]
    fresh = {item.key for item in new}
    assert len(keys) == len(set(keys))
    assert {item.key for item in items} <= set(keys) <= {item.key for item in items} | fresh
    known = {item.key for item in items}
    for count in range(1, len(keys) + 1):
        if set(keys[count:]) & known:  # the list goes on
            due = int(count * share + 1e-9)
            assert len(fresh & set(keys[:count])) >= min(due, len(fresh))
