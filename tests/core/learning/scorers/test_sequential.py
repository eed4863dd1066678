"""Neighbours by order and by age of the events, on logs with a known answer."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig, blended, strongest
from llmrec_plugin.learning.scorers.sequential import (
    SHRINK,
    STEP_GAMMA,
    STEPS,
    USUAL_TARGETS,
    in_order,
    matrix_of,
    neighbours_from,
    transitions,
)


def plain(events: Events, catalogue: int) -> np.ndarray:
    """`transitions` once more, by a loop over all pairs of all users."""
    firsts: dict[int, dict[int, float]] = defaultdict(dict)
    most: dict[tuple[int, int], float] = defaultdict(float)
    amounts = np.ones(len(events)) if events.amounts is None else events.amounts
    for user, item, time, amount in zip(events.users, events.items, events.times, amounts, strict=True):
        firsts[user].setdefault(item, time)
        most[user, item] = max(most[user, item], amount)
    counts = np.zeros((catalogue, catalogue))
    for user, times in firsts.items():
        order = sorted(times, key=lambda item: (times[item], item))
        worth = math.sqrt(min(len(order), USUAL_TARGETS)) / len(order)
        for target in order:
            earlier = [item for item in order if times[item] < times[target]]
            for step, source in enumerate(reversed(earlier[-STEPS:])):
                amount = most[user, source] * most[user, target]
                counts[source, target] += worth * amount * STEP_GAMMA**step
    expected = np.sqrt(np.outer(counts.sum(axis=1), counts.sum(axis=0))) + SHRINK
    return np.asarray(counts / expected)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 8), st.sampled_from([0.25, 0.5, 1.0])),
        max_size=60,
    ),
    st.booleans(),
)
def test_any_log_leads_as_a_loop_over_its_pairs_says(
    rows: list[tuple[int, int, int, float]], weighed: bool
) -> None:
    users, items, times, amounts = zip(*rows, strict=True) if rows else ((), (), (), ())
    events = Events.of(users, items, times, amounts if weighed else None)
    found = transitions(events, catalogue=8)
    assert found.shape == (8, 8)
    assert found.toarray() == pytest.approx(plain(events, 8), abs=1e-6)


def test_order_leads_one_way_and_the_next_more_than_the_one_after() -> None:
    events = Events.of([0, 0, 0, 1, 1, 1], [2, 0, 1, 2, 0, 1], [1, 2, 3, 4, 5, 6])
    found = transitions(events, catalogue=3).toarray()
    assert found[2, 0] > found[2, 1] > 0
    assert found[0, 2] == found[1, 2] == found[1, 0] == 0


def test_one_basket_has_no_order() -> None:
    events = Events.of([0, 0, 0], [0, 1, 2], [5, 5, 6])
    found = transitions(events, catalogue=3).toarray()
    assert found[0, 1] == found[1, 0] == 0
    assert found[0, 2] > 0
    assert found[1, 2] > 0


def test_taking_an_item_again_is_no_step() -> None:
    events = Events.of([0, 0, 0], [0, 1, 0], [1, 2, 3])
    assert transitions(events, catalogue=2).toarray()[1, 0] == 0


def test_a_share_of_order_is_that_of_the_sums_of_weights() -> None:
    events = Events.of([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 1], range(6))
    company, _ = fit_neighbours(matrix_of(events, None, 3))
    both = in_order(company, transitions(events, catalogue=3), 0.5)
    assert both.weights.sum() == pytest.approx(1.5 * company.weights.sum())
    assert dict(both.of(0))[1] > dict(company.of(0))[1]
    assert both.indices.shape == company.indices.shape


def test_without_order_or_weights_company_stays_as_it_is() -> None:
    events = Events.of([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 2, 2])
    company, method = neighbours_from(events, catalogue=2, config=NeighbourConfig())
    assert method == "ease"
    ordered, _ = neighbours_from(events, catalogue=2, config=NeighbourConfig(order=0.3))
    assert ordered.weights.tolist() == company.weights.tolist()  # one basket each: no order to learn
    assert blended(company, company, share=0.0) is company


def test_old_company_fades() -> None:
    """0 and 1 went together long ago, 0 and 2 lately: as often, so without fading they lead alike."""
    pairs = [(user, item, 0.0) for user in range(10) for item in (0, 1)]
    pairs += [(user, item, 100.0) for user in range(10, 20) for item in (0, 2)]
    users, items, times = zip(*pairs, strict=True)
    events = Events.of(users, items, times)
    for method in ("ease", "item-knn"):
        alike, _ = neighbours_from(events, catalogue=3, config=NeighbourConfig(method=method))
        assert dict(alike.of(0))[1] == pytest.approx(dict(alike.of(0))[2], rel=1e-4)
        fading = NeighbourConfig(method=method, recency=0.1)
        faded, _ = neighbours_from(events, catalogue=3, config=fading)
        assert dict(faded.of(0)).get(1, 0.0) < 0.01 * dict(faded.of(0))[2]


def test_an_event_counts_less_by_its_age_relative_to_all_of_the_time() -> None:
    events = Events.of([0, 0, 1], [0, 1, 1], [0, 50, 100], [1.0, 0.5, 1.0])
    products = (matrix_of(events, 0.5, 2).multiply(matrix_of(events, 0.5, 2))).toarray()
    # Ages 1, 1/2 and 0 of the whole, each divided by 0.5; amounts are squared in the product.
    assert products == pytest.approx(np.array([[math.exp(-2), 0.25 * math.exp(-1)], [0, 1]]), rel=1e-5)
    moment = Events.of([0, 1], [0, 1], [3, 3])
    assert matrix_of(moment, 0.5, 2).toarray().tolist() == [[1, 0], [0, 1]]
    assert matrix_of(events.part(slice(0, 0)), 0.5, 2).shape == (0, 2)


def test_the_strongest_of_a_row_are_kept() -> None:
    weights = np.array([[0.0, 0.2, 0.9, -1.0], [0.0, 0.0, 0.0, 0.0]] + [[1.0, 0.5, 0.25, 0.0]] * 2)
    from scipy import sparse

    kept = strongest(sparse.csr_array(weights.astype(np.float32)), top=2)
    assert kept.of(0) == [(2, pytest.approx(0.9)), (1, pytest.approx(0.2))]
    assert kept.of(1) == []
    assert [item for item, _ in kept.of(2)] == [0, 1]
