"""Words as they are written: one term per position, places for corrections, beginnings and pinyin."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.analysis import pinyin
from llmrec_plugin.analysis.exact import exact_terms, title_starts, typed_starts, typed_words, words_in


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running Shoes", ["running", "shoes"]),  # no stems
        ("Café women's AB-123 C++", ["cafe", "women", "s", "ab", "123", "c++"]),
        ("iPhone 手机壳", ["iphone", "手", "机", "壳"]),
        ("機器，學習", ["机", "器", "学", "习"]),  # simplified, without the comma
        ("3.5mm", ["3.5mm"]),
        ("カメラ", ["カ", "メ", "ラ"]),
        ("…!", []),
        ("", []),
    ],
)
def test_each_position_has_one_term(text: str, terms: list[str]) -> None:
    assert exact_terms(text) == terms


@given(
    before=st.text("ab 机器-", max_size=8), inside=st.text("ab 机器", max_size=8), after=st.text(max_size=8)
)
def test_a_part_of_a_text_between_blanks_is_a_phrase_of_it(before: str, inside: str, after: str) -> None:
    whole, part = exact_terms(f"{before} {inside} {after}"), exact_terms(inside)
    assert any(whole[place : place + len(part)] == part for place in range(len(whole) + 1))


def test_typed_words_know_their_places() -> None:
    text = "Ｗooden Café-lamps"
    found = [(word.exact, text[word.start : word.end]) for word in typed_words(text)]
    assert found == [("wooden", "Ｗooden"), ("cafe", "Café"), ("lamps", "lamps")]
    assert "lamp" in next(word for word in typed_words("lamps")).terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Steel Café-lamps, 3.5mm!", ["Steel", "Café-lamps", "3.5mm"]),
        ("机器学习入门 for C++", ["机器", "学习", "入门", "for", "C++"]),
        ("…", []),
    ],
)
def test_words_are_found_as_they_stand(text: str, words: list[str]) -> None:
    assert [word.text for word in words_in(text)] == words


@given(st.text(max_size=60) | st.text("ab 机器學İß\u0301-", max_size=30))
def test_words_lie_side_by_side_in_the_text(text: str) -> None:
    end = 0
    for word in words_in(text):
        assert word.text == text[word.start : word.end] != ""
        assert word.start >= end
        end = word.end


def test_chinese_words_come_as_the_query_is_divided() -> None:
    text = "机器学习和统计"
    words = [(word.exact, text[word.start : word.end]) for word in typed_words(text)]
    assert ("机器", "机器") in words
    assert all(exact == part and len(exact) > 1 for exact, part in words)


def test_single_characters_side_by_side_make_a_word_that_no_dictionary_has() -> None:
    found = [word.exact for word in typed_words("机器雪习")]
    assert found[0] == "机器"
    assert "雪习" in found


def test_what_other_scripts_run_together_is_not_looked_up() -> None:
    assert list(typed_words("カメラ")) == []


def test_a_title_is_begun_by_any_of_its_words_in_characters_and_in_pinyin() -> None:
    starts = title_starts("机器学习 Python入门")
    assert {"机器学习", "学习", "jiqixuexi", "jqxx", "xuexi", "xx", "python", "入门", "rumen", "rm"} <= set(
        starts
    )
    assert len(starts) == len(set(starts))


def test_an_english_title_is_begun_by_its_words() -> None:
    assert title_starts("Wooden desk-lamp, wooden") == ["wooden", "desk", "lamp"]


def test_a_long_title_has_bounded_starts() -> None:
    assert len(title_starts("".join(chr(0x4E00 + 7 * number) for number in range(300)))) == 128
    assert max(map(len, title_starts("很" * 50))) <= 16 * 6


def test_what_was_typed_begins_words() -> None:
    assert typed_starts("Woo désk-") == ["woo", "desk"]
    assert typed_starts("机器学") == ["机器学"]
    assert typed_starts(" … ") == []


def test_pinyin_has_full_and_short_forms() -> None:
    assert pinyin.spellings("机器学习") == ["jiqixuexi", "jqxx"]
    assert pinyin.spellings("银行") == ["yinhang", "yh"]  # not yinxing: the word decides
    assert pinyin.reading("雪习") == "xuexi"


def test_characters_are_found_by_their_sound() -> None:
    assert pinyin.find_reading("零基础机器学习入门", "xuexi") == "学习"
    assert pinyin.find_reading("Python 零基础", "lingjichu") == "零基础"
    assert pinyin.find_reading("零基础", "jichushang") == ""
    assert pinyin.find_reading("plain", "plain") == ""


def test_a_site_without_chinese_has_no_pinyin() -> None:
    with override_settings(LLMREC={**settings.LLMREC, "LANGUAGES": ["en"]}):
        assert not pinyin.is_available()
        assert pinyin.spellings("机器") == []
        assert pinyin.reading("机器") == ""
        assert title_starts("机器") == ["机器", "器"]
        assert list(typed_words("机器")) == []
