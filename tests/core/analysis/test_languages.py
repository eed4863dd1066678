"""The language of a text is one of the configured ones, or none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from llmrec_plugin.analysis.tokens import detect_language


def speaking(languages: Sequence[str]) -> override_settings:
    return override_settings(LLMREC={**settings.LLMREC, "LANGUAGES": languages})


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Introduction to machine learning", "en"),
        ("机器学习入门", "zh"),
        ("機器學習入門", "zh"),
        ("Python 机器学习入门：NumPy 与 pandas", "zh"),
        ("Introduction to Tai Chi (太极)", "en"),
        ("ＷＩＤＥ ｌｅｔｔｅｒｓ", "en"),
        ("日本語を学ぶ", ""),
        ("한국어", ""),
        ("Привет, мир", ""),
        ("1234 -- 😀", ""),
        ("", ""),
        ("\ud800\x00", ""),
    ],
)
def test_with_english_and_chinese_the_script_decides(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Rote Schuhe für Damen", "de"),
        ("Chaussures rouges pour homme", "fr"),
        ("Red shoes for women", "en"),
        ("Красные туфли", "ru"),
        ("日本語を学ぶ", "ja"),
        ("プログラミング入門", "ja"),
        ("学习", "zh"),
        ("한국어 배우기", "ko"),
        ("ab", ""),
        ("XQ 500 B2", ""),
    ],
)
def test_a_model_decides_between_languages_of_one_script(text: str, language: str) -> None:
    with speaking(["en", "de", "fr", "ru", "zh", "ja", "ko"]):
        assert detect_language(text) == language


def test_the_answer_is_spelled_as_configured() -> None:
    with speaking(["pt-BR", "zh-hans"]):
        assert detect_language("Sapatos vermelhos") == "pt-BR"
        assert detect_language("机器学习") == "zh-hans"


def test_characters_are_japanese_where_only_japanese_is_spoken() -> None:
    with speaking(["en", "ja"]):
        assert detect_language("入門") == "ja"


def test_languages_unknown_to_the_model_are_never_guessed() -> None:
    with speaking(["en", "xx"]):
        assert detect_language("Red shoes for women") == ""


@examples(deadline=None)
@given(st.text(max_size=100))
def test_any_text_gets_a_configured_language_or_none(text: str) -> None:
    assert detect_language(text) in ("en", "zh", "")
