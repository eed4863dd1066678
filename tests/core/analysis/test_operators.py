"""Quotes and minus: what is an operator, and what is only a character of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.analysis.operators import Operators, parse

_words = st.lists(st.sampled_from(["red", "lamp", "AB-123", "24", "机器学习", "don't", "C++"]), min_size=1)


@pytest.mark.parametrize(
    ("typed", "text", "phrases", "without"),
    [
        ('"desk lamp" red', "desk lamp red", ("desk lamp",), ()),
        ('a "b c" "d"', "a b c d", ("b c", "d"), ()),
        ("lamp -red", "lamp", (), ("red",)),
        ('lamp -"bright red" -blue', "lamp", (), ("bright red", "blue")),
        ("-red", "", (), ("red",)),
        ("-red lamp", "lamp", (), ("red",)),
        ("lamp −red", "lamp", (), ("red",)),  # the minus of mathematics
        ("手机 －苹果", "手机", (), ("苹果",)),  # full width
        ("lamp -AB-123", "lamp", (), ("AB-123",)),
        ("关于“机器学习”的书", "关于 机器学习 的书", ("机器学习",), ()),
        ("「机器」学习", "机器 学习", ("机器",), ()),
        ("『机器』 «lampe» „rote Lampe“", "机器 lampe rote Lampe", ("机器", "lampe", "rote Lampe"), ()),
        ('关于"机器学习"的书', "关于 机器学习 的书", ("机器学习",), ()),
        ("-“红 灯” 台灯", "台灯", (), ("红 灯",)),
    ],
)
def test_operators_are_taken_out(
    typed: str, text: str, phrases: tuple[str, ...], without: tuple[str, ...]
) -> None:
    assert parse(typed) == Operators(text=text, phrases=phrases, without=without)


@pytest.mark.parametrize(
    "typed",
    [
        "AB-123",
        "long-sleeved shirt",
        "red - blue",
        "lamp -",
        "--red",
        'a "b c',
        '24" monitor',
        '24"x36" frame',
        '""',
        "“”",
        "rock'n'roll",
        "“never closed",
        "the 'small' one",
        "",
    ],
)
def test_what_is_no_operator_stays_as_it_is(typed: str) -> None:
    assert parse(typed) == Operators(text=typed)


@given(words=_words)
def test_a_query_without_quotes_and_minus_comes_back_unchanged(words: list[str]) -> None:
    assert parse(" ".join(words)) == Operators(text=" ".join(words))


@given(words=_words, phrase=_words, without=_words)
def test_every_part_is_found_again_wherever_it_stands(
    words: list[str], phrase: list[str], without: list[str]
) -> None:
    typed = f'-"{" ".join(without)}" {" ".join(words)} "{" ".join(phrase)}"'
    parts = parse(typed)
    assert parts.phrases == (" ".join(phrase),)
    assert parts.without == (" ".join(without),)
    assert parts.text.split() == [*words, *phrase]


@given(typed=st.text(st.sampled_from('ab -"“”「」\t8'), max_size=30))
def test_anything_is_parsed_and_nothing_is_left_of_what_is_not_wanted(typed: str) -> None:
    parts = parse(typed)
    assert all(part.strip() or part for part in (*parts.phrases, *parts.without))
    if not (parts.phrases or parts.without):
        assert parts.text == typed
