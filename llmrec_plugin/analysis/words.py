"""Text with spaces between words: compounds and codes, their parts, stems and accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "st": "sesotho",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
APOSTROPHES = "'\u2019\u02bc"
_SEPARATORS = f"-_/.{APOSTROPHES}"
COMPOUND = rf"{{word}}(?:[{_SEPARATORS}]{{word}})*(?:\+\+|\#)?"
"""Pattern of a compound, to be filled with the pattern of a word: AB-123, 3.5mm, women's, C++."""
_ATOM = re.compile(rf"[^{_SEPARATORS}+#]+(?:(?<=\d)\.(?=\d)[^{_SEPARATORS}+#]+)*")
_REMOVED_SEPARATOR = re.compile(rf"(?<!\d)[{_SEPARATORS}]|[{_SEPARATORS}](?!\d)")
_NUMBER_THEN_LETTERS = re.compile(r"(\d+(?:\.\d+)*)([^\W\d_]+)")
_LETTERS_THEN_NUMBER = re.compile(r"([^\W\d_]{2,})(\d+(?:\.\d+)*)")
_ACCENT = re.compile("[\u0300-\u036f]+")
_LONGEST = 64
"""Characters of a term; what is longer was not written by hand and is cut."""


class Part(NamedTuple):
    """A word within a compound, with its place there."""

    text: str
    start: int
    end: int


def terms(compound: str, language: str) -> tuple[Part, ...]:
    """What an index holds of a folded compound: its parts and its joined form, stemmed."""
    if len(compound) > _LONGEST:
        return tuple(_distinct_terms(compound, language))
    return _cached_terms(compound, language)


def alternatives(compound: str, languages: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What a query asks for: per part, the stems that `terms` may have made of it in any language.

    Parts that share one, as women and womens of "women's" do, ask once.
    """
    words: list[tuple[str, ...]] = []
    for part in _parts(compound):
        found = spellings(part.text, languages)
        for place, word in enumerate(words):
            if not set(word).isdisjoint(found):
                words[place] = tuple(dict.fromkeys(word + found))
                break
        else:
            words.append(found)
    return words


def atoms(compound: str) -> Iterator[Part]:
    """The parts of a folded compound side by side, without accents: women's is women and s."""
    found = list(_ATOM.finditer(compound))
    for atom in found[:-1]:
        yield Part(_without_accents(atom[0][:_LONGEST]), atom.start(), atom.end())
    last = found[-1].start()  # with what may follow it, as in C++
    yield Part(_without_accents(compound[last:][:_LONGEST]), last, len(compound))


@lru_cache(maxsize=65536)
def _cached_terms(compound: str, language: str) -> tuple[Part, ...]:
    return tuple(_distinct_terms(compound, language))


def _distinct_terms(compound: str, language: str) -> Iterator[Part]:
    seen = set()
    for part in _parts(compound):
        term = _without_accents(_stem(part.text, language))
        if term not in seen:
            seen.add(term)
            yield Part(term, part.start, part.end)


def spellings(word: str, languages: tuple[str, ...]) -> tuple[str, ...]:
    """The stems that `terms` may have made of one word in any language, and the word itself."""
    plain = _without_accents(word)
    stems = [_without_accents(_stem(spelling, code)) for code in languages for spelling in (word, plain)]
    return tuple(dict.fromkeys([*stems, plain]))


def _parts(compound: str) -> Iterator[Part]:
    """AB-123: ab, 123 and ab123. 3.5mm: 3.5mm, 3.5 and mm. WHITE-T2: white, t2 and whitet2. C++: c, c++.

    Separators between digits stay in the joined form, for 1/2 is not 12.
    """
    atoms = list(_ATOM.finditer(compound))
    for atom in atoms:
        if not _is_clitic(compound, atom):
            yield Part(atom[0][:_LONGEST], atom.start(), atom.end())
            yield from _number_and_unit(atom)
    last = atoms[-1]
    if last.end() < len(compound):
        yield Part(compound[last.start() :][:_LONGEST], last.start(), len(compound))
    if len(atoms) > 1:
        joined = _REMOVED_SEPARATOR.sub("", compound[: last.end()])
        if len(joined) <= _LONGEST:
            yield Part(joined, 0, last.end())


def _is_clitic(compound: str, atom: re.Match[str]) -> bool:
    """A letter beside an apostrophe, as in women's or l'homme, is no word; C++ after one is."""
    if compound[atom.end() : atom.end() + 1] in ("+", "#"):
        return False
    around = compound[max(0, atom.start() - 1) : atom.start()] + compound[atom.end() : atom.end() + 1]
    return (
        len(atom[0]) == 1 and not atom[0].isdigit() and any(character in APOSTROPHES for character in around)
    )


def _number_and_unit(atom: re.Match[str]) -> Iterator[Part]:
    """500GB is found as 500 GB, iPhone15 as iPhone 15, and 85123A as 85123; lone letters are left out."""
    found = _NUMBER_THEN_LETTERS.fullmatch(atom[0]) or _LETTERS_THEN_NUMBER.fullmatch(atom[0])
    if found is None:
        return
    for group in (1, 2):
        text = found[group]
        if len(text) > 1 or text.isdigit():
            start, end = found.span(group)
            yield Part(text[:_LONGEST], atom.start() + start, atom.start() + end)


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", word)))


@lru_cache(maxsize=65536)
def _stem(word: str, language: str) -> str:
    """Digits make a code of the word, and codes have no stem."""
    algorithm = _algorithm(language)
    if not algorithm or any(character.isdigit() for character in word):
        return word
    import snowballstemmer

    # A new one each time: they keep the word in hand in themselves, so threads cannot share one.
    return str(snowballstemmer.stemmer(algorithm).stemWord(word))


@lru_cache(maxsize=128)
def _algorithm(language: str) -> str:
    import snowballstemmer

    name = _STEMMERS.get(language, "")
    return name if name in snowballstemmer.algorithms() else ""
