"""Known answers, false alarms at the stated rate however often one looks, planted changes found."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom

from llmrec_plugin.experiments.analysis import (
    Comparison,
    Sample,
    compare,
    half_width,
    preference,
    preferences_needed,
    uneven_split,
    visitors_needed,
)

SIMULATIONS = 1_000
RATE = 0.2


def sample(events: object, chances: object = None, before: object = None) -> Sample:
    numbers = np.asarray(events, dtype=np.float64)
    return Sample(
        events=numbers,
        chances=np.ones_like(numbers) if chances is None else np.asarray(chances, dtype=np.float64),
        before=None if before is None else np.asarray(before, dtype=np.float64),
    )


def visitors(rng: np.random.Generator, count: int, rate: float) -> Sample:
    return sample(rng.random(count) < rate)


def decided(result: Comparison) -> bool:
    return result.better or result.worse


def test_rates_count_events_per_chance() -> None:
    half = sample([1, 0] * 100)
    more = sample([1, 1, 1, 0] * 50)
    result = compare(half, more, planned=2_000)
    assert (result.control, result.arm, result.difference) == (0.5, 0.75, 0.25)
    # sqrt(.25 / 199 + .1875 / 199): variance p(1 - p) n / (n - 1) of each, over n
    assert result.error == pytest.approx(math.sqrt(0.4375 / 199))
    assert result.better
    assert compare(more, half, planned=2_000).worse


def test_the_bounds_are_the_published_ones() -> None:
    # at the planned end tau² / error² = -2 ln .05 + ln(-2 ln .05) + 1 = 5.9915 + 1.7903 + 1 = 8.7818;
    # sqrt((1 + 1 / 8.7818) (ln 9.7818 + 5.9915)) = sqrt(1.11387 * 8.27203)
    assert half_width(1.0) == pytest.approx(3.03547, abs=1e-4)
    assert half_width(0.02) == pytest.approx(0.02 * half_width(1.0))


def test_the_bounds_of_a_comparison_follow_from_how_much_of_the_plan_is_there() -> None:
    result = compare(sample([1, 0] * 100), sample([1, 0, 1] * 100), planned=500)
    # 200 and 300 visitors weigh as much as 240 in each arm: 2 / (1 / 200 + 1 / 300), of 500
    width = half_width(result.error, progress=0.48)
    assert (result.low, result.high) == pytest.approx((result.difference - width, result.difference + width))


def test_bounds_that_end_at_no_difference_decide_nothing() -> None:
    assert not decided(Comparison(control=0.5, arm=0.5, difference=0.0, low=0.0, high=0.0, error=0.0))


def test_the_bounds_are_tightest_where_the_plan_ends() -> None:
    start, end, beyond = (half_width(1.0, progress=progress) for progress in (0.05, 1.0, 100.0))
    assert end < min(start, beyond)
    assert min(range(1, 300), key=lambda part: half_width(1.0, progress=part / 100)) in range(90, 111)


@pytest.mark.parametrize(
    ("control", "arm"),
    [
        (sample(np.ones(99)), sample([1, 0] * 100)),
        (sample([]), sample([1, 0] * 100)),
        (sample(np.zeros(200), np.zeros(200)), sample([1, 0] * 100)),
        (sample(np.zeros(200)), sample(np.zeros(200))),
    ],
)
def test_too_little_to_say_is_no_verdict(control: Sample, arm: Sample) -> None:
    result = compare(control, arm, planned=2_000)
    assert math.isnan(result.difference)
    assert result.explained == 0.0
    assert not decided(result)


def test_lists_of_one_visitor_are_one_piece_of_evidence() -> None:
    once = compare(sample([1, 0] * 100), sample([1, 0, 1] * 100), planned=2_000)
    tenfold = compare(
        sample([10, 0] * 100, np.full(200, 10)),
        sample([10, 0, 10] * 100, np.full(300, 10)),
        planned=2_000,
    )
    assert (tenfold.difference, tenfold.error) == pytest.approx((once.difference, once.error))


def test_the_error_of_a_ratio_is_that_of_the_simulated_ratios() -> None:
    rng = np.random.default_rng(4)

    def drawn() -> Sample:
        lists = rng.geometric(0.3, 2_000)
        return sample(rng.binomial(lists, rng.beta(2, 8, 2_000)), lists)

    results = [compare(drawn(), drawn(), planned=2_000) for _ in range(300)]
    simulated = np.std([result.difference for result in results])
    assert np.mean([result.error for result in results]) == pytest.approx(simulated, rel=0.15)


def test_what_was_known_before_takes_out_its_part_of_the_noise() -> None:
    rng = np.random.default_rng(5)

    def drawn(gain: float) -> Sample:
        before = rng.normal(0, 1, 4_000)
        return sample(5 + gain + 0.8 * before + rng.normal(0, 0.6, 4_000), before=before)

    control, arm = drawn(0.0), drawn(0.1)
    with_it = compare(control, arm, planned=2_000)
    without = compare(sample(control.events), sample(arm.events), planned=2_000)
    assert with_it.explained == pytest.approx(0.64, abs=0.03)  # .8² / (.8² + .6²)
    assert with_it.error == pytest.approx(0.6 * without.error, rel=0.05)
    assert with_it.low < 0.1 < with_it.high
    assert without.explained == 0.0


def test_a_difference_that_was_there_before_is_taken_out_of_the_result() -> None:
    # Each visitor does 10 + 2 * before, and one more or less. Those of the arm did 1 more before, so they
    # do 2 more without any merit of it. Variances: 5 with what was known (4 + 1), 1 without.
    before = np.array([-1.0, 1.0] * 50)
    noise = np.array([1.0, 1.0, -1.0, -1.0] * 25)
    control = sample(10 + 2 * before + noise, before=before)
    arm = sample(10 + 2 * (before + 1) + noise, before=before + 1)
    result = compare(control, arm, planned=100)
    assert (result.control, result.arm) == (10.0, 12.0)
    assert result.difference == pytest.approx(0.0)
    assert result.explained == pytest.approx(0.8)
    assert result.error == pytest.approx(math.sqrt(2 / 99))


def test_what_is_known_of_one_arm_alone_is_not_used() -> None:
    control, arm = [1, 0] * 100, [1, 1, 1, 0] * 50
    plain = compare(sample(control), sample(arm), planned=2_000)
    assert compare(sample(control, before=control), sample(arm), planned=2_000) == plain
    assert compare(sample(control), sample(arm, before=arm), planned=2_000) == plain


def test_known_before_but_the_same_of_all_changes_nothing() -> None:
    control, arm = [1, 0] * 100, [1, 1, 0, 0] * 50
    plain = compare(sample(control), sample(arm), planned=2_000)
    constant = compare(sample(control, before=np.ones(200)), sample(arm, before=np.ones(200)), planned=2_000)
    assert constant == plain


def test_without_a_difference_one_look_at_the_end_errs_at_the_rate_of_its_interval() -> None:
    """The error is right: its plain 95 % interval misses the truth 5 times of 100."""
    rng = np.random.default_rng(6)
    missed = 0
    for _ in range(SIMULATIONS):
        result = compare(visitors(rng, 2_000, RATE), visitors(rng, 2_000, RATE), planned=2_000)
        missed += abs(result.difference) > 1.96 * result.error
    # 5 % of 1,000, within three standard deviations of 6.9
    assert 29 <= missed <= 71


def test_a_thousand_tests_of_nothing_watched_all_the_time_give_at_most_five_percent_false_alarms() -> None:
    rng = np.random.default_rng(7)
    looks = range(200, 4_001, 200)
    planned = visitors_needed(rate=RATE, variance=RATE * (1 - RATE), lift=0.2)
    alarms = naive = 0
    for _ in range(SIMULATIONS):
        arms = [rng.random(looks[-1]) < RATE for _ in range(2)]
        results = [compare(*(sample(arm[:end]) for arm in arms), planned=planned) for end in looks]
        alarms += any(map(decided, results))
        naive += any(abs(result.difference) > 1.96 * result.error for result in results)
    assert 3 <= alarms <= 50
    assert naive > 150  # what watching does to an interval that allows one look


def test_a_planted_lift_of_a_tenth_is_found_with_the_stated_power_and_mostly_early() -> None:
    rng = np.random.default_rng(8)
    planned = visitors_needed(rate=RATE, variance=RATE * (1 - RATE), lift=0.1)
    found, seen = 0, []
    looks = np.linspace(0.1, 1.0, 10) * planned
    for _ in range(SIMULATIONS):
        arms = [rng.random(planned) < rate for rate in (RATE, 1.1 * RATE)]
        for end in looks.astype(int):
            result = compare(*(sample(arm[:end]) for arm in arms), planned=planned)
            if decided(result):
                found += result.better
                seen.append(end)
                break
    assert found >= 780  # 80 % of 1,000, less a standard deviation and a half
    assert np.median(seen) < 0.75 * planned


def test_a_smaller_change_needs_many_more_visitors() -> None:
    ten, five = (visitors_needed(rate=0.1, variance=0.09, lift=lift) for lift in (0.1, 0.05))
    assert five == pytest.approx(4 * ten, rel=0.001)
    # 2 * .09 (3.03547 + .84162)² / .01²: the bounds' width and the quantile of 80 %, both in errors
    assert ten == pytest.approx(27_058, abs=2)
    # The fewest of whom the bounds and that quantile fit into the change, which is 0.01.
    errors = half_width(1.0) + NormalDist().inv_cdf(0.8)
    assert math.sqrt(2 * 0.09 / ten) * errors <= 0.01 < math.sqrt(2 * 0.09 / (ten - 1)) * errors


@pytest.mark.parametrize(("wins", "losses"), [(0, 12), (12, 0), (30, 30), (70, 30), (400, 300)])
def test_the_bounds_of_a_preference_hold_what_was_seen(wins: int, losses: int) -> None:
    result = preference(wins, losses)
    assert result.share == wins / (wins + losses)
    assert 0 <= result.low <= result.share <= result.high <= 1
    mirrored = preference(losses, wins)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - result.high, 1 - result.low))


def test_nobody_prefers_anything_yet() -> None:
    result = preference(0, 0)
    assert (result.wins, result.losses) == (0, 0)
    assert math.isnan(result.share)
    assert (result.low, result.high) == (0.0, 1.0)


def test_a_thousand_fair_preferences_watched_all_the_time_give_at_most_five_percent_false_alarms() -> None:
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(SIMULATIONS):
        wins = np.cumsum(rng.random(400) < 0.5)
        watched = [preference(int(wins[n - 1]), n - int(wins[n - 1])) for n in range(50, 401, 50)]
        alarms += any(result.low > 0.5 or result.high < 0.5 for result in watched)
    assert 3 <= alarms <= 50


def test_a_clear_preference_is_seen_with_few_clicks() -> None:
    assert preference(160, 90).low > 0.5


def test_a_planted_preference_is_found_with_the_stated_power_and_mostly_early() -> None:
    rng = np.random.default_rng(10)
    needed = preferences_needed(lift=0.2)
    looks = np.linspace(0.1, 1.0, 10) * needed
    found, seen, at_the_end = 0, [], 0
    for _ in range(SIMULATIONS):
        wins = np.cumsum(rng.random(needed) < 1.2 / 2.2)
        results = [
            (end, preference(int(wins[end - 1]), end - int(wins[end - 1]))) for end in looks.astype(int)
        ]
        at_the_end += results[-1][1].low > 0.5
        first = next(((end, one) for end, one in results if one.low > 0.5 or one.high < 0.5), None)
        if first is not None:
            found += first[1].low > 0.5
            seen.append(first[0])
    assert 762 <= at_the_end <= 838  # 80 % of 1,000, within three standard deviations of 12.6
    assert found >= at_the_end
    assert np.median(seen) < 0.75 * needed


def test_fewer_preferences_than_needed_fall_short_of_the_power() -> None:
    # all prefer the new list: n wins of n are proof once 1 / ((n + 1) (1 / 2)^n) exceeds 20, from n = 8 on
    assert preferences_needed(lift=1e9) == 8
    assert preference(8, 0).low > 0.5 >= preference(7, 0).low


def test_no_fewer_preferences_have_the_power_that_is_asked_for() -> None:
    share = 1.5 / 2.5

    def power(seen: int) -> float:
        """Chance of at least so many wins as prove that more than half prefer the better list."""
        proof = next(wins for wins in range(seen + 1) if preference(wins, seen - wins).low > 0.5)
        return float(binom.sf(proof - 1, seen, share))

    needed = preferences_needed(lift=0.5)
    assert power(needed) >= 0.8 > power(needed - 1)


@pytest.mark.parametrize(("larger", "smaller"), [(1.0, 0.5), (0.1, 0.05), (0.01, 0.005)])
def test_half_the_lift_needs_about_four_times_the_preferences(larger: float, smaller: float) -> None:
    # the evidence that is asked for grows by the logarithm of their number as well
    assert 3 < preferences_needed(lift=smaller) / preferences_needed(lift=larger) < 5


def test_a_split_as_asked_is_no_reason_for_doubt_and_another_one_is() -> None:
    assert uneven_split([5_050, 4_950], [1, 1]) > 0.1
    # each arm is 2 standard deviations of 50 off: 4.55 % for one of them, twice that for either
    assert uneven_split([5_100, 4_900], [1, 1]) == pytest.approx(0.0910, abs=1e-4)
    assert uneven_split([5_300, 4_700], [1, 1]) < 0.001
    assert uneven_split([9_000, 1_000], [9, 1]) == 1.0
    assert uneven_split([0, 0], [1, 1]) == 1.0
