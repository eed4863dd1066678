"""Suggested synonyms: a planted pair is found, chance gives none, and what few do stays theirs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec_plugin.learning.mining.synonyms import Search, Suggestion, differing, suggest, surprise

QUERIES = [
    tuple(text.split()) for text in ("lamp", "oak table", "green chair", "mug", "pen", "rug", "hose", "tray")
]
LEAST = 5


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def noise(visitors: int = 300, *, seed: int = 0, items: int = 40) -> list[Search]:
    """Everybody searches for three things that come to mind, and takes what lies about, or nothing."""
    random = np.random.default_rng(seed)
    return [
        Search(
            visitor=f"noise-{visitor}",
            words=QUERIES[int(random.integers(len(QUERIES)))],
            at=number * 60.0,
            taken=frozenset([f"item-{random.integers(items)}"] if random.random() < 0.5 else []),
        )
        for visitor in range(visitors)
        for number in range(3)
    ]


def reworded(first: str, second: str, *, visitors: int, name: str = "", later: float = 60.0) -> list[Search]:
    rows = []
    for number in range(visitors):
        who = f"{name or first}-{number}"
        rows.append(Search(visitor=who, words=tuple(first.split()), at=0.0))
        rows.append(
            Search(
                visitor=who,
                words=tuple(second.split()),
                at=later,
                taken=frozenset([f"{second} {number % 3}"]),
            )
        )
    return rows


def took(text: str, items: list[str], *, visitors: int) -> list[Search]:
    return [
        Search(
            visitor=f"{text}-taker-{number}",
            words=tuple(text.split()),
            at=0.0,
            taken=frozenset([items[number % len(items)]]),
        )
        for number in range(visitors)
    ]


def found(rows: list[Search], least: int = LEAST) -> list[Suggestion]:
    return suggest(rows, least=least, rng=rng())


def test_searches_in_other_words_are_found_one_way() -> None:
    (only,) = found([*noise(), *reworded("sofa", "couch", visitors=12)])
    assert (only.typed, only.found, only.two_way) == (("sofa",), ("couch",), False)
    assert (only.visitors, only.reasons) == (12, ("reworded",))
    assert only.examples == ((("sofa",), ("couch",), 12),)


def test_in_both_directions_they_are_two_way() -> None:
    rows = [*noise(), *reworded("sofa", "couch", visitors=8), *reworded("couch", "sofa", visitors=7)]
    (only,) = found(rows)
    assert (only.typed, only.found, only.two_way, only.visitors) == (("couch",), ("sofa",), True, 15)


def test_searches_that_lead_to_the_same_items_are_two_way() -> None:
    shared = ["a", "b", "c"]
    (only,) = found([*noise(), *took("beamer", shared, visitors=12), *took("projector", shared, visitors=15)])
    assert (only.typed, only.found, only.two_way) == (("beamer",), ("projector",), True)
    assert (only.visitors, only.reasons) == (27, ("same items",))


def test_what_differs_in_several_searches_is_suggested_alone() -> None:
    rows = [
        *noise(),
        *reworded("red sofa", "red couch", visitors=7),
        *reworded("sofa cover", "couch cover", visitors=6),
    ]
    (only,) = found(rows)
    assert (only.typed, only.found, only.visitors) == (("sofa",), ("couch",), 13)
    assert [count for *_, count in only.examples] == [7, 6]


def test_what_differs_in_one_search_is_suggested_with_the_rest_of_it() -> None:
    (only,) = found([*noise(), *reworded("hot dog", "hot sausage", visitors=9)])
    assert (only.typed, only.found) == (("hot", "dog"), ("hot", "sausage"))


def test_who_only_says_more_or_less_says_no_synonym() -> None:
    assert found([*noise(), *reworded("phone", "phone case", visitors=20)]) == []


@pytest.mark.parametrize("seed", range(8))
def test_chance_suggests_nothing(seed: int) -> None:
    assert found(noise(seed=seed)) == []
    assert found(noise(seed=seed, items=4), least=1) == []


def test_what_few_visitors_do_is_not_told() -> None:
    assert found([*noise(), *reworded("sofa", "couch", visitors=4)]) == []
    again = [
        Search(visitor="one", words=row.words, at=row.at + 1000 * number, taken=row.taken)
        for number in range(20)
        for row in reworded("sofa", "couch", visitors=1)
    ]
    assert found([*noise(), *again]) == []


def test_another_day_or_after_a_success_it_is_another_wish() -> None:
    assert found([*noise(), *reworded("sofa", "couch", visitors=12, later=3600.0)]) == []
    content = [
        Search(
            visitor=row.visitor, words=row.words, at=row.at, taken=frozenset([f"{row.words} {row.visitor}"])
        )
        for row in reworded("sofa", "couch", visitors=12)
    ]
    assert found([*noise(), *content]) == []


def test_items_that_only_one_side_takes_often_are_not_enough() -> None:
    rows = [*noise(), *took("beamer", ["a"], visitors=12), *took("projector", ["a", *"xyz"], visitors=12)]
    assert found(rows) == []  # three of twelve took it


def test_searches_of_one_kind_are_no_synonyms_for_leading_to_the_same_things() -> None:
    mugs = [f"mug {number}" for number in range(6)]
    rows = [
        row
        for word in ("gift", "present", "cup", "beaker", "dad", "mum")
        for row in took(word, mugs, visitors=30)
    ]
    assert found([*noise(), *rows]) == []


def test_who_took_the_same_must_be_enough_on_both_sides() -> None:
    many = [Search(visitor=f"v{n}", words=("beamer",), at=0.0, taken=frozenset("abc")) for n in range(20)]
    few = [Search(visitor=f"w{n}", words=("projector",), at=0.0, taken=frozenset("abc")) for n in range(4)]
    bored = [Search(visitor=f"b{n}", words=("projector",), at=0.0) for n in range(9)]
    assert found([*noise(), *many, *few, *bored]) == []


def test_an_empty_log_suggests_nothing() -> None:
    assert found([]) == []


def test_what_differs_is_what_stands_between_what_is_the_same() -> None:
    assert differing(("red", "sofa", "cover"), ("red", "couch", "cover")) == (("sofa",), ("couch",))
    assert differing(("sofa",), ("corner", "couch")) == (("sofa",), ("corner", "couch"))
    assert differing(("red", "red"), ("red",)) is None
    assert differing(("a", "b"), ("a", "b")) is None


def test_surprise_is_a_log_likelihood_ratio() -> None:
    # 10 of 10 with 10 of 10, among 100: 2 * (10 ln 10 + 90 ln(100 / 90))
    assert surprise(10, 10, 10, 100) == pytest.approx(2 * (10 * math.log(10) + 90 * math.log(100 / 90)))
    assert surprise(1, 10, 10, 100) == 0.0
