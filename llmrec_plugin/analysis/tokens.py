"""One analysis for index and query: texts become terms, and each term knows its place in the original."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin.analysis import han, words
from llmrec_plugin.analysis.languages import configured, detect_language
from llmrec_plugin.analysis.text import fold, fold_aligned
from llmrec_plugin.analysis.words import Part
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import ConfigurationError

__all__ = [
    "Token",
    "analysis_id",
    "cut_by",
    "detect_language",
    "dictionary",
    "index_terms",
    "query_words",
    "tokenize",
]

ANALYSIS_VERSION = 2
"""Raised whenever the same text would give other terms."""
_QUERY_CHARACTERS = 10_000
_QUERY_WORDS = 64
# Kana, Hangul, and the scripts of South-East Asia that put no spaces between words.
_PAIRED_RANGES = "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30fa\u30fc-\u30ff\uac00-\ud7ff"
_given: ContextVar[str | None] = ContextVar("words that texts are cut by", default=None)
_ASCII_RUNS = re.compile(f"(?P<word>{words.COMPOUND.format(word='[a-z0-9]+')})")


class Token(NamedTuple):
    """A term and the slice of the original text that it stands for."""

    term: str
    start: int
    end: int


def index_terms(text: str, language: str = "") -> list[str]:
    """The terms under which a text is found, in the order of the text.

    `language`: whose stems to use; empty or not configured: English, or else the first configured
    language that puts spaces between words.
    """
    stemming = configured().stemming(language)
    return [part.text for run in runs(fold(text)) for part in _parts(run, stemming)]


def tokenize(text: str, language: str = "", *, only: Container[str] | None = None) -> Iterator[Token]:
    """As `index_terms`, with places; terms of one compound or Han run overlap.

    `only`: leave out all other terms; sooner done than choosing afterwards.
    """
    folded = fold_aligned(text)
    stemming = configured().stemming(language)
    for run in runs(folded.text):
        for term, start, end in _parts(run, stemming):
            if only is None or term in only:
                yield Token(term, *folded.origin(run.start() + start, run.start() + end))


def query_words(text: str) -> tuple[tuple[str, ...], ...]:
    """The distinct words of a query in order, each with its alternatives: what any configured language
    makes of it. Whoever types a word of a text finds that text."""
    found: dict[tuple[str, ...], None] = {}
    for word in _query_words(fold(text[:_QUERY_CHARACTERS])):
        found[word] = None
        if len(found) == _QUERY_WORDS:
            break
    return tuple(found)


@lru_cache(maxsize=1)
def analysis_id() -> str:
    """Names this analysis: equal ids give equal terms, in whatever process they were made."""
    languages = configured()
    libraries = [
        "snowballstemmer",
        "PyStemmer",
        *(["jieba", "opencc", "pypinyin"] if languages.chinese else []),
    ]
    parts = [
        ANALYSIS_VERSION,
        list(languages.codes),
        hashlib.sha256(dictionary().encode()).hexdigest(),
        {name: _version_of(name) for name in libraries},
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _query_words(folded: str) -> Iterator[tuple[str, ...]]:
    spoken = configured().spoken
    for run in runs(folded):
        if run.lastgroup == "word":
            yield from words.alternatives(run[0], spoken)
        elif run.lastgroup == "han" and configured().chinese:
            yield from ((word,) for word in segmenter().words(run[0]))
        else:
            yield from ((pair,) for pair in han.pairs(run[0]))


def _parts(run: re.Match[str], stemming: str) -> Iterable[Part]:
    text = run[0]
    if run.lastgroup == "word":
        return words.terms(text, stemming)
    is_chinese = run.lastgroup == "han" and configured().chinese
    spans = segmenter().spans(text) if is_chinese else han.spans(text)
    return (Part(text[start:end], start, end) for start, end in spans)


def segmenter() -> han.Segmenter:
    """The segmenter of Chinese with the site's own words, or with those of `cut_by`."""
    given = _given.get()
    return han.segmenter(dictionary() if given is None else given)


@contextmanager
def cut_by(words: str | None) -> Iterator[None]:
    """Within it, and for this thread alone, texts are cut by these words of the site's own, as of
    `dictionary`, instead of those of today; None: by those of today."""
    token = _given.set(words)
    try:
        yield
    finally:
        _given.reset(token)


def runs(folded: str) -> Iterator[re.Match[str]]:
    """Runs of one way of dividing, named by the group: "word", "han" or "pairs"."""
    return (_ASCII_RUNS if folded.isascii() else _all_runs()).finditer(folded)


@lru_cache(maxsize=1)
def _all_runs() -> re.Pattern[str]:
    without_spaces = re.compile(f"[{_PAIRED_RANGES}]")
    marks = "".join(
        chr(code)
        for code in range(0x300, 0x10000)
        if unicodedata.category(chr(code)).startswith("M") and not without_spaces.match(chr(code))
    )
    letters = rf"[^\W_{han.HAN_RANGES}{_PAIRED_RANGES}]"
    # Vowel signs of Indic scripts and accents without a composed form are no \w, yet part of words.
    word = f"{letters}+(?:[{marks}]+{letters}*)*"
    return re.compile(
        f"(?P<han>[{han.HAN_RANGES}]+)|(?P<pairs>[{_PAIRED_RANGES}]+)|(?P<word>{words.COMPOUND.format(word=word)})"
    )


@lru_cache(maxsize=16)
def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=1)
def dictionary() -> str:
    """The folded content of LLMREC["DICTIONARY"], read once, so that terms and `analysis_id` agree."""
    path = get_settings().DICTIONARY
    if not path:
        return ""
    try:
        return fold(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f'LLMREC["DICTIONARY"] is {str(path)!r}, which cannot be read ({error}). '
            "It must be a UTF-8 file with one word per line."
        ) from error


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    if setting == "LLMREC":
        analysis_id.cache_clear()
        dictionary.cache_clear()
