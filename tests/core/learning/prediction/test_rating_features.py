"""Many signals made one probability, ratings foreseen from what came before, and drawn items told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case
from llmrec_plugin.learning.prediction.logistic import fit_linear, fit_logistic
from llmrec_plugin.learning.prediction.rating_features import COLUMNS, FEATURES, Ratings, rating_features
from llmrec_plugin.learning.selection.sampled_negatives import (
    Scores,
    draw_negatives,
    pair_features,
    sampled_measures,
)

DRAW = np.random.default_rng(0)


def test_probabilities_are_those_that_the_labels_were_drawn_with() -> None:
    features = DRAW.standard_normal((20_000, 2))
    chances = 1 / (1 + np.exp(-(1.0 + 2.0 * features[:, 0])))  # the second feature tells nothing
    fitted = fit_logistic(features, DRAW.random(20_000) < chances)
    assert np.abs(fitted.probabilities(features) - chances).mean() < 0.01
    assert abs(fitted.weights[1]) < 0.1


def test_labels_that_are_all_alike_or_told_without_fault_give_finite_weights() -> None:
    features = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert np.isfinite(fit_logistic(features, [True] * 4).weights).all()
    parted = fit_logistic(features, [False, False, True, True])
    assert np.isfinite(parted.weights).all()
    assert parted.probabilities(features)[3] > 0.7


def test_without_features_everybody_gets_the_share() -> None:
    nothing = np.empty((100, 0))
    labels = np.arange(100) < 70
    assert fit_logistic(nothing, labels).probabilities(nothing[:1])[0] == pytest.approx(0.7, abs=0.01)
    assert fit_linear(nothing, labels).values(nothing[:1])[0] == pytest.approx(0.7)


def test_a_line_is_found_again_and_a_constant_column_does_no_harm() -> None:
    features = np.column_stack([np.arange(50.0), np.ones(50)])
    fitted = fit_linear(features, 3 + 2 * np.arange(50.0), penalty=1e-6)
    assert fitted.values(features)[[0, 49]] == pytest.approx([3, 101], abs=1e-3)


VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)


def ratings(*rows: tuple[int, int, float, float]) -> Ratings:
    users, items, values, times = zip(*rows, strict=True)
    return Ratings(
        users=np.array(users), items=np.array(items), values=np.array(values), times=np.array(times)
    )


def feature(rows: np.ndarray, name: str) -> list[float]:
    return rows[:, FEATURES.index(name)].tolist()


def test_features_know_what_was_rated_strictly_earlier_and_nothing_else() -> None:
    log = ratings((0, 0, 5, 1), (0, 1, 5, 2), (0, 2, 1, 2), (1, 0, 5, 2), (0, 3, 1, 3))
    steps: list[tuple[int, int]] = []
    found = rating_features(
        log, VECTORS, VECTORS, [1, 4], progress=lambda done, total: steps.append((done, total))
    )
    # Rows 1 to 4. Of the second moment nobody knows the others: user 0 has one rating in both of its rows.
    assert np.expm1(feature(found, "user ratings")) == pytest.approx([1, 1, 0, 3])
    assert np.expm1(feature(found, "item ratings")) == pytest.approx([0, 0, 1, 0])
    # They liked item 0, like which item 1 is and item 2 is not; in the end they like 0 and 1 but not 2.
    assert feature(found, "liked texts") == [1.0, 0.0, 0.0, 0.0]
    assert feature(found, "disliked texts") == [0.0, 0.0, 0.0, 1.0]
    # Item 3 is like item 2, which was a disappointment.
    assert feature(found, "like texts")[3] < 0
    assert feature(found, "user mean")[2] == 0.0
    assert steps == [(1, 5), (5, 5)]


def test_ratings_of_others_say_that_two_items_please_the_same_people() -> None:
    """Items 0 and 1 are always rated alike, 2 and 3 the other way round."""
    rows = []
    for user in range(60):
        taste = 2.0 if user % 2 else -2.0
        for item, sign in enumerate((1, 1, -1, -1)):
            rows.append((user, item, 3 + sign * taste, float(10 * user + item)))
    found = rating_features(ratings(*rows), np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), [120])
    values = np.array([row[2] for row in rows[120:]])
    second = np.arange(len(values)) % 4 == 1  # item 1, when item 0 is known
    for name in ("explained", "neighbours"):
        column = np.array(feature(found, name))[second]
        assert (np.sign(column) == np.sign(values[second] - 3)).all(), name


def test_columns_name_features() -> None:
    assert all(set(wanted) <= set(FEATURES) for wanted in COLUMNS.values())


def test_a_log_that_begins_with_the_first_cut_has_nothing_to_learn_from() -> None:
    found = rating_features(ratings((0, 0, 5, 1), (0, 1, 5, 2)), VECTORS, VECTORS, [0])
    assert found.shape == (2, len(FEATURES))
    assert np.isfinite(found).all()


def test_what_is_drawn_is_neither_known_nor_the_target() -> None:
    cases = [Case(0, 1, (0, 2))] * 200 + [Case(1, 0, ())] * 200
    drawn = draw_negatives(cases, np.array([1, 1, 1, 3, 0]), rng=np.random.default_rng(0))
    assert set(drawn[:200].tolist()) == {3}
    assert set(drawn[200:].tolist()) == {1, 2, 3}
    # By weight 3 of 5: about 120 of 200.
    assert 95 < (drawn[200:] == 3).sum() < 145
    assert draw_negatives([Case(0, 1, (0, 2))], [1, 1, 1], rng=np.random.default_rng(0)).tolist() == [2]


def preferring(row: list[float]) -> Scores:
    return lambda histories: np.tile(np.array(row, np.float32), (len(histories), 1))


def test_a_pair_is_told_by_how_it_compares_with_the_catalogue_and_by_its_rank() -> None:
    features = pair_features({"a": preferring([3, 2, 1, 0])}, [Case(0, 0, ())], np.array([0]))
    # Mean 1.5, deviation 1.118; ties with itself count half, so that the first has rank 1/2.
    assert features[0] == pytest.approx([1.5 / np.sqrt(1.25), np.log(0.5)])
    flat = pair_features({"a": preferring([1, 1])}, [Case(0, 0, ())], np.array([0]))
    assert flat[0] == pytest.approx([0.0, 0.0])


def test_a_method_that_knows_is_told_from_popularity_that_does_not() -> None:
    """Half of the users take even items, the others odd ones; all items are as popular."""
    draw = np.random.default_rng(0)
    cases = [Case(user, 2 * int(draw.integers(20)) + user % 2, (user % 2,)) for user in range(300)]

    def knowing(histories: Sequence[Sequence[int]]) -> np.ndarray:
        odd = np.arange(40) % 2
        return np.array([(odd == past[0] % 2) + 0.0 for past in histories], np.float32)

    methods: dict[str, Scores] = {"popularity": preferring([1.0] * 40), "text-head": knowing}
    found = sampled_measures(
        methods,
        cases[:150],
        methods,
        cases[150:],
        np.ones(40),
        rng=np.random.default_rng(1),
    )
    # The drawn item is of the same parity in half of the cases: three in four pairs can be told at best.
    assert found["fused"]["accuracy"] > 0.7
    assert found["popularity"]["accuracy"] < 0.6
