"""The popularity prior."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.learning.scorers.popularity import popularity_prior


def test_the_most_popular_item_stands_at_one_and_the_others_by_logarithm() -> None:
    # log(1 + 1) / log(1 + 7) = 1 / 3
    prior = popularity_prior([7, 1])
    assert prior.dtype == np.float32
    assert prior == pytest.approx([1.0, 1 / 3])


def test_an_item_without_events_gets_the_mean_of_the_others() -> None:
    assert popularity_prior([7, 0, 1]) == pytest.approx([1.0, 2 / 3, 1 / 3])


@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
def test_without_any_event_all_items_are_equal(counts: list[int]) -> None:
    assert popularity_prior(counts).tolist() == [0.0] * len(counts)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1])
def test_counts_that_cannot_be_are_refused(bad: float) -> None:
    with pytest.raises(InvalidVector, match="Counts"):
        popularity_prior([1, bad])


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_more_events_never_mean_less_and_all_lies_between_0_and_1(counts: list[float]) -> None:
    prior = popularity_prior(counts)
    assert ((prior >= 0) & (prior <= 1)).all()
    seen = sorted((count, value) for count, value in zip(counts, prior, strict=True) if count > 0)
    assert all(low[1] <= high[1] for low, high in itertools.pairwise(seen))
