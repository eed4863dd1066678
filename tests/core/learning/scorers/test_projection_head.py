"""Whitening, the head and catalogue scores: planted structure must be found, and sums must add up."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector
from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative, Linear, constant
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.learning.scorers.projection_head import (
    HeadSums,
    collect,
    fit_head,
    identity_head,
    user_states,
)
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.types import Matrix

D = 6


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def catalogue(count: int = 400) -> Matrix:
    """Vectors that share one strong direction, as sentence encoders give them."""
    rows = rng().normal(size=(count, D)) * [1, 1, 1, 1, 0.2, 0.2] + [6, 0, 0, 0, 0, 0]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_whitened_vectors_have_unit_length_and_no_direction_that_all_share() -> None:
    items = catalogue()
    whitened = fit_whitening(items).apply(items)
    assert np.linalg.norm(whitened, axis=1) == pytest.approx(np.ones(len(items)), abs=1e-4)
    moved = (items - fit_whitening(items).mean) @ fit_whitening(items).matrix
    assert moved.mean(axis=0) == pytest.approx(np.zeros(D), abs=1e-3)
    assert np.linalg.norm(whitened.mean(axis=0)) < np.linalg.norm(items.mean(axis=0)) / 5


def test_whitening_makes_directions_count_alike() -> None:
    items = catalogue()
    whitening = fit_whitening(items)
    spread = ((items - whitening.mean) @ whitening.matrix).std(axis=0)
    assert spread.max() / spread.min() < 1.3
    assert items.std(axis=0).max() / items.std(axis=0).min() > 3


def test_the_mean_itself_becomes_zero_and_not_noise() -> None:
    whitening = fit_whitening(np.eye(2, dtype=np.float32))
    assert whitening.apply(whitening.mean[None, :]).tolist() == [[0.0, 0.0]]


def test_a_catalogue_of_one_item_or_of_equal_items_cannot_be_whitened() -> None:
    with pytest.raises(InvalidVector, match="at least 2"):
        fit_whitening(np.ones((1, 3), np.float32))
    with pytest.raises(InvalidVector, match="same vector"):
        fit_whitening(np.tile(np.array([1.0, 0.0], np.float32), (5, 1)))


def test_states_follow_the_recurrence_and_older_items_count_less() -> None:
    rows = np.eye(3, dtype=np.float32)
    states = user_states(rows, gamma=0.5)
    expected = np.array([[1, 0, 0], [0.5, 1, 0], [0.25, 0.5, 1]])
    assert states == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)
    assert user_states(np.zeros((1, 3), np.float32), gamma=0.5).tolist() == [[0, 0, 0]]


def rotated_histories(whitened: Matrix, turn: Matrix, users: int = 300) -> list[list[int]]:
    """After any item comes the one that lies where `turn` carries it: a rule that likeness does not know."""
    following = ((whitened @ turn) @ whitened.T).argmax(axis=1)
    found = []
    for start in rng().integers(len(whitened), size=users).tolist():
        history = [start]
        for _ in range(4):
            history.append(int(following[history[-1]]))
        found.append(history)
    return found


def test_the_head_finds_a_rule_that_likeness_cannot() -> None:
    items = catalogue()
    whitening = fit_whitening(items)
    whitened = whitening.apply(items)
    turn = np.linalg.qr(rng().normal(size=(D, D)))[0].astype(np.float32)
    histories = rotated_histories(whitened, turn)
    sums = collect(histories, whitened, gamma=0.5, rng=rng())
    head = fit_head(sums, whitening, gamma=0.5, ridge=1e-3, mix=0.0)
    plain = identity_head(whitening, gamma=0.5)
    place = {}
    for name, one in (("head", head), ("plain", plain)):
        scores = Linear(one.directions(items), items, one.gamma)([history[:3] for history in histories])
        targets = scores[np.arange(len(histories)), [history[3] for history in histories]]
        place[name] = np.median((scores > targets[:, None]).sum(axis=1))
    assert place["head"] < 20
    assert place["plain"] > 100


def test_sums_of_two_halves_are_the_sums_of_the_whole() -> None:
    whitened = fit_whitening(catalogue()).apply(catalogue())
    histories = [[number, number + 1, number + 2] for number in range(0, 300, 3)]
    whole = collect(histories, whitened, gamma=0.8, rng=rng())
    halves = [collect(half, whitened, gamma=0.8, rng=rng()) for half in (histories[:40], histories[40:])]
    both = halves[0] + halves[1]
    assert both.inputs == pytest.approx(whole.inputs, abs=1e-4)
    assert both.outputs == pytest.approx(whole.outputs, abs=1e-4)
    assert both.examples == whole.examples == 200


def test_a_busy_user_weighs_as_the_root_of_his_events_and_no_more_than_some_are_drawn() -> None:
    whitened = np.eye(3, dtype=np.float32)
    steady = collect([[0, 0, 0, 0, 0]], whitened, gamma=1.0, rng=rng())
    assert steady.inputs[0, 0] == pytest.approx(4**0.5)
    drawn = collect([[0] * 100], whitened, gamma=1.0, rng=rng())
    assert drawn.examples == 20
    assert drawn.inputs[0, 0] == pytest.approx(20**0.5)


def test_many_examples_are_summed_in_blocks() -> None:
    whitened = np.eye(3, dtype=np.float32)
    sums = collect([[0, 1]] * 5000, whitened, gamma=1.0, rng=rng())
    assert sums.examples == 5000
    assert sums.outputs[0, 1] == pytest.approx(5000)
    exact = collect([[0, 1]] * 4096, whitened, gamma=1.0, rng=rng())
    assert exact.inputs[0, 0] == pytest.approx(4096)


def test_without_events_the_head_is_the_whitening() -> None:
    items = catalogue()
    whitening = fit_whitening(items)
    sums = collect([[1], []], whitening.apply(items), gamma=0.8, rng=rng())
    assert sums.examples == 0
    head = fit_head(sums, whitening, gamma=0.8, ridge=0.1, mix=1.0)
    assert head.adapted == pytest.approx(whitening.matrix)


def test_sums_that_say_nothing_leave_the_identity() -> None:
    whitening = fit_whitening(catalogue())
    nothing = HeadSums(inputs=np.eye(D), outputs=np.zeros((D, D)), examples=3)
    head = fit_head(nothing, whitening, gamma=0.8, ridge=0.1, mix=1.0)
    assert head.adapted == pytest.approx(whitening.matrix, rel=1e-5)


def test_wrong_settings_and_broken_sums_are_refused() -> None:
    whitening = fit_whitening(catalogue())
    sums = HeadSums(inputs=np.eye(D), outputs=np.eye(D), examples=3)
    for ridge, mix in ((0.0, 1.0), (0.1, -1.0)):
        with pytest.raises(ConfigurationError, match="ridge"):
            fit_head(sums, whitening, gamma=0.8, ridge=ridge, mix=mix)
    for gamma in (0.0, 1.1):
        with pytest.raises(ConfigurationError, match="next older"):
            collect([[0, 1]], np.eye(3, dtype=np.float32), gamma=gamma, rng=rng())
    broken = HeadSums(inputs=np.full((D, D), np.nan), outputs=np.eye(D), examples=3)
    with pytest.raises(InvalidVector, match="not finite"):
        fit_head(broken, whitening, gamma=0.8, ridge=0.1, mix=1.0)


def test_linear_scores_are_cosines_of_the_decayed_history() -> None:
    items = np.eye(3, dtype=np.float32)
    scores = Linear(items, items, 0.5)([[0, 1], [2], []])
    length = (0.25 + 1) ** 0.5
    assert scores == pytest.approx(np.array([[0.5 / length, 1 / length, 0], [0, 0, 1], [0, 0, 0]]))
    assert Linear(np.zeros((3, 3), np.float32), items, 0.5)([[0]]).tolist() == [[0, 0, 0]]


def test_collaborative_scores_add_the_neighbours_of_each_past_item() -> None:
    neighbours = Neighbours(
        indices=np.array([[2, -1], [2, 0], [-1, -1]], np.int32),
        weights=np.array([[0.5, 0], [1.0, 0.25], [0, 0]], np.float32),
    )
    assert Collaborative(neighbours, gamma=0.5)([[0, 1], []]).tolist() == [[0.25, 0, 1.25], [0, 0, 0]]


def test_constant_scores_are_the_same_for_everybody() -> None:
    assert constant(np.array([1.0, 2.0]))([[0], [], [1]]).tolist() == [[1, 2]] * 3
