"""Two samples of one distribution cannot be told apart, a planted shift is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.learning.mining import drift
from llmrec_plugin.learning.mining.drift import separability


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn(count: int, rng: np.random.Generator, *, shift: float = 0.0) -> np.ndarray:
    rows = rng.standard_normal((count, 64))
    rows[:, 0] += shift
    return unit(rows)


@pytest.mark.parametrize("sizes", [(300, 300), (500, 100)])
def test_the_same_distribution_gives_about_one_half(sizes: tuple[int, int]) -> None:
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        found.append(separability(drawn(sizes[0], rng), drawn(sizes[1], rng), rng=rng))
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
    assert max(found) < 0.65


def test_a_planted_shift_is_found_and_a_larger_one_more_surely() -> None:
    rng = np.random.default_rng(3)
    before = drawn(600, rng)
    areas = [separability(before, drawn(600, rng, shift=shift), rng=rng) for shift in (0.0, 1.0, 3.0)]
    # Two normal distributions a standard deviation apart have an area of Phi(1 / sqrt 2) = .76.
    assert areas[0] < 0.56
    assert 0.70 < areas[1] < 0.80
    assert areas[2] > 0.97


def test_another_catalogue_has_nothing_in_common() -> None:
    rng = np.random.default_rng(0)
    before, now = drawn(300, rng), drawn(60, rng)
    before[:, 32:], now[:, :32] = 0, 0
    before, now = unit(np.abs(before)), unit(np.abs(now))
    assert separability(before, now, rng=rng) > 0.99


def test_few_vectors_say_nothing() -> None:
    rng = np.random.default_rng(0)
    few, many = drawn(drift.LEAST - 1, rng), drawn(500, rng)
    assert math.isnan(separability(few, many, rng=rng))
    assert math.isnan(separability(many, few, rng=rng))


def test_more_than_can_be_told_from_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST", 200)
    rng = np.random.default_rng(0)
    assert separability(drawn(900, rng), drawn(900, rng, shift=3), rng=rng) > 0.9


def test_vectors_that_are_all_the_same_cannot_be_told_apart() -> None:
    same = np.tile(unit(np.ones((1, 8))), (80, 1))
    assert separability(same, same, rng=np.random.default_rng(0)) == 0.5


def test_a_value_that_is_no_number_is_refused() -> None:
    rng = np.random.default_rng(0)
    broken = drawn(100, rng)
    broken[3, 3] = np.nan
    with pytest.raises(InvalidVector, match="check the encoder"):
        separability(drawn(100, rng), broken, rng=rng)
