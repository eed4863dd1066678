"""What a site adds is found by its name, and a wrong one is answered with the nearest and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.registries import NameRegistry


@dataclass(frozen=True)
class Fruit:
    name: str


@pytest.fixture
def fruits() -> NameRegistry[Fruit]:
    registry: NameRegistry[Fruit] = NameRegistry("fruit", register="register_fruit")
    for name in ("pear", "apple"):
        registry.register(Fruit(name))
    return registry


def test_what_was_declared_is_found_by_name_and_in_order(fruits: NameRegistry[Fruit]) -> None:
    plum = fruits.register(Fruit("plum"))
    assert fruits.get("plum") is plum
    assert fruits.names() == ("pear", "apple", "plum")
    assert [fruit.name for fruit in fruits] == ["pear", "apple", "plum"]
    assert "plum" in fruits
    fruits.unregister("plum")
    assert "plum" not in fruits


def test_of_two_of_one_name_the_second_is_told_who_declared_the_first(fruits: NameRegistry[Fruit]) -> None:
    first = fruits.get("pear")
    with pytest.raises(ConfigurationError) as raised:
        fruits.register(Fruit("pear"))
    assert str(raised.value) == (
        'There is a fruit "pear" already, declared in tests.core.test_registries: give yours another name. '
        "Taken: pear, apple."
    )
    assert fruits.get("pear") is first


def test_what_can_be_taken_back_is_told_with_the_function_that_does() -> None:
    fruits: NameRegistry[Fruit] = NameRegistry("fruit", register="add", unregister="remove_fruit")
    fruits.register(Fruit("pear"))
    with pytest.raises(ConfigurationError, match="or take that one back first with remove_fruit"):
        fruits.register(Fruit("pear"))
    fruits.unregister("pear")
    assert fruits.register(Fruit("pear")) in tuple(fruits)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_cure(fruits: NameRegistry[Fruit]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        fruits.get("aple")
    assert str(raised.value) == (
        'There is no fruit "aple". Did you mean "apple"? Known: pear, apple. Declare it with register_fruit '
        "in the search_documents.py of an installed app."
    )


@pytest.mark.parametrize("name", ["", "Pear", "pear:1", "9pears", "p" * 31, "pe ar", None, 3])
def test_a_name_is_a_short_word_of_small_letters(fruits: NameRegistry[Fruit], name: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a fruit"):
        fruits.register(Fruit(name))
