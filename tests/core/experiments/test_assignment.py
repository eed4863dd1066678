"""Who sees which arm: always the same, by the shares, and drawn anew for each experiment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.experiments.assignment import assign, place

units = st.text(max_size=40)
salts = st.text(max_size=20)
shares = st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any)


@given(units, salts, shares)
def test_one_visitor_sees_one_arm_which_has_a_share(unit: str, salt: str, shares: list[int]) -> None:
    arm = assign(unit, salt=salt, shares=shares)
    assert arm == assign(unit, salt=salt, shares=list(shares))
    assert shares[arm] > 0


@given(units, salts)
def test_a_place_lies_between_zero_and_one(unit: str, salt: str) -> None:
    assert 0 <= place(unit, salt=salt) < 1


@given(units, salts, st.integers(1, 9), st.integers(1, 9))
def test_a_larger_share_takes_nobody_away_from_the_first_arm(
    unit: str, salt: str, small: int, more: int
) -> None:
    if assign(unit, salt=salt, shares=[small, 10]) == 0:
        assert assign(unit, salt=salt, shares=[small + more, 10 - min(more, 9)]) == 0


def test_arms_get_visitors_by_their_shares() -> None:
    seen = np.bincount([assign(f"anon:{n}", salt="s", shares=[5, 3, 2]) for n in range(20_000)])
    # standard deviation of a share of one half of 20,000: 71
    assert np.abs(seen - [10_000, 6_000, 4_000]).max() < 4 * 71


def test_shares_may_be_parts_of_one_and_an_arm_may_have_none() -> None:
    arms = {assign(str(n), salt="s", shares=[0.0, 0.25, 0.25]) for n in range(100)}
    assert arms == {1, 2}


def test_another_salt_draws_anew() -> None:
    first, second = ([assign(str(n), salt=s, shares=[1, 1]) for n in range(4_000)] for s in "ab")
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06  # 4 / sqrt(4,000)


def test_the_answer_is_the_same_on_every_machine_and_release() -> None:
    assert [assign(name, salt="0f", shares=[1, 1, 1]) for name in ("7", "8", "anon:x", "用户")] == [
        1,
        2,
        1,
        0,
    ]


@pytest.mark.parametrize("wrong", [[], [0, 0], [2, -1]])
def test_shares_that_share_nothing_out_are_refused(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        assign("7", salt="s", shares=wrong)
