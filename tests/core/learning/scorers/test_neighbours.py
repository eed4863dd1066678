"""Neighbours on data with a known answer, and the closed form against a plain computation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector
from llmrec_plugin.learning.scorers import ease as neighbours_ease
from llmrec_plugin.learning.scorers import neighbour_fit, neighbours
from llmrec_plugin.learning.scorers.ease import ease
from llmrec_plugin.learning.scorers.item_knn import item_knn
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig, Neighbours, taken, taken_together

Fit = Callable[..., Neighbours]


def checkerboard(users: int = 40, items: int = 10) -> np.ndarray:
    """Even users took the even items, odd users the odd ones."""
    board = np.add.outer(np.arange(users), np.arange(items)) % 2 == 0
    return np.asarray(board, dtype=np.float32)


def dense(fitted: Neighbours) -> np.ndarray:
    count = len(fitted.indices)
    matrix = np.zeros((count, count))
    for item in range(count):
        for other, weight in fitted.of(item):
            matrix[item, other] = weight
    return matrix


def random_interactions(seed: int, users: int = 60, items: int = 25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((users, items)) < rng.random(items) * 0.5).astype(np.float32)


@pytest.mark.parametrize("fit", [ease, item_knn])
@pytest.mark.parametrize("withheld", [0, 3, 8])
def test_the_withheld_item_comes_first_on_a_checkerboard(fit: Fit, withheld: int) -> None:
    interactions = checkerboard()
    user = withheld % 2  # took the withheld item, which we hide
    interactions[user, withheld] = 0
    fitted = fit(sparse.csr_array(interactions))
    taken = np.flatnonzero(interactions[user])
    scores = dense(fitted)[taken].sum(axis=0)
    scores[taken] = -np.inf
    assert scores.argmax() == withheld


@pytest.mark.parametrize("fit", [ease, item_knn])
def test_items_never_taken_together_are_no_neighbours(fit: Fit) -> None:
    fitted = fit(sparse.csr_array(checkerboard()))
    assert sorted(other for other, _ in fitted.of(0)) == [2, 4, 6, 8]


@pytest.mark.parametrize("fit", [ease, item_knn])
def test_rows_are_sources_padded_and_strongest_first(fit: Fit) -> None:
    interactions = random_interactions(1)
    fitted = fit(sparse.csr_array(interactions), top=5)
    assert fitted.indices.shape == fitted.weights.shape == (25, 5)
    assert fitted.indices.dtype == np.int32
    assert fitted.weights.dtype == np.float32
    padding = fitted.indices < 0
    assert (fitted.weights[padding] == 0).all()
    assert (fitted.weights[~padding] > 0).all()
    assert (np.diff(fitted.weights, axis=1) <= 0).all()
    assert all(item not in fitted.indices[item] for item in range(25))


def test_the_direction_is_from_the_item_taken_to_the_item_recommended() -> None:
    """Everyone with the camera has the battery, few with the battery have the camera.

    Cosine is symmetric, EASE is not: 30 took the battery, 6 of them the camera, other items as noise.
    """
    interactions = np.zeros((60, 3), dtype=np.float32)
    interactions[:30, 0] = 1  # battery
    interactions[:6, 1] = 1  # camera
    interactions[20:60, 2] = 1
    weights = dense(ease(sparse.csr_array(interactions), regularisation=10.0))
    gram = interactions.T @ interactions + 10.0 * np.eye(3)
    # What the other items predict of the battery is the ridge regression of its column on theirs.
    others = [1, 2]
    regression = np.linalg.solve(gram[np.ix_(others, others)], gram[others, 0])
    assert weights[1, 0] == pytest.approx(regression[0], rel=1e-4)
    assert weights[1, 0] > weights[0, 1] > 0


@pytest.mark.parametrize("regularisation", [100.0, 0.01])  # single precision, double precision
@pytest.mark.parametrize("seed", [1, 2])
def test_ease_agrees_with_the_plain_inverse(regularisation: float, seed: int) -> None:
    interactions = random_interactions(seed)
    inverse = np.linalg.inv(interactions.T.astype(np.float64) @ interactions + regularisation * np.eye(25))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    fitted = ease(sparse.csr_array(interactions), regularisation=regularisation)
    assert dense(fitted) == pytest.approx(np.maximum(expected, 0), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("regularisation", [0.0, -1.0])
def test_ease_without_regularisation_is_refused(regularisation: float) -> None:
    with pytest.raises(ConfigurationError, match="regularisation"):
        ease(sparse.csr_array(checkerboard()), regularisation=regularisation)


def test_item_knn_is_the_cosine_shrunk_by_the_evidence() -> None:
    # Item 0 taken by 4 users, item 1 by 1 of them: 1 / (sqrt(4) * sqrt(1) + 2)
    interactions = np.array([[1, 1], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
    fitted = item_knn(sparse.csr_array(interactions), shrink=2.0)
    assert dense(fitted)[0] == pytest.approx([0, 0.25])
    assert dense(fitted)[1] == pytest.approx([0.25, 0])


def test_item_knn_counts_weights_and_not_only_presence() -> None:
    interactions = np.array([[3.0, 4.0], [0.0, 3.0]])
    # 12 / (3 * 5 + 0)
    assert dense(item_knn(sparse.csr_array(interactions), shrink=0.0))[0] == pytest.approx([0, 0.8])


@pytest.mark.parametrize("fit", [ease, item_knn])
def test_the_size_of_the_blocks_does_not_matter(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    interactions = sparse.csr_array(random_interactions(3))
    whole = fit(interactions)
    monkeypatch.setattr(neighbours, "BLOCK_NUMBERS", 60)  # two items at a time
    pieces = fit(interactions)
    assert (whole.indices == pieces.indices).all()
    assert whole.weights == pytest.approx(pieces.weights)


def test_only_the_strongest_are_kept_and_equals_by_index() -> None:
    # Item 0 goes with all others alike; only two may stay.
    fitted = item_knn(sparse.csr_array(np.ones((5, 6), dtype=np.float32)), top=2)
    assert [other for other, _ in fitted.of(0)] == [1, 2]
    assert [other for other, _ in fitted.of(1)] == [0, 2]


@pytest.mark.parametrize("fit", [ease, item_knn])
@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (3, 3)])
def test_no_interactions_give_no_neighbours(fit: Fit, shape: tuple[int, int]) -> None:
    fitted = fit(sparse.csr_array(shape, dtype=np.float32), top=4)
    assert fitted.indices.shape == (shape[1], 4)
    assert (fitted.indices == -1).all()


@pytest.mark.parametrize("fit", [ease, item_knn])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_weights_that_are_not_finite_or_negative_are_refused(fit: Fit, bad: float) -> None:
    with pytest.raises(InvalidVector, match="interactions"):
        fit(sparse.csr_array(np.array([[1.0, bad]])))


def test_the_method_is_chosen_by_the_size_of_the_catalogue_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interactions = sparse.csr_array(random_interactions(4))
    fitted, method = fit_neighbours(interactions, top=7)
    assert method == "ease"
    assert (fitted.indices == ease(interactions, top=7).indices).all()
    monkeypatch.setattr(neighbours_ease, "MAX_ITEMS_FOR_EASE", 24)
    fitted, method = fit_neighbours(interactions, top=7)
    assert method == "item-knn"
    assert (fitted.indices == item_knn(interactions, top=7).indices).all()
    wanted = NeighbourConfig(method="item-knn", strength=3.0)
    fitted, method = fit_neighbours(interactions, config=wanted, top=7)
    assert method == "item-knn"
    assert (fitted.weights == item_knn(interactions, shrink=3.0, top=7).weights).all()


def unit_texts(items: int) -> np.ndarray:
    rows = np.random.default_rng(items).random((items, 4)).astype(np.float32) - 0.3
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("strength", [100.0, 0.01])  # EASE: single precision, double precision
@pytest.mark.parametrize("method", ["ease", "item-knn"])
def test_texts_count_as_further_users(method: Literal["ease", "item-knn"], strength: float) -> None:
    """Each dimension stands for nine users, or one whose events weigh the root of nine."""
    interactions, texts = random_interactions(5), unit_texts(25)
    wanted = NeighbourConfig(method=method, strength=strength, likeness=9.0)
    fitted, _ = fit_neighbours(sparse.csr_array(interactions), config=wanted, whitened=texts)
    stacked = np.concatenate([interactions, 3 * texts.T]).astype(np.float64)
    gram = stacked.T @ stacked
    if method == "ease":
        inverse = np.linalg.inv(gram + strength * np.eye(25))
        expected = -inverse / np.diag(inverse)
    else:
        lengths = np.linalg.norm(stacked, axis=0)
        expected = gram / (np.outer(lengths, lengths) + strength)
    np.fill_diagonal(expected, 0)
    assert dense(fitted) == pytest.approx(np.maximum(expected, 0), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("method", ["ease", "item-knn"])
def test_an_item_that_nobody_took_goes_with_what_is_like_it(method: Literal["ease", "item-knn"]) -> None:
    interactions = checkerboard()
    interactions[:, 4] = 0
    texts = np.eye(10, dtype=np.float32)
    texts[4] = texts[7]
    wanted = NeighbourConfig(method=method, likeness=10.0)
    fitted, _ = fit_neighbours(sparse.csr_array(interactions), config=wanted, whitened=texts)
    assert fitted.of(4)[0][0] == 7
    assert 4 in dict(fitted.of(7))
    without, _ = fit_neighbours(sparse.csr_array(interactions), config=wanted)
    assert without.of(4) == []


def test_of_too_many_items_only_company_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, texts = sparse.csr_array(random_interactions(5)), unit_texts(25)
    wanted = NeighbourConfig(likeness=9.0)
    alike, _ = fit_neighbours(matrix, config=wanted, whitened=texts)
    monkeypatch.setattr(neighbour_fit, "MAX_ITEMS_FOR_LIKENESS", 24)
    company, _ = fit_neighbours(matrix, config=wanted, whitened=texts)
    assert (company.weights == ease(matrix).weights).all()
    assert not (company.indices == alike.indices).all()


@pytest.mark.parametrize("fit", [ease, item_knn])
def test_items_without_text_and_users_have_no_neighbours(fit: Fit) -> None:
    nothing = np.zeros((3, 4), np.float32)
    fitted = fit(sparse.csr_array((2, 3), dtype=np.float32), features=nothing, top=4)
    assert (fitted.indices == -1).all()


def test_what_somebody_took_together_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    interactions, texts = random_interactions(6), unit_texts(25)
    wanted = NeighbourConfig(likeness=30.0)
    matrix = sparse.csr_array(interactions)
    fitted, _ = fit_neighbours(matrix, config=wanted, whitened=texts, top=12)
    monkeypatch.setattr(neighbours, "BLOCK_NUMBERS", 60)
    together = taken_together(matrix, fitted)
    both = interactions.T @ interactions > 0
    expected = [
        [other >= 0 and bool(both[item, other]) for other in row] for item, row in enumerate(fitted.indices)
    ]
    assert together.tolist() == expected
    assert together.any()
    assert not together.all()


def test_of_several_events_of_a_pair_the_one_that_says_most_counts() -> None:
    users, items = np.array([0, 1, 0, 0]), np.array([1, 0, 1, 2])
    assert taken(users, items, catalogue=3).toarray().tolist() == [[0, 1, 1], [1, 0, 0]]
    amounts = np.array([0.25, 1.0, 0.5, 1.0], np.float32)
    assert taken(users, items, amounts, catalogue=3).toarray().tolist() == [[0, 0.5, 1], [1, 0, 0]]
    assert taken(users[:0], items[:0], catalogue=3).shape == (0, 3)


@pytest.mark.parametrize("fit", [ease, item_knn])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_users_does_not_matter(fit: Fit, seed: int) -> None:
    interactions = random_interactions(seed, users=20, items=8)
    shuffled = np.random.default_rng(seed).permutation(interactions)
    one, other = fit(sparse.csr_array(interactions)), fit(sparse.csr_array(shuffled))
    assert dense(one) == pytest.approx(dense(other), abs=1e-5)
