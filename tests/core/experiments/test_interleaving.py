"""Team draft: nothing lost, nobody favoured, and the better list gets the clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.experiments.interleaving import CHALLENGER, CONTROL, team_draft

keys = st.lists(st.sampled_from("abcdefghij"), unique=True)
seeds = st.integers(0, 2**32)


@given(keys, keys, seeds)
def test_every_item_of_both_lists_is_there_once(control: list[str], challenger: list[str], seed: int) -> None:
    drafted = team_draft(control, challenger, rng=np.random.default_rng(seed))
    assert sorted(key for key, _ in drafted) == sorted({*control, *challenger})


@given(keys, keys, seeds)
def test_each_team_keeps_the_order_of_its_list(control: list[str], challenger: list[str], seed: int) -> None:
    drafted = team_draft(control, challenger, rng=np.random.default_rng(seed))
    for team, ranked in ((CONTROL, control), (CHALLENGER, challenger)):
        picked = [key for key, by in drafted if by == team]
        assert picked == [key for key in ranked if key in picked]


@given(st.permutations("abcdef"), st.permutations("abcdef"), seeds)
def test_teams_of_equal_lists_are_never_more_than_one_apart(
    control: list[str], challenger: list[str], seed: int
) -> None:
    teams = [by for _, by in team_draft(control, challenger, rng=np.random.default_rng(seed))]
    for end in range(len(teams)):
        assert abs(2 * sum(teams[:end]) - end) <= 1


def test_with_equal_lists_the_order_is_theirs() -> None:
    drafted = team_draft("abc", "abc", rng=np.random.default_rng(1))
    assert [key for key, _ in drafted] == ["a", "b", "c"]


def test_a_visitor_who_clicks_at_random_favours_nobody() -> None:
    rng = np.random.default_rng(3)
    drafts = [team_draft("abcdef", "fgahij", rng=rng)[:4] for _ in range(4_000)]
    wins = sum(draft[int(rng.integers(4))][1] for draft in drafts)
    assert wins == pytest.approx(2_000, abs=4 * 32)  # 32: standard deviation of 4,000 fair coins


def test_the_list_with_the_wanted_item_ahead_wins() -> None:
    rng = np.random.default_rng(3)
    drafts = [team_draft("abcdefx", "xabcdef", rng=rng)[:3] for _ in range(1_000)]
    clicks = [dict(draft)["x"] for draft in drafts if "x" in dict(draft)]
    assert sum(clicks) > 0.9 * len(clicks)
