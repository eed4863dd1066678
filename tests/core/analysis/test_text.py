"""HTML becomes the text a reader sees, and folding keeps the way back to it."""

from __future__ import annotations

import time
import unicodedata

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from llmrec_plugin.analysis.text import clean, fold, fold_aligned, html_to_text

WITHOUT_CHINESE = override_settings(LLMREC={**settings.LLMREC, "LANGUAGES": ["en"]})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Hello&nbsp;<b>wor</b>ld</p><p>again</p>", "Hello world\nagain"),
        ("<div>a</div>b<br>c<br/>d", "a\nb\nc\nd"),
        ("<table><tr><td>1<td>2<tr><td>3</table>", "1 2\n3"),
        ("<ul>\n  <li>one\n  <li>two\n</ul>", "one\ntwo"),
        ("a\n<i>b</i>\r\nc", "a b c"),
        ("<title>T</title><body onload=x>B</body>", "T\nB"),
        ("<p>caf&eacute; &#x1F600; &lt;b&gt; &#20013;", "café 😀 <b> 中"),
        ("AT&amp;T", "AT&T"),
        ("x<script>if (a < b) alert('<p>')</script>y", "xy"),
        ("x<SCRIPT src='>'>a</SCRIPT >y", "xy"),
        ("x<style>p { color: red }</style>y", "xy"),
        ("x<noscript><p>no</p></noscript>y<template><b>t</b></template>z", "xyz"),
        ("x<noscript><iframe src=/></iframe></noscript>y", "xy"),
        ("<!-- <p>no</p> -->yes<!doctype html>", "yes"),
        ("<a title='x > y <b>' href=\"/\">link</a>", "link"),
        ("<o:p>word</o:p> <my-tag>own</my-tag>", "word own"),
    ],
)
def test_html_becomes_what_a_reader_sees(source: str, text: str) -> None:
    assert html_to_text(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p <b>a</b", "a"),
        ("a</p></p>b", "a\nb"),
        ("<b><i>a</b>b</i>c", "abc"),
        ("<p>cut off <a href='", "cut off"),
        ("<p>a<script>never closed", "a"),
        ("<plaintext>a<b>b", "ab"),
        ("<svg><style><p></style>a</svg>", "a"),
        ("<select><option>1<option>2</select>", "1\n2"),
        ("<p>a\x00b\ud800c\ufeff", "abc"),
    ],
)
def test_malformed_html_loses_no_text(source: str, text: str) -> None:
    assert html_to_text(source) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a < b and c > d",
        "x<y",
        "vector<int> values",
        "AT&T",
        "R&D; more",
        "5 <6>",
        "<3",
        "1.\n\n2.",
        "中文，标点。",
    ],
)
def test_text_without_markup_is_left_alone(text: str) -> None:
    assert html_to_text(text) == text


@examples(deadline=None)
@given(st.text(st.characters(exclude_characters="<&"), max_size=60))
def test_plain_text_is_only_cleaned_and_cleaning_twice_changes_nothing(text: str) -> None:
    once = html_to_text(text)
    assert once == clean(text)
    assert html_to_text(once) == once
    once.encode()  # nothing that no database stores
    assert "\x00" not in once


def test_white_space_is_made_regular() -> None:
    assert clean(" a\t\u00a0b \r\n c\u3000d\n\n\n\n\ne ") == "a b\nc d\n\ne"


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
TAGS = [
    "p",
    "div",
    "b",
    "span class='a > b'",
    "li",
    "td",
    'a href="x" title="<i>"',
    "h2",
    "o:p",
    "br",
    "custom-tag",
]


@st.composite
def html_and_words(draw: st.DrawFn) -> tuple[str, list[str]]:
    source, inside = [], []
    for _ in range(draw(st.integers(1, 8))):
        tag = draw(st.sampled_from(TAGS))
        word = draw(words)
        inside.append(word)
        closing = draw(
            st.sampled_from([f"</{tag.split()[0]}>", "</p>", "", "<script>x</script>", "<!-- c -->"])
        )
        source.append(f"<{tag}> {word} {closing}")
    return "".join(source), inside


@examples(deadline=None)
@given(html_and_words())
def test_all_words_and_nothing_else_survive_any_order_of_tags(case: tuple[str, list[str]]) -> None:
    source, inside = case
    assert html_to_text(source).split() == inside


@examples(deadline=None)
@given(st.text(st.sampled_from("<>/\"'&ap!-= #;x1\n中"), max_size=200))
def test_no_markup_however_broken_raises(source: str) -> None:
    assert isinstance(html_to_text(f"<p>{source}"), str)


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<b><p>",
        "<table><td>",
        "<b x=1>word </b> ",
        "<a href=x>y",
        "<",
        "&amp",
        "<!--",
        "<p ",
        "</p>",
        "<svg><g>",
        "<script>",
        '<a x="',
    ],
)
def test_a_megabyte_of_nested_or_broken_markup_is_read_at_once(piece: str) -> None:
    source = piece * (MEGABYTE // len(piece))
    started = time.process_time()
    html_to_text(source)
    # About 0.3 s on a slow core; a tree of 200,000 nested elements takes minutes.
    assert time.process_time() - started < 3


def test_a_hundred_thousand_attributes_are_read_at_once() -> None:
    attributes = " ".join(f"x{number}=1" for number in range(100_000))
    started = time.process_time()
    assert html_to_text(f"<a {attributes}>a</a><script {attributes}>b</script>c") == "ac"
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("HELLO", "hello"),
        ("Straße", "strasse"),
        ("ＡＢＣ１２３", "abc123"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("e\u0301", "é"),
        ("ﬁne™", "finetm"),
        ("2½ inch", "2 1/2  inch"),
        ("清華大學", "清华大学"),
        ("機器學習", "机器学习"),
        ("zero\u200bwidth so\xadft", "zerowidth soft"),
    ],
)
def test_folding_removes_width_case_composition_and_script(text: str, folded: str) -> None:
    assert fold(text) == folded


@WITHOUT_CHINESE
def test_traditional_characters_stay_where_the_site_speaks_no_chinese() -> None:
    assert fold("清華") == "清華"


marked_text = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "aAéß中華學ﬁ½㎏\u0301\u0323\u0345\u3099\u1161\u11a8\u1100가ｶﾞİſ\u200b\xad\ud800\U0001f600"
        ),
    ),
    max_size=40,
)


@examples(deadline=None)
@given(marked_text)
def test_each_folded_character_knows_the_slice_it_came_from(text: str) -> None:
    folded = fold_aligned(text)
    assert len(folded.starts) == len(folded.ends) == len(folded.text)
    assert list(folded.starts) == sorted(folded.starts)
    assert list(folded.ends) == sorted(folded.ends)
    for position, character in enumerate(folded.text):
        start, end = folded.origin(position, position + 1)
        assert character in fold(text[start:end])


@examples(deadline=None)
@given(marked_text)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@examples(deadline=None)
@given(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["C", "No"]), st.sampled_from("aé\u0301\u0323\u3099\u1161가ｶﾞİ")
        ),
        max_size=25,
    )
)
@WITHOUT_CHINESE
def test_folding_in_pieces_equals_folding_the_whole(text: str) -> None:
    whole = text
    for _ in range(2):
        whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", whole).casefold())
    assert fold(text) == whole


def test_a_heap_of_accents_is_folded_at_once() -> None:
    started = time.process_time()
    fold("a" + "\u0301\u0323" * 100_000)
    assert time.process_time() - started < 3
