"""The paired bootstrap: known answers, and as sure as it claims to be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec_plugin.evaluation.significance import paired_bootstrap


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_constant_gain_has_no_uncertainty() -> None:
    result = paired_bootstrap([0.6, 0.9, 0.3], [0.5, 0.8, 0.2], rng=rng())
    assert (result.difference, result.low, result.high) == pytest.approx((0.1, 0.1, 0.1))
    assert result.cases == 3


def test_pairing_sees_a_small_steady_gain_through_large_differences_between_cases() -> None:
    cases = rng().random(200)
    result = paired_bootstrap(cases + rng(1).normal(0.01, 0.01, 200), cases, rng=rng())
    assert 0 < result.low < 0.01 < result.high < 0.02


def test_the_same_seed_gives_the_same_interval() -> None:
    method, baseline = rng(1).random(50), rng(2).random(50)
    assert paired_bootstrap(method, baseline, rng=rng()) == paired_bootstrap(method, baseline, rng=rng())


def test_pairs_that_could_not_be_measured_are_left_out() -> None:
    result = paired_bootstrap([0.6, math.nan, 0.4], [0.5, 0.1, math.nan], rng=rng(), groups=["u", "v", "w"])
    assert result.cases == 1
    assert result.difference == pytest.approx(0.1)


def test_nothing_to_measure_gives_nan() -> None:
    result = paired_bootstrap([math.nan], [0.5], rng=rng())
    assert math.isnan(result.difference)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    assert result.cases == 0


def test_repeated_cases_of_one_user_are_no_further_evidence() -> None:
    gains = rng(1).normal(0, 1, 30)
    once = paired_bootstrap(gains, np.zeros(30), rng=rng())
    copies = np.repeat(gains, 20)
    grouped = paired_bootstrap(copies, np.zeros(600), rng=rng(), groups=np.repeat(range(30), 20).tolist())
    naive = paired_bootstrap(copies, np.zeros(600), rng=rng())
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert naive.high - naive.low < (once.high - once.low) / 3


def test_users_with_more_cases_weigh_more() -> None:
    result = paired_bootstrap([1.0, 1.0, 1.0, 0.0], [0.0] * 4, rng=rng(), groups=["u", "u", "u", "v"])
    assert result.difference == 0.75
    assert (result.low, result.high) == (0.0, 1.0)


def test_more_confidence_needs_a_wider_interval() -> None:
    method, baseline = rng(1).random(50), rng(2).random(50)
    narrow = paired_bootstrap(method, baseline, rng=rng(), confidence=0.8)
    wide = paired_bootstrap(method, baseline, rng=rng(), confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_an_interval_of_one_half_is_as_wide_as_that_of_a_normal_mean() -> None:
    result = paired_bootstrap(rng(1).normal(0, 1, 1_000), np.zeros(1_000), rng=rng(), confidence=0.5)
    # from one quartile of the mean to the other: 2 * .6745 / sqrt(1,000) = .0427
    assert result.high - result.low == pytest.approx(0.0427, rel=0.1)


def test_the_interval_holds_the_truth_about_as_often_as_it_claims() -> None:
    held = 0
    for seed in range(100):
        sample = rng(seed).normal(0.5, 1, 60)
        result = paired_bootstrap(sample, np.zeros(60), rng=rng(seed), samples=300)
        held += result.low <= 0.5 <= result.high
    assert 88 <= held <= 99


def test_cases_must_match_one_to_one() -> None:
    with pytest.raises(ValueError, match="shape"):
        paired_bootstrap([1.0, 2.0], [1.0, 2.0, 3.0], rng=rng())
    with pytest.raises(ValueError, match="zip"):
        paired_bootstrap([1.0, 2.0], [1.0, 2.0], rng=rng(), groups=["u"])
