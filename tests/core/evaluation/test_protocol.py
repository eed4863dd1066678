"""What is learned from, what is ranked for, and what a list is worth: small cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.evaluation.lists import accuracy, coverage, novelty
from llmrec_plugin.evaluation.protocol import (
    Case,
    Events,
    Outcome,
    amounts_by_user,
    expected_ranks,
    first_items,
    histories,
    last_out_cases,
    list_outcome,
    plan,
    rank_cases,
    temporal_cases,
    temporal_split,
    validation_split,
)
from llmrec_plugin.exceptions import InvalidVector

ALL = slice(0, 1_000)

times = st.lists(st.integers(0, 20), min_size=1, max_size=60)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def log(*rows: tuple[int, int, float]) -> Events:
    return Events.of(*zip(*rows, strict=True))


def test_events_are_sorted_by_time_and_keep_their_order_within_a_moment() -> None:
    events = log((1, 10, 5.0), (2, 20, 1.0), (3, 30, 5.0))
    assert events.users.tolist() == [2, 1, 3]
    assert events.items.tolist() == [20, 10, 30]
    assert len(events.part(slice(1, 3))) == 2


def test_a_split_gives_the_latest_tenth_to_the_report_and_the_one_before_it_to_the_choice() -> None:
    events = Events.of(np.zeros(100), np.arange(100), np.arange(100))
    assert temporal_split(events) == (slice(0, 80), slice(80, 90), slice(90, 100))


def test_settings_are_chosen_by_a_tenth_or_by_as_much_more_as_tells_enough() -> None:
    """Of 20,000 events by 10,000 users, first everybody's first and then everybody's second, all of the
    second half have a past. Where a quarter of the later ones have, the latest tenth holds half as many as
    are wanted, so twice as much is taken; where nobody comes back, three tenths are all there is."""
    twice = Events.of(np.tile(np.arange(10_000), 2), np.zeros(20_000), np.arange(20_000))
    assert validation_split(twice).valid == slice(18_000, 20_000)
    # Of each hundred so many are user 0 again: of the latest 3,000 events 1,200, of 4,000 then 1,000 and of
    # 5,000 then 1,100; a step less holds 800, 750 and 880.
    for often, first in ((40, 17_000), (25, 16_000), (22, 15_000)):
        rarely = np.arange(20_000)
        rarely[10_000:][np.arange(10_000) % 100 < often] = 0
        events = Events.of(rarely, rarely, np.arange(20_000))
        assert validation_split(events).valid == slice(first, 20_000)
    once = Events.of(np.arange(20_000), np.arange(20_000), np.arange(20_000))
    assert validation_split(once).valid == slice(14_000, 20_000)
    assert validation_split(once.part(slice(0, 0))) == (slice(0, 0),) * 3


def test_shares_that_leave_nothing_to_learn_from_leave_nothing() -> None:
    events = Events.of([0] * 4, range(4), range(4))
    assert temporal_split(events, valid=0.5, test=0.5) == (slice(0, 0), slice(0, 2), slice(2, 4))


def test_a_cut_within_the_first_moment_moves_behind_it() -> None:
    events = Events.of([0] * 5, range(5), [1, 1, 1, 2, 3])
    assert temporal_split(events, valid=0.4, test=0.4) == (slice(0, 3), slice(3, 3), slice(3, 5))


@given(times, st.sampled_from([0.1, 0.3, 0.45]))
def test_events_of_one_moment_are_never_on_both_sides_of_a_cut(when: list[int], share: float) -> None:
    events = Events.of([0] * len(when), range(len(when)), when)
    train, valid, test = temporal_split(events, valid=share, test=share)
    assert (train.start, train.stop, valid.stop, test.stop) == (0, valid.start, test.start, len(when))
    moments = [set(events.times[window].tolist()) for window in (train, valid, test)]
    assert len(set().union(*moments)) == sum(map(len, moments))


def test_a_case_knows_what_its_user_took_strictly_earlier_and_nothing_of_the_same_basket() -> None:
    events = log((1, 10, 1.0), (1, 11, 2.0), (1, 12, 2.0), (2, 11, 2.5), (1, 13, 3.0))
    assert temporal_cases(events, ALL, rng=rng()) == [
        Case(1, 10, ()),
        Case(1, 11, (10,)),
        Case(1, 12, (10,)),
        Case(1, 13, (10, 11, 12)),
        Case(2, 11, ()),
    ]


def test_an_item_that_its_user_took_before_is_nothing_to_foresee() -> None:
    events = log((1, 10, 1.0), (1, 10, 2.0), (1, 11, 3.0))
    assert [case.target for case in temporal_cases(events, ALL, rng=rng())] == [10, 11]


def test_events_before_the_window_are_history_only() -> None:
    events = log((1, 10, 1.0), (1, 11, 2.0), (1, 12, 3.0))
    assert temporal_cases(events, slice(2, 3), rng=rng()) == [Case(1, 12, (10, 11))]


def test_events_behind_the_window_are_not_foreseen() -> None:
    events = log((1, 10, 1.0), (1, 11, 2.0), (1, 12, 3.0))
    assert temporal_cases(events, slice(1, 2), rng=rng()) == [Case(1, 11, (10,))]


def test_busy_users_and_long_logs_are_drawn_from() -> None:
    events = Events.of([0] * 50 + [1] * 3, range(53), range(53))
    cases = temporal_cases(events, ALL, rng=rng(), per_user=5)
    assert [sum(case.user == user for case in cases) for user in (0, 1)] == [5, 3]
    assert len(temporal_cases(events, ALL, rng=rng())) == 20 + 3  # twenty of each unless told otherwise
    few = temporal_cases(events, ALL, rng=rng(), per_user=5, most=4)
    assert len(set(few)) == 4
    assert set(few) <= set(temporal_cases(events, ALL, rng=rng(), per_user=50))
    for seed in range(20):  # nothing is drawn twice
        drawn = temporal_cases(events, ALL, rng=np.random.default_rng(seed), per_user=40)
        assert len(set(drawn)) == len(drawn) == 43


def test_last_out_holds_back_the_last_event_of_those_who_have_two() -> None:
    events = log((1, 10, 1.0), (2, 20, 2.0), (1, 11, 3.0), (1, 12, 4.0), (3, 30, 5.0), (3, 30, 6.0))
    train, cases = last_out_cases(events)
    assert cases == [Case(1, 12, (10, 11))]
    assert train.items.tolist() == [10, 20, 11, 30, 30]
    assert histories(train) == [[10, 11], [20], [30, 30]]


def fixed(*rows: Sequence[float]) -> Outcome:
    """The outcome of scores for cases whose target is item 2 and whose user took item 0."""
    return rank_cases(lambda cases: np.array(rows, np.float32), [Case(0, 2, (0,))] * len(rows), k=2)


def test_a_rank_counts_what_is_better_and_half_of_what_ties_without_what_was_taken() -> None:
    outcome = fixed([9, 3, 2, 1], [9, 2, 2, 1], [9, 2, 2, 2], [9, 1, 2, 1])
    assert outcome.ranks.tolist() == [2.0, 1.5, 2.0, 1.0]
    assert outcome.shown.tolist() == [[1, 2], [1, 2], [1, 2], [2, 1]]


def test_ranking_among_some_items_leaves_the_others_out() -> None:
    scores = np.array([[5.0, 4.0, 3.0]] * 2, np.float32)
    ranks = expected_ranks(scores, [Case(0, 2, ()), Case(0, 0, ())], among=np.array([False, True, True]))
    assert ranks[0] == 2.0
    assert math.isnan(ranks[1])
    assert scores.max() == 5.0


def test_many_cases_are_ranked_in_batches_and_none_at_all_in_none() -> None:
    cases = [Case(0, number % 3, ()) for number in range(600)]
    outcome = rank_cases(lambda batch: np.tile(np.array([3, 2, 1], np.float32), (len(batch), 1)), cases)
    assert outcome.ranks.tolist() == [1.0, 2.0, 3.0] * 200
    assert outcome.shown.shape == (600, 3)
    nothing = rank_cases(lambda batch: np.empty((0, 3), np.float32), [])
    assert nothing.ranks.size == 0
    assert nothing.shown.shape == (0, 0)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidVector, match="not a number"):
        fixed([1, math.nan, 2, 3])


def test_accuracy_of_ranks_worked_out_by_hand() -> None:
    found = accuracy(np.array([1.0, 3.0, 10.0, 11.0, math.nan]))
    last = 1 / math.log2(11)  # the tenth place is the last that counts
    assert found["NDCG@10"].tolist() == pytest.approx([1.0, 0.5, last, 0.0, math.nan], nan_ok=True)
    assert found["HR@10"].tolist() == pytest.approx([1.0, 1.0, 1.0, 0.0, math.nan], nan_ok=True)
    assert found["MRR@10"].tolist() == pytest.approx([1.0, 1 / 3, 0.1, 0.0, math.nan], nan_ok=True)


def test_coverage_and_novelty_worked_out_by_hand() -> None:
    outcome = Outcome(ranks=np.ones(2), shown=np.array([[0, 1], [0, 2]]))
    assert coverage(outcome, 6) == 0.5
    # Shares 1/2, 1/4, 1/8 and 1/8 are 1, 2, 3 and 3 bits; an item without events counts as having one.
    assert novelty(outcome, [4, 2, 0, 1]) == pytest.approx((1 + 2 + 1 + 3) / 4)


def test_what_cannot_be_measured_is_not_a_number() -> None:
    nothing = Outcome(ranks=np.empty(0), shown=np.empty((0, 0), np.int64))
    assert math.isnan(coverage(nothing, 5))
    assert math.isnan(coverage(Outcome(ranks=np.ones(1), shown=np.zeros((1, 1), np.int64)), 0))
    assert math.isnan(novelty(nothing, [1, 2]))


def test_a_ready_list_is_read_without_what_its_user_took_and_may_miss_the_target() -> None:
    cases = [Case(0, 2, (0,)), Case(0, 2, ()), Case(1, 5, ())]
    outcome = list_outcome([[0, 1, 2, 3], [3, 2], [1]], cases, k=3)
    assert outcome.ranks.tolist() == [2.0, 2.0, math.inf]
    assert outcome.shown.tolist() == [[1, 2, 3], [3, 2, -1], [1, -1, -1]]
    assert coverage(outcome, 4) == 0.75
    assert accuracy(outcome.ranks)["NDCG@10"][2] == 0.0


def test_a_list_that_is_longer_than_the_catalogue_shows_nothing_that_was_taken() -> None:
    outcome = rank_cases(lambda cases: np.array([[3, 2, 1]], np.float32), [Case(0, 2, (0,))], k=3)
    assert outcome.shown.tolist() == [[1, 2, -1]]


def test_a_plan_by_time_learns_chooses_and_reports_on_one_part_after_the_other() -> None:
    events = Events.of(np.arange(100), np.arange(100), np.arange(100))
    found = plan(events, "temporal", rng=rng(), most=5, valid=0.2, test=0.1)
    assert len(found.train) == 70
    assert [case.target for case in found.valid] == list(range(70, 90))
    assert len(found.known) == 90
    assert len(found.test) == 5
    assert found.held.tolist() == list(range(90, 100))


def test_a_plan_by_time_keeps_a_tenth_for_the_report_and_a_tenth_to_choose_by() -> None:
    found = plan(Events.of(np.arange(100), np.arange(100), np.arange(100)), "temporal", rng=rng())
    assert (len(found.train), len(found.valid), len(found.test)) == (80, 10, 10)


def test_the_first_items_of_a_long_catalogue_are_its_best_in_order() -> None:
    scores = rng().permutation(200).reshape(4, 50).astype(np.float32)
    expected = [sorted(range(50), key=lambda item: -row[item])[:5] for row in scores.tolist()]
    taken = [Case(0, 0, (expected[0][0],)), *[Case(0, 0, ())] * 3]
    first = first_items(scores, taken, k=5).tolist()
    assert first[0][:4] == expected[0][1:]
    assert first[1:] == expected[1:]


def test_how_much_each_event_says_stands_beside_the_item_in_the_history() -> None:
    events = Events.of([1, 2, 1], [10, 20, 11], [3.0, 1.0, 2.0], [0.5, 1.0, 0.25])
    assert histories(events) == [[20], [11, 10]]
    assert amounts_by_user(events) == {2: [1.0], 1: [0.25, 0.5]}
    assert amounts_by_user(log((1, 10, 1.0))) is None


def test_lists_show_ten_items_unless_told_otherwise() -> None:
    case = [Case(0, 11, ())]
    scores = np.arange(12, 0, -1, dtype=np.float32)[None, :]
    first = list(range(10))
    assert rank_cases(lambda cases: scores, case).shown.tolist() == [first]
    assert list_outcome([list(range(12))], case).shown.tolist() == [first]
    assert first_items(scores, case).tolist() == [first]


def test_a_plan_of_last_events_chooses_by_those_before() -> None:
    events = log((1, 10, 1.0), (2, 20, 2.0), (1, 11, 3.0), (2, 21, 3.5), (1, 12, 4.0))
    found = plan(events, "last-out", rng=rng())
    assert found.test == [Case(1, 12, (10, 11)), Case(2, 21, (20,))] or found.test == [
        Case(2, 21, (20,)),
        Case(1, 12, (10, 11)),
    ]
    assert found.valid == [Case(1, 11, (10,))]
    assert found.train.items.tolist() == [10, 20]
    assert found.known.items.tolist() == [10, 20, 11]
    assert found.held.tolist() == [3, 4]
