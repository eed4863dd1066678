"""The one reader of options: what it takes, and what it says about what it does not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import (
    SECRET,
    Rule,
    above,
    at_least,
    between,
    check_options,
    keys_of,
    one_of,
    read_options,
)

ANIMALS = ["cat", "dog"]


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: Annotated[int, at_least(1)]
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Options:
    active: bool = True
    shards: Annotated[int, above(0)] = 1
    share: Annotated[float, between(0, 1)] | None = None
    dtype: Literal["float32", "float16"] = "float32"
    refresh: bool | Literal["wait_for"] = False
    folder: str | Path = ""
    hosts: Annotated[Sequence[str], Rule(bool, ""), "a list of URLs"] = ("http://a",)
    login: Annotated[tuple[str, str] | None, SECRET] = None
    animals: tuple[Annotated[str, one_of(ANIMALS)], ...] = ()
    inner: Inner | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def read(**values: Any) -> Options:
    return read_options(Options, values, keys_of("TREE"), of="the test")


def test_right_values_arrive_as_they_are_and_lists_as_tuples_where_tuples_are() -> None:
    options = read(
        shards=2,
        share=1,
        dtype="float16",
        refresh="wait_for",
        folder=Path("a"),
        hosts=["http://b"],
        login=["me", "word"],
        animals=["dog", "cat"],
        inner={"depth": 3},
        more={"any": object},
    )
    assert (options.shards, options.share, options.dtype, options.refresh) == (2, 1, "float16", "wait_for")
    assert (options.login, options.animals, options.hosts) == (("me", "word"), ("dog", "cat"), ["http://b"])
    assert options.inner == Inner(depth=3)
    assert read() == Options()
    assert read(inner={}).inner is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shard": 2}, 'TREE["shard"] is unknown to the test. Did you mean "shards"? Known: active, shards'),
        ({"active": "False"}, """TREE["active"] is 'False'; it must be True or False."""),
        ({"active": 1}, "is 1; it must be True or False"),
        ({"shards": 0}, 'TREE["shards"] is 0; it must be a whole number above 0.'),
        ({"shards": True}, "is True; it must be a whole number above 0"),
        ({"shards": 1.0}, "is 1.0; it must be a whole number above 0"),
        ({"shards": None}, "is None; it must be a whole number above 0"),
        ({"share": 1.5}, "is 1.5; it must be a number from 0 to 1, or None"),
        ({"share": float("nan")}, "is nan; it must be a number from 0 to 1"),
        ({"dtype": "float15"}, 'it must be one of "float32", "float16". Did you mean "float16"?'),
        ({"dtype": ["float16"]}, 'it must be one of "float32", "float16".'),
        ({"refresh": 0}, 'is 0; it must be True or False, or one of "wait_for"'),
        ({"folder": 7}, "is 7; it must be a text, or a path"),
        ({"hosts": "http://a"}, "is 'http://a'; it must be a list of URLs"),
        ({"hosts": []}, "is []; it must be a list of URLs"),
        ({"hosts": [1]}, "is [1]; it must be a list of URLs"),
        ({"animals": ["cow"]}, """is ['cow']; it must be a list of "cat", "dog"."""),
        ({"animals": "cat"}, """is 'cat'; it must be a list of "cat", "dog"."""),
        ({"inner": {"depht": 1}}, 'TREE["inner"]["depht"] is unknown. Did you mean "depth"?'),
        ({"inner": {"label": "x"}}, 'TREE["inner"]["depth"] is missing; it must be a whole number'),
        ({"inner": {"depth": 0}}, 'TREE["inner"]["depth"] is 0; it must be a whole number of at least 1'),
        ({"inner": [1]}, "is [1]; it must be a dict, or None"),
        ({"more": []}, "is []; it must be a dict"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_its_place_and_what_it_must_be(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize("login", ["me:hunter2", ("hunter2",), ("a", "hunter2", "c"), ["hunter2", 1]])
def test_a_wrong_secret_is_not_shown(login: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r'"login"\] is not shown, of type \w+; it must be'
    ) as caught:
        read(login=login)
    assert "hunter2" not in str(caught.value)


def test_what_may_be_chosen_is_looked_up_at_each_reading() -> None:
    with pytest.raises(ConfigurationError):
        read(animals=["cow"])
    ANIMALS.append("cow")
    try:
        assert read(animals=["cow"]).animals == ("cow",)
    finally:
        ANIMALS.remove("cow")


def test_values_that_were_not_read_are_checked_alike() -> None:
    check_options(Options(inner=Inner(depth=1)), keys_of("TREE"))
    with pytest.raises(
        ConfigurationError, match=r'TREE\["shards"\] is -1; it must be a whole number above 0'
    ):
        check_options(Options(shards=-1), keys_of("TREE"))


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(["shards", "share", "dtype", "folder", "hosts", "animals"]), ANYTHING))
def test_what_is_read_passes_the_check_and_all_else_is_refused_in_words(values: dict[str, Any]) -> None:
    try:
        options = read_options(Options, values, keys_of("TREE"))
    except ConfigurationError as error:
        said = str(error)
    else:
        check_options(options, keys_of("TREE"))
        said = 'TREE["'
    assert said.startswith('TREE["')
