"""Index and query are analysed alike: whoever types a word of a text finds that text."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from llmrec_plugin.analysis import han, languages, text
from llmrec_plugin.analysis.languages import detect_language
from llmrec_plugin.analysis.text import fold
from llmrec_plugin.analysis.tokens import analysis_id, index_terms, query_words, tokenize
from llmrec_plugin.exceptions import ConfigurationError


def configured(**changes: Any) -> override_settings:
    return override_settings(LLMREC={**settings.LLMREC, **changes})


def finds(query: str, text: str, language: str = "") -> bool:
    """Every word of the query is in the text."""
    terms = set(index_terms(text, language))
    words = query_words(query)
    return bool(words) and all(terms & set(word) for word in words)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The segmenter and the table of simplified characters as in a new process."""
    for name in ("_load", "simplifications"):
        monkeypatch.setattr(han, name, lru_cache(maxsize=1)(getattr(han, name).__wrapped__))
    monkeypatch.setattr(text, "simplifications", han.simplifications)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("shoe", "Running SHOES"),
        ("running", "she runs"),
        ("cafe", "Café"),
        ("café", "CAFE"),
        ("resume", "résumés"),
        ("résumé", "Resumes"),
        ("strasse", "Hauptstraße Straße"),
        ("ABC", "ＡＢＣ"),
        ("womens", "women's"),
        ("women", "women’s"),
        ("homme", "l'homme"),
        ("oreilly", "O'Reilly"),
        ("tshirt", "T-Shirts"),
        ("t shirt", "T-Shirts"),
        ("清华", "我在清華大學"),
        ("清華", "清华大学"),
        ("茶", "红茶"),
        ("机器学习", "机器学习入门"),
        ("学习者", "机器学习者"),
        ("大学", "北京大学生"),
        ("北京大学", "北京大学生前来应聘"),
        ("t恤", "白色T恤"),
        ("ガイド", "旅行ｶﾞｲﾄﾞﾌﾞｯｸ"),
        ("한국", "한국어"),
        ("भाषा", "हिन्दी भाषा"),
        ("ไทย", "ภาษาไทย"),
        ("С++", "С++"),
    ],
)
def test_a_word_is_found_in_any_form(query: str, text: str) -> None:
    assert finds(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("AB-123", "Bracket AB-123 steel"),
        ("ab123", "Bracket AB-123 steel"),
        ("AB 123", "Bracket AB-123 steel"),
        ("AB-123", "Bracket ab123"),
        ("WHITE-T2", "Box white-t2"),
        ("t2", "Box WHITE-T2"),
        ("3.5mm", "cable 3.5mm"),
        ("3.5 mm", "cable 3.5mm"),
        ("500 gb", "disk of 500GB"),
        ("iphone 15", "iPhone15"),
        ("85123", "85123A"),
        ("006R90321", "Xerox 006R90321 toner"),
        ("nodejs", "Node.js"),
        ("v1.2.3", "release v1.2.3"),
        ("C++", "C++ for beginners"),
        ("c++", "C/C++"),
        ("C#", "C# 编程"),
        ("1/2", "pipe 1/2 inch"),
    ],
)
def test_codes_and_sizes_are_found_as_written_and_as_spoken(query: str, text: str) -> None:
    assert finds(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [("35mm", "3.5mm"), ("12", "1/2"), ("C#", "C++"), ("AB-124", "AB-123")],
)
def test_what_is_another_thing_is_not_found_by_all_its_words(query: str, text: str) -> None:
    assert not finds(query, text)


@pytest.mark.parametrize(
    ("query", "text", "words"),
    [("3.5mm", "cable 3.5 mm", {"3.5", "mm"}), ("500GB", "disk of 500 GB", {"500", "gb"})],
)
def test_a_size_written_with_a_space_is_found_by_number_and_unit(
    query: str, text: str, words: set[str]
) -> None:
    assert {term for word in query_words(query) for term in word} & set(index_terms(text)) == words


def test_the_exact_code_matches_more_words_than_its_neighbours() -> None:
    def matched(text: str) -> int:
        terms = set(index_terms(text))
        return sum(bool(terms & set(word)) for word in query_words("AB-123"))

    assert matched("AB-123") > matched("AB-999")
    assert matched("AB-123") > matched("XY-123")


def test_terms_stand_in_the_order_of_the_text_and_once_per_place() -> None:
    assert index_terms("White T2, AB-123") == ["white", "t2", "ab", "123", "ab123"]
    # Each character, each pair, then longer words of the dictionary.
    assert index_terms("清华大学") == ["清", "华", "大", "学", "清华", "华大", "大学", "清华大学"]


def test_a_query_is_cut_into_words_and_a_single_character_stays() -> None:
    assert query_words("清华大学的茶") == (("清华大学",), ("的",), ("茶",))
    assert query_words("茶") == (("茶",),)


def test_a_guessed_name_is_asked_by_its_pairs() -> None:
    # jieba guesses 李小福 to be a word; another sentence may divide it differently.
    assert query_words("李小福") == (("李小",), ("小福",))


def test_alternatives_are_the_stems_of_each_language_and_the_word_itself() -> None:
    with configured(LANGUAGES=["en", "de"]):
        # English: hous; German: hous and the word as it stands: haus has no other stem.
        assert query_words("houses") == (("hous", "houses"),)
        assert query_words("Häuser") == (("hauser", "haus"),)
        assert finds("Haus", "Die Häuser", "de")
        assert finds("Häuser", "Das Haus", "de")


def test_repeated_words_are_asked_once() -> None:
    assert query_words("tea Tea TEA teas") == (("tea",), ("tea", "teas"))


def test_a_document_in_an_unknown_language_is_stemmed_as_english_or_the_first_language() -> None:
    assert index_terms("houses", "xx") == index_terms("houses", "zh") == index_terms("houses") == ["hous"]
    with configured(LANGUAGES=["zh", "de", "fr"]):
        assert index_terms("Häuser", "en") == index_terms("Häuser", "de") == ["haus"]
    with configured(LANGUAGES=["zh"]):
        assert index_terms("houses") == ["houses"]
        assert finds("houses", "Houses")


def test_regional_codes_name_their_language() -> None:
    with configured(LANGUAGES=["pt-BR", "zh-hans"]):
        assert finds("清华", "清華大學")
        assert finds("livro", "Livros", "pt-BR")


def test_where_chinese_is_not_spoken_it_is_found_by_pairs() -> None:
    with configured(LANGUAGES=["en"]):
        assert index_terms("清华大学") == ["清", "华", "大", "学", "清华", "华大", "大学"]
        assert query_words("清华大学") == (("清华",), ("华大",), ("大学",))


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\x00\x01\x7f", "\ud800\udfff", "😀👩‍💻❤️", "--- ... +++ ###", "\u0301"]
)
def test_text_without_words_has_no_terms(text: str) -> None:
    assert index_terms(text) == []
    assert query_words(text) == ()


def test_control_characters_and_surrogates_do_not_break_words() -> None:
    assert index_terms("sh\x00oe\ud800s") == ["shoe"]
    assert query_words("sh\xadoes") == (("shoe", "shoes"),)


@pytest.mark.parametrize(
    "piece", ["a", "a-", "1.", "清", "龘龖", "e\u0301\u0323", "\u0301", "カ", "'", "a b ", "c+", "word "]
)
def test_ten_thousand_characters_are_analysed_at_once(piece: str) -> None:
    text = piece * (10_000 // len(piece))
    query_words(text[:1])  # loads what it needs
    started = time.process_time()
    assert len(query_words(text)) <= 64
    index_terms(text)
    assert time.process_time() - started < 3


def test_a_query_is_capped_in_the_order_of_its_words() -> None:
    words = query_words(" ".join(f"w{number}x" for number in range(1000)))
    assert [word[0] for word in words] == [f"w{number}x" for number in range(64)]


def test_long_codes_are_found_by_their_beginning() -> None:
    assert finds("x" * 200, "x" * 200)
    assert max(map(len, index_terms("x" * 200 + "-" + "y" * 200))) == 64


def test_threads_analyse_alike() -> None:
    texts = [
        f"running {number} houses of the beautiful universities 清华大学{number}" for number in range(200)
    ]
    expected = [index_terms(text) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(index_terms, texts)) == expected


# -- properties -------------------------------------------------------------------------------

PIECES = """Houses running café CAFE\u0301S Straße ＡＢＣ ﬁnd women's l'homme O’Reilly
हिन्दी ไทย 日本語 ｶﾞｲﾄﾞ 한국어 清華大學 机器学习 研究生命起源 李小福 红茶 T恤
AB-123 WHITE-T2 3.5mm 500GB iPhone15 C++ C# Node.js 1/2 2½ v1.2"""
# Without symbols such as ℀, which fold to several words that then join their neighbours.
ANY_TEXT = st.text(st.characters(exclude_categories=["So"]), max_size=5)
PUNCTUATION = st.sampled_from([" ", "，", "-", ".", "'", "/", "\u200b"])
texts = st.lists(st.one_of(st.sampled_from(PIECES.split()), ANY_TEXT, PUNCTUATION), max_size=25).map("".join)
LANGUAGES = ["en", "de", "zh"]


@examples(deadline=None)  # the first one may load the segmenter
@given(texts, st.sampled_from(["en", "de", "zh", "fr", ""]))
def test_each_term_points_at_text_that_has_it(text: str, language: str) -> None:
    with configured(LANGUAGES=LANGUAGES):
        tokens = list(tokenize(text, language))
        assert [token.term for token in tokens] == index_terms(text, language)
        for token in tokens:
            assert 0 <= token.start < token.end <= len(text)
            assert token.term in index_terms(text[token.start : token.end], language)
            assert token.term.split() == [token.term]
            token.term.encode()


@examples(deadline=None)  # the first one may load the segmenter
@given(texts, st.sampled_from(["en", "de", "zh", "fr", ""]))
@example("Houses'C++", "en")
def test_every_word_of_a_text_finds_it(text: str, language: str) -> None:
    with configured(LANGUAGES=LANGUAGES):
        terms = set(index_terms(text, language))
        queries = [text, *(text[token.start : token.end] for token in tokenize(text, language))]
        for query in queries:
            assert all(terms & set(word) for word in query_words(query))


han_text = st.lists(
    st.sampled_from(
        ["清华大学", "机器学习者", "研究生命", "北京大学生", "龘", "李小福", "的", "中華人民共和國", "茶"]
    ),
    min_size=1,
).map("".join)


@examples(deadline=None)  # the first one may load the segmenter
@given(han_text, st.data())
def test_any_part_of_a_chinese_text_finds_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert finds(text[start:end], text)


def test_a_part_of_a_very_long_chinese_text_finds_it() -> None:
    text = "研究生命起源的清华大学教授" * 100
    terms = set(index_terms(text))
    for start in range(0, 600, 7):
        assert all(terms & set(word) for word in query_words(text[start : start + 6]))


# -- the dictionary, the id and the libraries ---------------------------------------------------


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("\ufeff量子閱讀法 5 n\n\n云原生平台\n", encoding="utf-8")
    return path


@pytest.mark.usefixtures("unloaded")
def test_words_of_the_dictionary_stay_whole_in_either_script(dictionary: Path) -> None:
    assert query_words("量子阅读法") != (("量子阅读法",),)
    with configured(DICTIONARY=dictionary):
        assert query_words("量子阅读法云原生平台") == (("量子阅读法",), ("云原生平台",))
        assert "量子阅读法" in index_terms("學量子閱讀法吧")
        import jieba

        assert "量子阅读法" not in jieba.dt.FREQ  # the host's own jieba stays as it is


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_dictionary_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.txt"
    if content is not None:
        path.write_bytes(content)
    with configured(DICTIONARY=path), pytest.raises(ConfigurationError, match=r"DICTIONARY.*broken\.txt"):
        analysis_id()


def test_the_id_follows_dictionary_and_languages(dictionary: Path) -> None:
    ids = [analysis_id()]
    with configured(DICTIONARY=dictionary):
        ids.append(analysis_id())
    dictionary.write_text("另一个词\n", encoding="utf-8")
    with configured(DICTIONARY=dictionary):
        ids.append(analysis_id())
    for codes in (["en"], ["zh", "en"], ["en", "de", "zh"]):
        with configured(LANGUAGES=codes):
            ids.append(analysis_id())
    assert len(set(ids)) == len(ids)
    assert all(len(identity) <= 64 for identity in ids)


def test_the_id_is_the_same_in_another_process() -> None:
    code = "from llmrec_plugin.analysis.tokens import analysis_id; print(analysis_id())"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": "7"}
    output = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == analysis_id()


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("library", ["jieba", "opencc"])
def test_without_the_extra_chinese_is_found_by_pairs_of_characters_and_named_so(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_dictionary = analysis_id()
    monkeypatch.setitem(sys.modules, library, None)
    with configured(LANGUAGES=["en", "zh"]):
        assert index_terms("Café CAFE") == ["cafe", "cafe"]
        assert query_words("清华大学") == (("清华",), ("华大",), ("大学",))
        assert finds("清华", "清华大学")
        assert analysis_id() != with_a_dictionary


def test_languages_of_one_script_are_told_apart_only_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    german = "Der schnelle braune Fuchs springt über den faulen Hund und läuft davon."
    with configured(LANGUAGES=["en", "de"]):
        assert detect_language(german) == "de"
        monkeypatch.setitem(sys.modules, "py3langid", None)
        languages._identifier.cache_clear()
        assert detect_language(german) == ""
        assert detect_language("") == ""
    languages._identifier.cache_clear()


@pytest.mark.usefixtures("unloaded")
def test_loading_the_segmenter_writes_no_files_and_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(len, threads.map(query_words, ["清华大学"] * 8))) == {1}
    assert list(folder.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_each_simplified_character_stays_itself() -> None:
    table = han.simplifications()
    assert all(fold(new) == new for new in table.values())
