"""A closer reading lifts the first items by how well they answer, and nothing else moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.rerank import Rerank
from llmrec_plugin.types import RankedItem

SCORES = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1}
FOUND = [RankedItem(key, score, {"text": score}) for key, score in SCORES.items()]
READ = {"a": -2.0, "b": 4.0, "c": 1.0, "d": 9.0}


def reranked(scores: Mapping[str, float], *, most: int = 3, weight: float = 1.0) -> list[RankedItem]:
    def read(keys: Sequence[str]) -> dict[str, float]:
        return {key: scores[key] for key in keys if key in scores}

    return best_first(Rerank(read, most, weight)(FOUND))


def test_the_best_answer_gains_the_weight_the_worst_nothing_and_what_was_not_read_nothing() -> None:
    gained = {item.key: item.contributions.get("rerank") for item in reranked(READ, weight=2.0)}
    assert gained == {"a": 0.0, "b": 2.0, "c": 1.0, "d": None}
    assert [item.key for item in reranked(READ)] == ["b", "c", "a", "d"]


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(-1e6, 1e6)), st.integers(1, 4), st.floats(0.01, 10))
def test_what_was_read_stays_above_the_rest_and_contributions_sum(
    scores: dict[str, float], most: int, weight: float
) -> None:
    items = reranked(scores, most=most, weight=weight)
    assert sorted(item.key for item in items) == ["a", "b", "c", "d"]
    assert {item.key for item in items[:most]} == set("abcd"[:most])
    for item in items:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)
        assert -1e-9 <= item.contributions.get("rerank", 0.0) <= weight + 1e-6


@pytest.mark.parametrize("scores", [{}, {"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_where_nothing_can_be_told_apart_the_list_stays(scores: dict[str, float]) -> None:
    assert reranked(scores) == FOUND
    assert Rerank(lambda keys: {}, 3, 1.0)([]) == []


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidVector, match="not finite"):
        reranked({**READ, "b": math.nan})
