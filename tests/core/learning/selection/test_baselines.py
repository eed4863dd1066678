"""The methods that lists are measured against, in a world where the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Case, Events, Plan, plan, rank_cases
from llmrec_plugin.learning.scorers.tfidf import WordLikeness, tfidf
from llmrec_plugin.learning.selection.baselines import BASELINES, METHODS, Catalogue, Method, fit

FAMILIES, MEMBERS, USERS, LENGTH = 5, 8, 60, 10


def world() -> tuple[Events, Catalogue]:
    """Every user keeps to one family, whose members share a direction and a word."""
    draw = np.random.default_rng(0)
    items = FAMILIES * MEMBERS
    vectors = 0.2 * draw.standard_normal((items, 16)).astype(np.float32)
    vectors[np.arange(items), np.arange(items) // MEMBERS] += 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = tfidf([[f"family{item // MEMBERS}", f"item{item}"] for item in range(items)])
    users, taken, times = [], [], []
    for user in range(USERS):
        own = (user % FAMILIES) * MEMBERS + draw.permutation(MEMBERS)
        for place, item in enumerate(own):
            users.append(user)
            taken.append(int(item))
            times.append(place * USERS + user)
    return Events.of(users, taken, times), Catalogue(vectors=vectors, words=words)


def chosen(events: Events) -> Plan:
    return plan(events, "temporal", rng=np.random.default_rng(0))


def hits(name: str) -> float:
    """Share of the targets among the first five: half a family is known, and it has eight members."""
    events, catalogue = world()
    cases = chosen(events)
    found = fit(METHODS[name], cases, catalogue)
    return float((rank_cases(found, cases.test).ranks <= 5).mean())


@pytest.mark.parametrize("name", ["item-knn", "ease", "tf-idf", "text-frozen", "text-head", "text-ease"])
def test_a_method_that_sees_the_families_finds_what_is_left_of_them(name: str) -> None:
    assert hits(name) > 0.9


@pytest.mark.parametrize("name", ["popularity", "recent popularity"])
def test_popularity_knows_no_families(name: str) -> None:
    assert hits(name) < 0.5


def test_baselines_are_methods() -> None:
    assert set(BASELINES) < set(METHODS)


def scoring(item: float) -> Method:
    """Prefers the item that its setting names."""

    def learn(events: Events, catalogue: Catalogue) -> object:
        return lambda settings: (
            lambda histories: np.tile(
                (np.arange(len(catalogue)) == settings["item"]).astype(np.float32), (len(histories), 1)
            )
        )

    return Method(learn=learn, grid=[{"item": 0.0}, {"item": item}])  # type: ignore[arg-type]


def test_the_setting_that_foresees_the_validation_best_is_taken() -> None:
    events, catalogue = world()
    nothing = events.part(slice(0, 0))
    held = np.empty(0, np.int64)
    asked = Plan(train=events, valid=[Case(0, 7, ())], known=events, test=[], held=held)
    steps: list[tuple[int, int]] = []
    found = fit(scoring(7.0), asked, catalogue, progress=lambda done, total: steps.append((done, total)))
    assert found.settings == {"item": 7.0}
    assert steps == [(1, 2), (2, 2)]
    assert found([Case(0, 7, ())])[0].argmax() == 7
    unasked = Plan(train=nothing, valid=[], known=events, test=[], held=held)
    assert fit(scoring(7.0), unasked, catalogue).settings == {"item": 0.0}


def test_words_count_for_their_rarity_and_older_items_for_less() -> None:
    # Of six texts "all" is in five and weighs log(6 / 5) + 1 = 1.1823, "rare" is in two and weighs 2.0986.
    texts = tfidf([["all", "rare"], ["all", "rare"], ["all", "one"], ["all", "one"], ["all"], []])
    assert texts[[0]].toarray()[0] == pytest.approx([1.1823 / 2.4088, 2.0986 / 2.4088, 0], abs=1e-4)
    likeness = WordLikeness(texts, gamma=0.5)([[0, 2], []])
    assert likeness[0, 3] > likeness[0, 1] > likeness[0, 4] > 0
    assert likeness[0, 5] == 0
    assert not likeness[1].any()
    assert tfidf([[]]).shape == (1, 1)
