"""Pairs to tune an encoder on, and what must not be taken for a negative."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.mining.coreset import PROJECTED, k_centre
from llmrec_plugin.learning.mining.text_pairs import (
    KNOWN_WINDOW,
    NEGATIVE_RANKS,
    hard_negatives,
    history_pairs,
    joined,
    known_pairs,
    make_pairs,
    neighbour_pairs,
)
from llmrec_plugin.learning.scorers.neighbours import Neighbours


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_history_is_cut_to_its_last_items_and_padded_in_front() -> None:
    pairs = make_pairs([[1, 2, 3, 4], [5]], [6, 7], history=3)
    assert pairs.left.tolist() == [[2, 3, 4], [-1, -1, 5]]
    assert pairs.right.tolist() == [6, 7]
    assert pairs.value.tolist() == [1, 1]
    assert pairs.negative.tolist() == [-1, -1]


def test_pairs_lead_from_what_came_strictly_before_to_what_is_new() -> None:
    # User 0 takes 1 and 2 in one basket, then 3, then 1 again; user 1 takes 4 alone.
    events = Events.of([0, 0, 1, 0, 0], [1, 2, 4, 3, 1], [0, 0, 1, 2, 3])
    pairs = history_pairs(events, slice(0, 5), history=2, most=10, rng=rng())
    assert pairs.left.tolist() == [[1, 2]]
    assert pairs.right.tolist() == [3]


def test_pairs_of_a_window_have_their_history_before_it() -> None:
    events = Events.of([0, 0, 0], [1, 2, 3], [0, 1, 2])
    pairs = history_pairs(events, slice(2, 3), history=1, most=10, rng=rng())
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([[2]], [3])


def test_neighbours_become_pairs_with_their_weight() -> None:
    neighbours = Neighbours(
        np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1]], np.int32),
        np.array([[4.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32),
    )
    pairs = neighbour_pairs(neighbours, per_item=2, history=2)
    assert pairs.left.tolist() == [[-1, 0], [-1, 0], [-1, 1]]
    assert pairs.right.tolist() == [1, 2, 0]
    assert pairs.value.tolist() == [1.0, 0.25, 1.0]
    assert len(neighbour_pairs(neighbours, per_item=1, history=1)) == 2


def test_parts_are_joined_in_order() -> None:
    whole = joined([make_pairs([[1]], [2], history=1), make_pairs([[3]], [4], history=1, value=[0.5])])
    assert len(whole) == 2
    assert whole.right.tolist() == [2, 4]
    assert whole.part(np.array([1])).value.tolist() == [0.5]
    assert whole.with_negatives(np.array([7, 8], np.int32)).negative.tolist() == [7, 8]


def test_what_a_user_took_within_a_few_steps_is_known_in_both_orders() -> None:
    length = KNOWN_WINDOW + 2
    events = Events.of([0] * length, range(length), range(length))
    known = known_pairs(events, size=length + 1, more=[make_pairs([[length]], [3], history=2)])
    assert known.contains(np.array([0, 1]), np.array([1, 0])).all()
    assert known.contains(np.array([0]), np.array([KNOWN_WINDOW])).all()
    assert not known.contains(np.array([0]), np.array([KNOWN_WINDOW + 1])).any()
    assert known.contains(np.array([3]), np.array([length])).all()  # the pair given, its padding aside
    assert not known.contains(np.array([-1]), np.array([3])).any()


def test_nothing_is_known_without_events() -> None:
    known = known_pairs(Events.of([], [], []), size=5)
    assert not known.contains(np.arange(4), np.arange(1, 5)).any()


def test_a_hard_negative_is_like_the_left_side_and_does_not_follow_it() -> None:
    # Items on a quarter circle: the nearer in number, the more alike. 0 -> 40 is the pair.
    angles = np.linspace(0, np.pi / 2, 60)
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    pairs = make_pairs([[0]], [40], history=1)
    events = Events.of([0, 0, 0], [0, 20, 21], [0, 1, 2])
    known = known_pairs(events, size=60, more=[pairs])
    drawn = {int(hard_negatives(pairs, vectors, known, items=60, rng=rng_of(seed))[0]) for seed in range(200)}
    # Ranks 5 to 50 of likeness to 0 are the items 5 to 49; less like 0 than 40 is, and not 20, 21.
    assert drawn <= set(range(40, 50))
    assert 40 not in drawn
    assert len(drawn) > 3


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_where_everything_follows_there_is_no_negative() -> None:
    size = NEGATIVE_RANKS[0] + 2
    vectors = np.eye(size, dtype=np.float32)
    pairs = make_pairs([[0]], [1], history=1)
    events = Events.of([0] * size, range(size), range(size))
    known = known_pairs(events, size=size, more=[pairs])
    assert hard_negatives(pairs, vectors, known, items=size, rng=rng()).tolist() == [-1]


def test_a_core_set_has_one_of_each_cluster() -> None:
    centres = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    points = np.repeat(centres, 20, axis=0) + rng().normal(0, 0.1, (60, 2)).astype(np.float32)
    chosen = k_centre(points, 3, rng=rng())
    assert sorted((chosen // 20).tolist()) == [0, 1, 2]


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 3), st.sampled_from([2, PROJECTED + 16]))
def test_a_core_set_has_the_size_asked_for(rows: int, size: int, copies: int, dimensions: int) -> None:
    points = np.random.default_rng(rows).normal(0, 1, (rows, dimensions)).astype(np.float32)
    points = np.concatenate([points, *[points] * copies])
    chosen = k_centre(points, size, rng=rng())
    assert len(chosen) == min(size, len(points))
    assert len(set(chosen.tolist())) == len(chosen)
