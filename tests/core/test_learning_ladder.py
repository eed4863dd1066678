"""The ladder on planted worlds: it finds what is there, refuses luck, and stays low with few events."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case, Events, temporal_split
from llmrec_plugin.learning.head import user_states
from llmrec_plugin.learning.ladder import (
    Choice,
    HeadSettings,
    Setup,
    _Climb,
    climb,
    counted,
    fit_text,
)
from llmrec_plugin.learning.neighbours import ease
from llmrec_plugin.learning.neighbours import taken as took
from llmrec_plugin.learning.scoring import Collaborative, Shares, scaled
from llmrec_plugin.learning.whitening import fit_whitening
from llmrec_plugin.types import Matrix

ITEMS, USERS, LENGTH, D = 120, 300, 8, 8


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def catalogue() -> Matrix:
    rows = rng(1).normal(size=(ITEMS, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(step: Matrix, *, seed: int = 2) -> Events:
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


def odds(scores: Matrix, *, sharpness: float) -> Matrix:
    raised = np.exp(sharpness * scores.astype(np.float64))
    np.fill_diagonal(raised, 0.0)
    return raised / raised.sum(axis=1, keepdims=True)


SERVED = Setup(shares=Shares(taste=0.3, also=0.6, popularity=0.1))


def choose(events: Events, vectors: Matrix, *, incumbent: Setup = SERVED) -> Choice:
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    return climb(events, vectors, incumbent=incumbent, train=train, valid=valid, rng=rng())


def taken(choice: Choice) -> list[str]:
    return [step.name for step in choice.steps if step.taken]


def test_a_rule_between_directions_is_learned_by_the_head() -> None:
    vectors = catalogue()
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    choice = choose(world(odds(vectors @ turn @ vectors.T, sharpness=9.0)), vectors)
    assert "head" in taken(choice)
    assert choice.gate is not None
    assert choice.gate.taken
    assert choice.setup.head is not None
    assert choice.setup.head.ridge is not None
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
    assert choice.setup.shares.also > choice.setup.shares.taste


def test_on_shuffled_events_the_ladder_stays_on_its_lowest_step() -> None:
    """A step may be taken by luck in one of twenty such worlds; of ten, two lucky ones would be too many
    in all but 1 % of runs."""
    stayed = 0
    for seed in range(10):
        choice = choose(world(np.full((ITEMS, ITEMS), 1 / ITEMS), seed=seed), catalogue())
        stayed += taken(choice) == ["popularity"] and choice.setup == SERVED
    assert stayed >= 8


def test_few_events_are_not_measured_at_all() -> None:
    events = world(odds(catalogue() @ catalogue().T, sharpness=9.0)).part(slice(0, 300))
    choice = choose(events, catalogue())
    assert choice.setup == SERVED
    assert choice.gate is None
    assert choice.name == ""
    assert choice.cases < 200


def test_what_is_served_stays_until_it_is_beaten() -> None:
    """The winner of the first training is the incumbent of the second, which finds nothing better."""
    vectors = catalogue()
    turn = np.linalg.qr(rng(3).normal(size=(D, D)))[0].astype(np.float32)
    events = world(odds(vectors @ turn @ vectors.T, sharpness=9.0))
    first = choose(events, vectors)
    assert first.setup != SERVED
    again = choose(events, vectors, incumbent=first.setup)
    assert again.gate is not None
    assert not again.gate.taken
    assert again.setup == first.setup


def test_where_tastes_change_the_latest_events_say_what_is_popular() -> None:
    draw = rng(5)
    count = USERS * LENGTH
    hot = (np.arange(count) // (count // 4)) * 30 + draw.integers(0, 30, size=count)
    events = Events.of(draw.integers(USERS, size=count), hot % ITEMS, np.arange(count))
    choice = climb(
        events,
        catalogue(),
        incumbent=Setup(shares=Shares(popularity=1.0)),
        train=slice(0, int(count * 0.87)),
        valid=slice(int(count * 0.87), count),
        rng=rng(),
    )
    assert choice.setup.popularity == "recent"
    assert choice.gate is not None
    assert choice.gate.taken


def test_recent_counts_are_those_of_the_latest_tenth() -> None:
    items = np.array([0] * 18 + [1, 2])
    assert counted(items, "all-time", 4).tolist() == [18, 1, 1, 0]
    assert counted(items, "recent", 4).tolist() == [0, 1, 1, 0]
    assert counted(items[:0], "recent", 2).tolist() == [0, 0]


def test_progress_is_told_and_the_same_events_give_the_same_choice() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    train, valid, _ = temporal_split(events, valid=0.2, test=0.1)
    told: list[tuple[int, int]] = []
    first, second = (
        climb(
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


def climbing(cold_value: float) -> _Climb:
    vectors = catalogue()
    return _Climb(
        events=Events.of([], [], []),
        cases=[Case(number, 1, (0,)) for number in range(100)],
        vectors=vectors,
        whitening=fit_whitening(vectors),
        neighbours=Collaborative(ease(took(np.array([0]), np.array([0]), catalogue=ITEMS))),
        priors={"all-time": np.zeros(ITEMS, np.float32)},
        cold=np.zeros(ITEMS, np.bool_),
        rng=rng(),
        values=np.zeros(100),
        chooses=np.arange(100) % 2 == 0,
        cold_value=cold_value,
        steps=[],
    )


def test_a_winner_that_new_items_pay_for_is_refused_and_the_reason_told() -> None:
    state = climbing(cold_value=0.5)
    assert not state.try_step("head", np.ones(100), cold=0.4)
    assert state.steps[-1].reason == "new-items"
    assert state.try_step("head", np.ones(100), cold=0.49)
    assert state.steps[-1].reason == ""


def test_too_few_new_items_tell_nothing_for_or_against() -> None:
    state = climbing(cold_value=float("nan"))
    assert state.try_step("head", np.ones(100), cold=0.1)
    state = climbing(cold_value=0.5)
    assert state.try_step("head", np.ones(100))


def test_enough_new_items_are_measured_among_themselves() -> None:
    state = climbing(cold_value=0.5)
    state.cold[1:4] = True
    scores = np.zeros((1, ITEMS), np.float32)
    scores[0, 2] = 1.0
    # Item 1 is the second of the three new ones, tied with the third: rank 2.5.
    assert state.cold_mean(lambda batch: np.repeat(scores, len(batch), axis=0)) == pytest.approx(
        1 / np.log2(3.5)
    )
    state.cold[1] = False
    assert np.isnan(state.cold_mean(lambda batch: np.repeat(scores, len(batch), axis=0)))


def test_the_chosen_text_model_is_fitted_again_on_all_events() -> None:
    vectors = catalogue()
    events = world(odds(vectors @ vectors.T, sharpness=9.0))
    only_whitened = Setup(shares=SERVED.shares, gamma=0.8, head=HeadSettings())
    whitened = fit_text(only_whitened, events, vectors)
    assert whitened is not None
    assert whitened.adapted == pytest.approx(fit_whitening(vectors).matrix)
    learned = Setup(shares=SERVED.shares, gamma=0.8, head=HeadSettings(ridge=0.01, mix=0.3))
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
    fused = sources.fused(Shares(taste=0.5, also=0.25, popularity=0.25))
    assert fused == pytest.approx(np.array([[0, 0.375, 1.0], [0, 0, 0.25]]))


def test_states_and_scores_agree_on_the_user() -> None:
    """What the head is fitted on is what it is used on."""
    vectors = catalogue()
    state = user_states(vectors[[3, 5, 7]], gamma=0.6)[-1]
    direct = np.array([0.36, 0.6, 1.0], np.float32) @ vectors[[3, 5, 7]]
    assert state == pytest.approx(direct / np.linalg.norm(direct), abs=1e-6)
