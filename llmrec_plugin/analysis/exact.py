"""Words as they are written, one term per position: for phrases, spelling and completion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from llmrec_plugin.analysis import pinyin, tokens, words
from llmrec_plugin.analysis.languages import configured
from llmrec_plugin.analysis.text import fold, fold_aligned

LONGEST_START = 16
"""Characters of a Chinese title that are read on from each word; nobody types more before choosing."""
_MAX_STARTS = 128
"""Terms of one title that may be begun."""


class TypedWord(NamedTuple):
    """A word of a query, and what the index may hold of it."""

    exact: str
    """As written, folded."""
    terms: tuple[str, ...]
    """Its alternatives, as of `query_words`."""
    start: int
    """Its slice of the text that was typed."""
    end: int


def exact_terms(text: str) -> list[str]:
    """The words of the text in order, without case and accents; each character of a script without spaces."""
    return [text_ for run in tokens.runs(fold(text)) for text_, _, _ in _atoms(run)]


def worded_terms(text: str) -> tuple[list[str], frozenset[int]]:
    """The `exact_terms`, and at which of them a word begins; the end of the last one counts as well."""
    terms: list[str] = []
    starts = {0}
    for run in tokens.runs(fold(text)):
        if run.lastgroup == "word":
            words_ = [word for word, _, _ in _atoms(run)]
            starts.update(range(len(terms), len(terms) + len(words_)))
            terms += words_
        else:
            starts.update(len(terms) + start for _, start, _ in _cut(run))
            terms += run[0]
    return terms, frozenset({*starts, len(terms)})


def typed_words(text: str) -> Iterator[TypedWord]:
    """The words of a query with their places; single characters of Chinese that follow each other make one,
    for so a word is divided that no dictionary has."""
    folded = fold_aligned(text)
    spoken = configured().spoken
    for run in tokens.runs(folded.text):
        for word, start, end in _atoms(run) if run.lastgroup == "word" else _joined(run):
            place = folded.origin(run.start() + start, run.start() + end)
            terms = words.spellings(word, spoken) if run.lastgroup == "word" else (word,)
            yield TypedWord(word, terms, *place)


def words_in(text: str) -> Iterator[words.Part]:
    """The words as they stand in the text, with their places; Chinese ones as the dictionary divides it."""
    folded = fold_aligned(text)
    for run in tokens.runs(folded.text):
        spans = (
            [(0, len(run[0]))] if run.lastgroup == "word" else [(part.start, part.end) for part in _cut(run)]
        )
        for begin, stop in spans:
            start, end = folded.origin(run.start() + begin, run.start() + stop)
            yield words.Part(text[start:end], start, end)


def title_starts(title: str) -> list[str]:
    """What a visitor who wants this title may begin to type: its words, in Chinese whatever follows from
    each word on, and both in pinyin, in full and by first letters."""
    found: dict[str, None] = {}
    for run in tokens.runs(fold(title)):
        if run.lastgroup == "word":
            found |= dict.fromkeys(word for word, _, _ in _atoms(run))
            continue
        for _, start, _ in _cut(run):
            rest = run[0][start : start + LONGEST_START]
            found |= dict.fromkeys([rest, *(pinyin.spellings(rest) if run.lastgroup == "han" else ())])
    return list(found)[:_MAX_STARTS]


def typed_starts(text: str) -> list[str]:
    """The beginnings that somebody has typed, each of which a title must continue."""
    return [run_word for run in tokens.runs(fold(text)) for run_word in _begun(run)]


def _begun(run: re.Match[str]) -> list[str]:
    return [word for word, _, _ in _atoms(run)] if run.lastgroup == "word" else [run[0][:LONGEST_START]]


def _atoms(run: re.Match[str]) -> Iterator[words.Part]:
    """AB-123 is ab and 123, C++ is c++."""
    if run.lastgroup == "word":
        yield from words.atoms(run[0])
    else:
        yield from (words.Part(character, place, place + 1) for place, character in enumerate(run[0]))


def _joined(run: re.Match[str]) -> Iterator[words.Part]:
    text, single = run[0], -1
    if run.lastgroup != "han" or not configured().chinese:
        return
    for start, end in tokens.segmenter().word_spans(text):
        if end - start > 1:
            yield words.Part(text[start:end], start, end)
        elif single >= 0 and single == start - 1:
            yield words.Part(text[single:end], single, end)
        single = start if end - start == 1 else -1


def _cut(run: re.Match[str]) -> Iterator[words.Part]:
    """Words of a run without spaces, side by side; single characters where no dictionary divides it."""
    text = run[0]
    if run.lastgroup == "han" and configured().chinese:
        place = 0
        for word in tokens.segmenter().cut(text):
            yield words.Part(word, place, place + len(word))
            place += len(word)
    else:
        yield from _atoms(run)
