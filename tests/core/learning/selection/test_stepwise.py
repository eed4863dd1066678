"""The ladder on planted worlds: it finds what is there, refuses luck, and stays low with few events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case, Events, amounts_by_user, temporal_cases, temporal_split
from llmrec_plugin.learning.scorers.catalogue_scores import Shares, Weights, scaled
from llmrec_plugin.learning.scorers.projection_head import user_states
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.learning.selection import stepwise
from llmrec_plugin.learning.selection.blends import BlendWeights, Spreads, weights_of
from llmrec_plugin.learning.selection.case_metrics import CaseMetrics
from llmrec_plugin.learning.selection.folds import Folds, Values
from llmrec_plugin.learning.selection.model_config import (
    HeadConfig,
    ScorerConfig,
    counted,
    fit_prior,
    fit_scorer,
    fit_text,
    points,
    recent_amounts,
)
from llmrec_plugin.learning.selection.steps import Climb, Comparer
from llmrec_plugin.learning.selection.stepwise import (
    Ladder,
    SelectionResult,
    gate_of,
    is_spared,
    select_stepwise,
)
from llmrec_plugin.learning.selection.transfer import Source
from llmrec_plugin.learning.selection.trials import TrialEvaluator
from llmrec_plugin.types import Matrix

ITEMS, USERS, LENGTH, D = 120, 300, 8, 8


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def catalogue() -> Matrix:
    rows = rng(1).normal(size=(ITEMS, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(step: np.ndarray, *, seed: int = 2) -> Events:
    """Each user goes from item to item as `step`, shape (items, items), gives odds; time runs on."""
    draw = rng(seed)
    users, items, times = [], [], []
    for user in range(USERS):
        item = int(draw.integers(ITEMS))
        for place in range(LENGTH):
            users.append(user)
            items.append(item)
            times.append(place * USERS + user)
            item = int(draw.choice(ITEMS, p=step[item]))
    return Events.of(users, items, times)


def odds(scores: np.ndarray, *, sharpness: float) -> np.ndarray:
    raised = np.exp(sharpness * scores.astype(np.float64))
    np.fill_diagonal(raised, 0.0)
    return raised / raised.sum(axis=1, keepdims=True)


SERVED = ScorerConfig(shares=Shares(taste=0.3, neighbours=0.6, popularity=0.1))


def choose(events: Events, vectors: Matrix, *, incumbent: ScorerConfig = SERVED) -> SelectionResult:
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    return select_stepwise(events, vectors, incumbent=incumbent, train=train, valid=valid, rng=rng())


def taken(choice: SelectionResult) -> list[str]:
    return [step.name for step in choice.steps if step.taken]


def test_a_rule_between_directions_is_learned_by_the_head() -> None:
    vectors = catalogue()
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    choice = choose(world(odds(vectors @ turn @ vectors.T, sharpness=9.0)), vectors)
    assert "head" in taken(choice)
    assert choice.gate is not None
    assert choice.gate.taken
    assert choice.config.head is not None
    assert choice.config.head.ridge is not None
    by_name = {step.name: step for step in choice.steps}
    assert by_name["head"].value > 2 * by_name["frozen"].value
    assert by_name["head"].low > 0


def test_likeness_needs_no_head() -> None:
    vectors = catalogue()
    choice = choose(world(odds(vectors @ vectors.T, sharpness=9.0)), vectors)
    assert "frozen" in taken(choice)
    by_name = {step.name: step for step in choice.steps}
    assert by_name["frozen"].value > 2 * by_name["popularity"].value


def test_what_texts_do_not_tell_is_learned_from_what_people_take_together() -> None:
    together = odds(np.kron(np.eye(ITEMS // 15), np.ones((15, 15))), sharpness=9.0)
    order = rng(4).permutation(ITEMS)
    choice = choose(world(together[order][:, order]), catalogue())
    assert "neighbours" in taken(choice)
    assert choice.config.weights is not None
    assert choice.config.weights.neighbours > 0


def test_what_comes_next_is_told_from_what_came_before() -> None:
    """A chain through all items, left at every third step: company alone leads back as often as on."""
    chain = np.roll(np.eye(ITEMS), 1, axis=1)[rng(4).permutation(ITEMS)]
    choice = choose(world(0.65 * chain + 0.35 / ITEMS), catalogue())
    assert "neighbours" in taken(choice)
    assert choice.config.neighbours.order > 0


def test_old_company_counts_less_where_it_no_longer_tells() -> None:
    """Groups of items are dealt anew half-way."""
    together = odds(np.kron(np.eye(ITEMS // 15), np.ones((15, 15))), sharpness=9.0)
    former, lately = (rng(seed).permutation(ITEMS) for seed in (4, 5))
    old, new = (world(together[order][:, order], seed=6) for order in (former, lately))
    count = len(old)
    events = Events.of(
        np.concatenate([old.users, new.users + USERS]),
        np.concatenate([old.items, new.items]),
        np.concatenate([old.times, new.times + count]),
    )
    choice = choose(events, catalogue())
    assert "neighbours" in taken(choice)
    assert choice.config.neighbours.recency is not None


def test_on_shuffled_events_the_ladder_stays_on_its_lowest_step() -> None:
    """A step may be taken by luck in one of twenty such worlds; of ten, two lucky ones would be too many
    in all but 1 % of runs."""
    stayed = 0
    for seed in range(10):
        choice = choose(world(np.full((ITEMS, ITEMS), 1 / ITEMS), seed=seed), catalogue())
        stayed += taken(choice) == ["popularity"] and choice.config == SERVED
    assert stayed >= 8


def test_what_counts_as_one_event_more_is_as_hard_to_beat_as_without_it() -> None:
    vectors = catalogue()
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    events = world(odds(vectors @ turn @ vectors.T, sharpness=12.0))
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    served = ScorerConfig(shares=Shares(taste=1.0), gamma=0.6, head=HeadConfig(ridge=1e-3, mix=0.3))

    def gain(source: Source | None) -> float:
        choice = select_stepwise(
            events, vectors, incumbent=served, source=source, train=train, valid=valid, rng=rng()
        )
        assert choice.gate is not None
        return choice.gate.gain

    assert gain(None) == pytest.approx(gain(Source(turn, weight=1.0)), abs=0.02)


def test_few_events_are_not_measured_at_all() -> None:
    events = world(odds(catalogue() @ catalogue().T, sharpness=9.0)).part(slice(0, 300))
    choice = choose(events, catalogue())
    assert choice.config == SERVED
    assert choice.gate is None
    assert choice.name == ""
    assert choice.cases < 200


def test_newcomers_to_whom_no_taste_is_served_have_no_say_in_it() -> None:
    """Hundreds who come while the choice is made, each for the same item, change nothing in it."""
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    known, newcomers = events.part(slice(0, valid.stop)), np.arange(USERS, 3 * USERS)
    crowded = Events.of(
        np.concatenate([known.users, newcomers]),
        np.concatenate([known.items, np.zeros_like(newcomers)]),
        np.concatenate([known.times, known.times[-1] + newcomers]),
    )
    longer = slice(valid.start, len(crowded))
    alone = select_stepwise(known, vectors, incumbent=SERVED, train=train, valid=valid, rng=rng())
    among_many = select_stepwise(crowded, vectors, incumbent=SERVED, train=train, valid=longer, rng=rng())
    assert alone.gate is not None
    assert among_many == alone


def test_what_is_served_stays_until_it_is_beaten() -> None:
    """The winner of the first training is the incumbent of the second, which finds nothing better."""
    vectors = catalogue()
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    events = world(odds(vectors @ turn @ vectors.T, sharpness=9.0))
    first = choose(events, vectors)
    assert first.config != SERVED
    again = choose(events, vectors, incumbent=first.config)
    assert again.gate is not None
    assert not again.gate.taken
    assert again.config == first.config


def test_where_tastes_change_the_latest_events_say_what_is_popular() -> None:
    draw = rng(5)
    count = USERS * LENGTH
    hot = (np.arange(count) // (count // 4)) * 30 + draw.integers(0, 30, size=count)
    events = Events.of(draw.integers(USERS, size=count), hot % ITEMS, np.arange(count))
    choice = select_stepwise(
        events,
        catalogue(),
        incumbent=ScorerConfig(shares=Shares(popularity=1.0)),
        train=slice(0, int(count * 0.87)),
        valid=slice(int(count * 0.87), count),
        rng=rng(),
    )
    assert choice.config.popularity != "all-time"
    assert choice.gate is not None
    assert choice.gate.taken


def test_recent_counts_are_those_of_the_latest_part_of_first_takings() -> None:
    users = [*range(98), 0, 1, 2]
    items = [0] * 90 + [1] * 8 + [2, 3, 0]
    events = Events.of(users, items, range(101))
    assert counted(events, "all-time", 5).tolist() == [90, 8, 1, 1, 0]  # user 2 had item 0 before
    assert counted(events, "recent", 5).tolist() == [0, 8, 1, 1, 0]
    assert counted(events, "latest", 5).tolist() == [0, 1, 1, 1, 0]
    assert counted(Events.of([], [], []), "recent", 2).tolist() == [0, 0]


def test_what_nobody_took_counts_as_average_and_what_went_out_of_fashion_as_nothing() -> None:
    events = Events.of(range(20), [0] * 18 + [1, 1], range(20))
    assert fit_prior(events, "recent", 3).tolist() == pytest.approx([0, 1, 0.5])


def test_progress_is_told_and_the_same_events_give_the_same_choice() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    told: list[tuple[int, int]] = []
    first, second = (
        select_stepwise(
            events,
            vectors,
            incumbent=SERVED,
            train=train,
            valid=valid,
            rng=rng(),
            progress=lambda done, total: told.append((done, total)),
        )
        for _ in range(2)
    )
    assert first == second
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    assert all(done <= total for done, total in told)


def hundred_users() -> CaseMetrics:
    """One case of each; items 1, 2 and 3 are new."""
    cases = [Case(number, 1, (0,)) for number in range(100)]
    events = Events.of([0] * (ITEMS - 3), [0, *range(4, ITEMS)], range(ITEMS - 3))
    return CaseMetrics.of(cases, events=events, items=ITEMS)


def comparer() -> Comparer:
    return Comparer(hundred_users().users, rng())


def tried(climb: Climb, name: str, values: Values, *, spares_new: bool = True) -> Climb:
    return climb.tried(name, values, comparer(), spares_new=spares_new, progress=lambda done, total: None)


def test_a_winner_that_new_items_pay_for_is_refused_and_the_reason_told() -> None:
    refused = tried(Climb.begin("popularity", np.zeros(100)), "head", np.ones(100), spares_new=False)
    assert (refused.steps[-1].taken, refused.steps[-1].reason) == (False, "new-items")
    assert refused.values.tolist() == [0.0] * 100
    after = tried(refused, "head", np.ones(100))
    assert (after.steps[-1].taken, after.steps[-1].reason) == (True, "")


def test_new_items_pay_for_it_where_they_are_clearly_ranked_worse_than_by_frozen_vectors() -> None:
    assert not is_spared(0.4, 0.5)
    assert is_spared(0.49, 0.5)


def test_too_few_new_items_tell_nothing_for_or_against() -> None:
    assert is_spared(0.1, float("nan"))
    assert is_spared(float("nan"), 0.5)


def test_enough_new_items_are_measured_among_themselves() -> None:
    metrics = hundred_users()
    scores = np.zeros((1, ITEMS), np.float32)
    scores[0, 2] = 1.0
    # Item 1 is the second of the three new ones, tied with the third: rank 2.5.
    assert metrics.cold_mean(lambda past, amounts: np.repeat(scores, len(past), axis=0)) == pytest.approx(
        1 / np.log2(3.5)
    )
    metrics.new[1] = False
    assert np.isnan(metrics.cold_mean(lambda past, amounts: np.repeat(scores, len(past), axis=0)))


def test_the_chosen_text_model_is_fitted_again_on_all_events() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    only_whitened = ScorerConfig(shares=SERVED.shares, gamma=0.8, head=HeadConfig())
    whitened = fit_text(only_whitened, events, vectors)
    assert whitened is not None
    assert whitened.adapted == pytest.approx(fit_whitening(vectors).matrix)
    learned = ScorerConfig(shares=SERVED.shares, gamma=0.8, head=HeadConfig(ridge=0.01, mix=0.3))
    first, second = fit_text(learned, events, vectors), fit_text(learned, events, vectors)
    assert first is not None
    assert second is not None
    assert first.adapted == pytest.approx(second.adapted)
    assert not np.allclose(first.adapted, whitened.adapted)
    assert fit_text(SERVED, events, vectors) is None


def test_sources_are_scaled_by_their_range_and_what_tells_nothing_is_zero() -> None:
    sources = scaled(
        np.array([[0.2, 0.4, 0.6], [1, 1, 1]], np.float32),
        np.array([[0, 2, 4], [0, 0, 0]], np.float32),
        np.array([1, 1, 3], np.float32),
    )
    fused = sources.fused(Shares(taste=0.5, neighbours=0.25, popularity=0.25))
    assert fused == pytest.approx(np.array([[0, 0.375, 1.0], [0, 0, 0.25]]))


def test_states_and_scores_agree_on_the_user() -> None:
    """What the head is fitted on is what it is used on."""
    vectors = catalogue()
    state = user_states(vectors[[3, 5, 7]], gamma=0.6)[-1]
    direct = np.array([0.36, 0.6, 1.0], np.float32) @ vectors[[3, 5, 7]]
    assert state == pytest.approx(direct / np.linalg.norm(direct), abs=1e-6)


def test_weights_are_points_per_spread_and_a_list_usually_spans_one() -> None:
    blend = BlendWeights(2.0, 1.0, 4.0, "recent")
    assert weights_of(blend, Spreads(taste=0.5, neighbours=0.1)) == Weights(
        taste=4.0, neighbours=10.0, popularity=4.0
    )
    # Nothing follows from anything: the source is left out.
    assert weights_of(blend, Spreads(taste=0.5, neighbours=0.0)).neighbours == 0.0
    assert Weights(taste=4.0, neighbours=2.0).divided(2.0) == Weights(taste=2.0, neighbours=1.0)
    assert Weights(taste=4.0).divided(0.0) == Weights(taste=4.0)


def test_the_chosen_setup_scores_as_it_was_measured() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    choice = choose(events, vectors)
    assert choice.config.weights is not None
    fitted = fit_scorer(choice.config, events, vectors)
    scores = fitted([(3, 5, 7), (1,), ()])
    assert scores.shape == (3, ITEMS)
    assert np.ptp(scores[:2], axis=1) == pytest.approx(1.0, abs=0.5)
    assert scores == pytest.approx(
        choice.config.weights.fused(
            fitted.text([(3, 5, 7), (1,), ()]), fitted.neighbours([(3, 5, 7), (1,), ()]), fitted.prior
        )
    )
    shares = fit_scorer(SERVED, events, vectors)([(3, 5, 7)])
    assert shares.min() >= -1e-6
    assert shares.max() <= 1.0 + 1e-6


def test_a_climb_that_does_not_clearly_beat_its_lowest_step_is_taken_back() -> None:
    lowest = Climb.begin("popularity", np.zeros(100))
    lucky = np.zeros(100)
    lucky[:3] = 1.0  # three users of a hundred: enough for a step, not for the whole
    climb = tried(lowest, "frozen", lucky)
    assert climb.stands_higher
    doubtful = climb.confirmed(comparer())
    assert not doubtful.stands_higher
    assert [(step.taken, step.reason) for step in doubtful.steps] == [(True, ""), (False, "luck")]
    assert doubtful.values is lowest.values
    clear = tried(doubtful, "frozen", np.ones(100))
    assert clear.confirmed(comparer()) is clear


def test_what_an_event_says_of_its_user_counts_in_all_that_is_learned_and_measured() -> None:
    """The same log twice: as it is, and with events about other items in between that count nothing."""
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    amounts = np.ones(len(events), np.float32)
    amounts[rng(6).random(len(events)) < 0.5] = 1e-6
    weighed = Events(events.users, events.items, events.times, amounts)
    config = ScorerConfig(weights=Weights(taste=1.0, neighbours=1.0), head=HeadConfig(ridge=0.01, mix=1.0))
    alike, counted_less = fit_scorer(config, events, vectors), fit_scorer(config, weighed, vectors)
    assert not np.allclose(alike.text.directions, counted_less.text.directions)
    assert not np.allclose(alike.neighbours.neighbours.weights, counted_less.neighbours.neighbours.weights)
    # One of two past items counts nothing: as if it were not there.
    assert alike([(3, 5)], [(1.0, 0.0)]) == pytest.approx(alike([(3,)]), abs=1e-6)


def test_cases_are_measured_by_what_the_events_before_them_count() -> None:
    events = Events.of([0, 0, 0, 1], [1, 2, 3, 1], [0, 1, 2, 3], [1.0, 0.25, 0.5, 1.0])
    cases = [Case(0, 3, (1, 2)), Case(1, 1, ())]
    assert recent_amounts(cases, amounts_by_user(events)) == [[1.0, 0.25], []]
    assert recent_amounts(cases, amounts_by_user(Events.of([0], [0], [0]))) is None
    assert events.part(slice(1, 3)).amounts == pytest.approx([0.25, 0.5])


def test_the_calibration_belongs_to_what_is_served() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    choice = choose(events, vectors)
    assert choice.pointwise is not None
    fitted = fit_scorer(choice.config, events.part(slice(0, round(len(events) * 0.7))), vectors)
    assert choice.config.weights is not None
    score = fitted([(3,)])[0]
    likely = choice.pointwise(np.stack(points(choice.config.weights, fitted, [(3,)]), axis=2)[0])
    assert likely[score.argmax()] > 0.8 > 0.4 > likely[score.argmin()]


def test_uncalibrated_weights_have_no_probabilities() -> None:
    vectors = catalogue()
    choice = choose(world(np.full((ITEMS, ITEMS), 1 / ITEMS), seed=1), vectors)
    assert choice.config == SERVED
    assert choice.pointwise is None


def test_the_same_few_items_for_everybody_do_not_replace_lists_of_many() -> None:
    metrics = hundred_users()
    columns = np.arange(ITEMS)

    def varied(past: Sequence[Sequence[int]], amounts: object) -> Matrix:
        """Each list begins at another item."""
        draw = rng(len(past))
        starts = draw.integers(ITEMS, size=len(past))
        return (-((columns[None, :] - starts[:, None]) % ITEMS)).astype(np.float32)

    def same(past: Sequence[Sequence[int]], amounts: object) -> Matrix:
        return np.tile(columns.astype(np.float32), (len(past), 1))

    assert metrics.coverage(same) == pytest.approx(10 / ITEMS)
    gate = gate_of(np.ones(100), same, varied, metrics, comparer())
    assert gate.low > 0
    assert (gate.taken, gate.reason) == (False, "coverage")
    assert gate_of(np.ones(100), varied, same, metrics, comparer()).taken
    assert gate_of(np.zeros(100), same, varied, metrics, comparer()).reason == ""


def in_fashion(*, share: float, sharpness: float) -> Events:
    """Most take one of six popular items, `share` of all events; the others what is like their last one."""
    popular = np.zeros(ITEMS)
    popular[:6] = np.arange(1, 7) ** -0.5
    like = odds(catalogue() @ catalogue().T, sharpness=sharpness)
    return world(share * popular / popular.sum() + (1 - share) * like)


def prepared(events: Events) -> Ladder:
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    cases = temporal_cases(events.part(slice(0, valid.stop)), valid, rng=rng())
    folds = Folds.dealt([case.user for case in cases], rng())
    trials = TrialEvaluator.of(events.part(train), cases, catalogue(), folds=folds)
    return Ladder(trials, Comparer(trials.metrics.users, rng()), lambda done, total: None)


def test_the_best_lists_that_show_enough_items_stand_in_for_better_ones_that_do_not() -> None:
    ladder = prepared(in_fashion(share=0.5, sharpness=60.0))
    fits, metrics = ladder.trials.fits, ladder.trials.metrics
    best = ladder.climb()
    shown = metrics.coverage(fits.fitted(best.config))
    varied, proven = ladder.vary(best, least=shown + 0.1)
    assert proven
    assert metrics.coverage(fits.fitted(varied.config)) >= shown + 0.1
    assert best.climb.lowest.mean() < varied.climb.values.mean() < best.climb.values.mean()
    by_name = {step.name: step for step in varied.climb.steps}
    assert (by_name["varied"].taken, by_name["neighbours"].taken, by_name["neighbours"].reason) == (
        True,
        False,
        "coverage",
    )


def test_where_no_lists_show_enough_items_nothing_is_tried_anew() -> None:
    ladder = prepared(in_fashion(share=0.7, sharpness=30.0))
    best = ladder.climb()
    after, proven = ladder.vary(best, least=1.01)
    assert not proven
    assert after.climb.steps == best.climb.steps


def test_popular_items_that_only_luck_can_beat_stay_refused_for_showing_too_little() -> None:
    """Nobody has a taste, and what is served shows nearly every item."""
    choice = choose(
        in_fashion(share=0.8, sharpness=0.0), catalogue(), incumbent=ScorerConfig(shares=Shares(taste=1.0))
    )
    assert choice.gate is not None
    assert (choice.gate.taken, choice.gate.reason) == (False, "coverage")
    assert choice.steps[-1].name == "varied"
    assert taken(choice) == ["popularity"]


def test_what_shows_enough_items_is_served_in_place_of_the_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers shows nearly every item, and the best of all mixtures less than half of them."""
    monkeypatch.setattr(stepwise, "COVERAGE_KEPT", 0.65)
    choice = choose(
        in_fashion(share=0.5, sharpness=60.0), catalogue(), incumbent=ScorerConfig(shares=Shares(taste=1.0))
    )
    assert choice.name == "varied"
    assert choice.gate is not None
    assert choice.gate.taken
