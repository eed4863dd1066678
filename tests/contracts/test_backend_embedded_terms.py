"""Terms survive FTS5 as they are, and words too common to rank by are dropped."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import example, given
from hypothesis import strategies as st

from llmrec_plugin.backends.embedded.terms import (
    MAX_WORDS,
    PRUNED_LEAST,
    TOKENIZER,
    encode_term,
    encode_terms,
    encode_words,
    keep_words,
    match_expression,
)

any_term = st.text(min_size=1, max_size=300).filter(lambda term: term.split() == [term])
"""With lone surrogates."""


@given(st.sets(any_term, min_size=1, max_size=10))
@example({"a", "A", "^0041", "^^", '"', "''", "é", "\x00", "\ud800", "^d800", "x" * 70_000, "x" * 70_001})
def test_fts5_indexes_exactly_one_token_per_term(terms: set[str]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE text USING fts5(t0, tokenize='{TOKENIZER}')")
        connection.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(text, 'row')")
        connection.execute("INSERT INTO text VALUES (?)", (encode_terms("\u3000".join(terms)),))
        tokens = {token for (token,) in connection.execute("SELECT term FROM vocabulary")}
        assert tokens == {encode_term(term) for term in terms}
        assert len(tokens) == len(terms)
        for term in terms:
            match = match_expression(encode_words([[term]]), None)
            assert connection.execute("SELECT rowid FROM text WHERE text MATCH ?", (match,)).fetchall() == [
                (1,)
            ]


def test_plain_terms_stay_readable_in_the_file() -> None:
    assert encode_terms("red  c++ 机器\tdon't") == "red c++ 机器 don't"


def test_what_no_item_can_hold_is_left_out_of_a_query() -> None:
    assert encode_words([("red", ""), ("a  b",), (), ("red",), ("red", "\u3000")]) == [("red",)]


def test_a_synonym_of_several_words_is_looked_for_side_by_side() -> None:
    assert encode_words([("sofa", "day bed")]) == [("sofa", "day bed")]


ITEMS = 10_000
COMMON = {"the": 9_000, "and": 5_000, "some": 3_000, "rare": 2}


def kept(*words: str, items: int = ITEMS) -> list[str]:
    return [word for (word,) in keep_words([(word,) for word in words], COMMON, items)]


def test_a_common_word_is_dropped_while_a_rarer_one_is_left() -> None:
    assert kept("the", "rare") == ["rare"]
    assert kept("the", "some", "rare") == ["some", "rare"]


def test_of_common_words_alone_the_rarest_is_kept() -> None:
    assert kept("the", "and") == ["and"]
    assert kept("the") == ["the"]


def test_a_word_that_no_item_holds_lets_no_other_go() -> None:
    assert kept("the", "unheard") == ["the", "unheard"]


def test_no_word_is_too_common_in_a_small_index() -> None:
    assert kept("the", "rare", items=PRUNED_LEAST) == ["rare"]
    assert [word for (word,) in keep_words([("the",), ("rare",)], {"the": 900, "rare": 1}, 1_000)] == [
        "the",
        "rare",
    ]


def test_the_alternatives_of_a_word_count_together() -> None:
    words = [("some", "and"), ("rare",)]
    assert keep_words(words, {"some": 2_000, "and": 2_000, "rare": 1}, ITEMS) == [("rare",)]


def test_of_very_many_words_the_rarest_are_used_and_unknown_ones_last() -> None:
    words = [("unheard",), *((f"w{number}",) for number in range(100))]
    frequencies = {f"w{number}": 100 - number for number in range(100)}
    used = keep_words(words, frequencies, ITEMS)
    assert len(used) == MAX_WORDS
    assert used[0] == ("w99",)
    assert ("unheard",) not in used


def test_an_expression_names_its_columns_unless_all_are_meant() -> None:
    words = [("red", "rot"), ("hat",)]
    assert match_expression(words, None) == '"red" OR "rot" OR "hat"'
    assert match_expression(words, ["t0", "t2"]) == '{t0 t2} : ("red" OR "rot" OR "hat")'
