"""Settings are chosen by other users than those that they are measured on."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.learning.selection.folds import CHOOSERS, FOLDS, Folds


def test_users_stay_whole_and_folds_are_of_one_size() -> None:
    users = [user for user in range(40) for _ in range(user % 3 + 1)]
    folds = Folds.dealt(users, np.random.default_rng(0))
    by_user: dict[int, set[int]] = {user: set() for user in users}
    for user, number in zip(users, folds.numbers.tolist(), strict=True):
        by_user[user].add(number)
    assert all(len(numbers) == 1 for numbers in by_user.values())
    assert [len([1 for numbers in by_user.values() if fold in numbers]) for fold in range(FOLDS)] == [10] * 4


def test_the_best_of_many_worthless_settings_gets_no_praise_for_luck() -> None:
    """Three hundred settings that are as good as any: the best looks better than 0.5, and is not."""
    draw = np.random.default_rng(1)
    values = draw.integers(0, 2, size=(300, 200)).astype(np.float64)
    folds = Folds.dealt(range(200), draw)
    chosen = folds.select(range(300), values)
    assert values[chosen.final].mean() > 0.58
    assert chosen.honest.mean() == pytest.approx(0.5, abs=0.1)


def test_a_setting_that_is_better_for_all_is_chosen_by_all() -> None:
    values = np.zeros((3, 100))
    values[1] = 1.0
    chosen = Folds.dealt(range(100), np.random.default_rng(2)).select("abc", values)
    assert list(chosen.picks) == ["b"] * CHOOSERS
    assert chosen.honest.tolist() == [1.0] * 100


def test_each_chooser_may_have_values_of_its_own() -> None:
    folds = Folds(np.array([0, 1, 2, 3]))
    by_chooser = [np.full((1, 4), float(number)) for number in range(CHOOSERS)]
    assert folds.select(["only"], *by_chooser).honest.tolist() == [0.0, 1.0, 2.0, 3.0]
