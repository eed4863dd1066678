"""A highlight is a slice of the original, escaped, with the matches marked."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from llmrec_plugin.analysis.highlight import highlight
from llmrec_plugin.analysis.tokens import index_terms, query_words


def marks(snippet: str) -> list[str]:
    return [html.unescape(marked) for marked in re.findall("<mark>(.*?)</mark>", snippet, re.DOTALL)]


def plain(snippet: str) -> str:
    return html.unescape(snippet.replace("<mark>", "").replace("</mark>", ""))


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("Running shoes for runners", "run", ["Running"]),
        ("I study at 清华大学 in Beijing", "清华", ["清华"]),
        ("清華大學的課程", "清华大学", ["清華大學"]),
        ("机器学习入门", "机器 学习", ["机器学习"]),
        ("A CAFÉ in town", "cafe", ["CAFÉ"]),
        ("Ｗｉｄｅ cable", "wide", ["Ｗｉｄｅ"]),
        ("Part AB-123 in white", "ab123", ["AB-123"]),
        ("Part AB-123 in white", "123", ["123"]),
        ("the women's fleece", "women", ["women"]),
        ("cafe\u0301s", "café", ["cafe\u0301s"]),
    ],
)
def test_matches_are_marked_in_the_original_spelling(text: str, query: str, marked: list[str]) -> None:
    snippet = highlight(text, query_words(query))
    assert marks(snippet) == marked
    assert plain(snippet) == text


def test_everything_else_is_escaped() -> None:
    snippet = highlight("<script>alert('tea')</script> & tea", query_words("tea"))
    assert snippet == (
        "&lt;script&gt;alert(&#x27;<mark>tea</mark>&#x27;)&lt;/script&gt; &amp; <mark>tea</mark>"
    )


def test_nothing_is_shown_where_nothing_matches() -> None:
    assert highlight("green tea", query_words("coffee")) == ""
    assert highlight("", query_words("coffee")) == ""
    assert highlight("green tea", ()) == ""


def test_the_language_of_the_text_chooses_the_stems() -> None:
    # German stems Häuser to haus; the query knows the stems of all configured languages.
    assert marks(highlight("Häuser am See", (("haus",),), "en")) == []
    assert marks(highlight("houses by the sea", query_words("house"), "en")) == ["houses"]


def test_the_snippet_is_where_most_different_words_stand_together() -> None:
    filler = "lorem ipsum dolor sit amet " * 30
    text = f"tea {filler} tea tea {filler} green tea from China {filler}"
    snippet = highlight(text, query_words("green tea China"), length=100)
    assert "green</mark> <mark>tea</mark> from <mark>China" in snippet
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(plain(snippet)) <= 102


def test_the_snippet_begins_and_ends_between_words() -> None:
    filler = "lorem ipsum dolor sit amet " * 30
    inner = plain(highlight(f"{filler}tea {filler}", query_words("tea"), length=80)).strip("…")
    assert set(inner.split()) <= {"lorem", "ipsum", "dolor", "sit", "amet", "tea"}
    assert inner == inner.strip()


@pytest.mark.parametrize("length", [40, 41, 42, 43, 44])
def test_the_snippet_cuts_no_accent_or_joined_emoji_from_its_character(length: int) -> None:
    text = "e\u0301" * 300 + "茶" + "👩\u200d💻" * 300
    inner = plain(highlight(text, query_words("茶"), length=length)).strip("…")
    assert inner.startswith("e")
    assert inner.endswith(("💻", "茶"))


def test_a_match_longer_than_the_snippet_is_cut() -> None:
    snippet = highlight("a" * 1000, query_words("a" * 1000), length=50)
    assert marks(snippet) == ["a" * 50]


def test_lone_surrogates_do_not_reach_the_page() -> None:
    highlight("tea \ud83d tea", query_words("tea")).encode()


pieces = st.sampled_from(
    [
        "tea",
        "Teas",
        "GREEN",
        "清華大學",
        "清华",
        "茶",
        "cafe\u0301",
        "café",
        "ＴＥＡ",
        "AB-123",
        "<b>",
        "&amp;",
        "&",
        '"',
        "½",
    ]
)
texts = st.lists(st.one_of(pieces, st.text(max_size=6), st.sampled_from([" ", "\n", "，"])), max_size=60).map(
    "".join
)


@examples(deadline=None)
@given(texts, texts, st.integers(20, 120))
def test_unescaped_the_snippet_is_a_slice_of_the_text_and_its_marks_match(
    text: str, query: str, length: int
) -> None:
    words = query_words(query)
    snippet = highlight(text, words, length=length)
    known = {term for word in words for term in word}
    assert bool(snippet) == bool(known & set(index_terms(text)))
    if snippet:
        # "…" may also belong to the text, so take off the added ones only.
        inner = plain(snippet)
        shown = re.sub("[\ud800-\udfff]", "\ufffd", text)
        assert any(inner[left : len(inner) - right] in shown for left in (0, 1) for right in (0, 1))
        assert len(inner) <= length + 2
        assert marks(snippet)
        if inner == shown:
            assert all(known & set(index_terms(marked)) for marked in marks(snippet))
