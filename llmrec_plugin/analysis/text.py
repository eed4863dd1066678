"""Plain text out of HTML, and its folded form: the one in which index and query are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from llmrec_plugin.analysis.han import HAN, simplifications
from llmrec_plugin.analysis.languages import configured

_DROPPED = {
    "script": "script",
    "style": "style",
    "iframe": "iframe",
    # Read as raw text, so that nothing inside them opens an element.
    "noframes": "noframes",
    "noscript": "noframes",
    "noembed": "noembed",
    "template": "noembed",
}
_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|dialog|dir|div|dl|dt|fieldset"
    "|figcaption|figure|footer|form|frameset|h[1-6]|head|header|hgroup|hr|html|legend|li|main|menu|nav|ol"
    "|optgroup|option|p|pre|search|section|select|summary|table|tbody|textarea|tfoot|thead|title|tr|ul"
)
_CELLS = "td|th"
_INLINE = (
    "a|abbr|acronym|area|audio|b|base|bdi|bdo|big|button|canvas|cite|code|col|colgroup|data|datalist|del"
    "|dfn|em|embed|font|i|img|input|ins|kbd|label|link|map|mark|math|meta|meter|nobr|object|output|param"
    "|picture|progress|q|rb|rp|rt|ruby|s|samp|slot|small|source|span|strike|strong|sub|sup|svg|time|track"
    r"|tt|u|var|video|wbr|[a-z]+[:-][\w:.-]*"  # custom elements and the namespaces of word processors
)
_MARKUP = re.compile(
    rf"<(?=[a-z/])/?(?:{'|'.join(_DROPPED)}|{_BLOCKS}|{_CELLS}|{_INLINE})(?:[\s/][^<>]*+)?>"
    r"|<[!?][a-z\[-]|&(?:\#[0-9]+|\#x[0-9a-f]+|[a-z][a-z0-9]*);",
    re.ASCII | re.IGNORECASE,
)
_MANY_ATTRIBUTES = r"""(?:[\s/"'](?:[^\s/"'<>]|<(?!/?[a-z]))*+){600,}+"""
_TAG = re.compile(
    rf"<(?P<dropped>{'|'.join(_DROPPED)})(?=[\s/>])[^>]*+>?"
    rf"|(?:</(?P<closed>{'|'.join(_DROPPED)})(?=[\s/>])"
    rf"|</?(?P<block>{_BLOCKS})(?=[\s/>])"
    rf"|</?(?P<cell>{_CELLS})(?=[\s/>])"
    rf"|</?[a-z][^\s/>]*)(?:{_MANY_ATTRIBUTES})?",
    re.ASCII | re.IGNORECASE,
)

_INVISIBLE = re.compile(
    # controls, soft hyphen, zero-width space, direction marks, lone surrogates, non-characters
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_AROUND_BREAK = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")


SHOWN = 100
"""Characters of a wrong value that an error repeats."""


def is_storable(text: str) -> bool:
    """False for what a database may refuse: NUL, and half a surrogate pair."""
    return not _UNSTORABLE.search(text)


def shown(text: str) -> str:
    """`text` as an error may repeat it."""
    text = encodable(text)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def encodable(text: str) -> str:
    """`text` without the lone surrogates that JSON lets in and UTF-8 does not let out."""
    return text.encode("utf-8", "replace").decode()


def html_to_text(value: str) -> str:
    """What a reader of the page sees, a line per block; text without markup comes back as `clean` does it.

    A lone `<` or `&`, as in "a < b" or "vector<int>", is no markup.
    """
    if not _MARKUP.search(value):
        return clean(value)
    from selectolax.lexbor import LexborHTMLParser

    source = re.sub(r"\s+", " ", _INVISIBLE.sub("", value))
    parser = LexborHTMLParser(_TAG.sub(_flat_tag, source))
    parser.strip_tags(sorted(set(_DROPPED.values())), recursive=True)
    root = parser.root
    return re.sub(r"\n+", "\n", clean(root.text())) if root is not None else ""


def clean(text: str) -> str:
    """The text without invisible characters, with single spaces and at most one blank line on end."""
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    text = _LINE_BREAK.sub("\n", _INVISIBLE.sub("", text))
    text = _AROUND_BREAK.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip(" \n")


def _flat_tag(tag: re.Match[str]) -> str:
    """The tag as an element that cannot hold another, without hundreds of attributes.

    Only the order of the text matters here, and parsers need quadratic time for deep nesting and for
    many attributes: 1 MB of `<div>` takes minutes. What follows the name is left to the parser, quotes
    and all.
    """
    match tag.lastgroup:
        case "dropped":
            return f"<{_DROPPED[tag['dropped'].lower()]}>"
        case "closed":
            return f"</{_DROPPED[tag['closed'].lower()]}"
        case "block":
            return "\n<wbr"
        case "cell":
            return " <wbr"
    return "<wbr"


class Folded(NamedTuple):
    """Folded text, and for each of its characters where it came from."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The slice of the original that the non-empty folded slice stands for."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> str:
    """The text without differences of width, case and composition and without invisible characters;
    traditional Chinese becomes simplified where the site speaks Chinese."""
    return fold_aligned(text).text


def fold_aligned(text: str) -> Folded:
    """As `fold`, with the way back to the original."""
    folded = _fold_unicode(text)
    if not text.isascii() and configured().chinese and HAN.search(folded.text):
        # One character for one, so the alignment holds.
        return folded._replace(text=folded.text.translate(simplifications()))
    return folded


def _fold_unicode(text: str) -> Folded:
    if text.isascii() and not _INVISIBLE.search(text):
        return _one_to_one(text.lower())
    if _joining().search(text):
        return _align(text, (match.span() for match in _clusters().finditer(text)))
    folded = text.translate(_CHARACTERS)
    if len(folded) == len(text):
        return _one_to_one(folded)
    return _align(text, ((i, i + 1) for i in range(len(text))))


def _one_to_one(folded: str) -> Folded:
    return Folded(folded, range(len(folded)), range(1, len(folded) + 1))


def _align(text: str, pieces: Iterable[tuple[int, int]]) -> Folded:
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in pieces:
        piece = _fold_piece(text[start:end])
        folded.append(piece)
        starts.extend([start] * len(piece))
        ends.extend([end] * len(piece))
    return Folded("".join(folded), starts, ends)


@lru_cache(maxsize=1)
def _joining() -> re.Pattern[str]:
    """A character that normalising may merge into what stands before it, or that folding drops."""
    trailing = _trailing()
    found = []
    for code in range(0x300, 0x20000):
        first = unicodedata.normalize("NFKD", chr(code))[0]
        if unicodedata.combining(first) or first in trailing:
            found.append(chr(code))
    return re.compile(f"[{''.join(found)}{_INVISIBLE.pattern[1:]}")


@lru_cache(maxsize=1)
def _clusters() -> re.Pattern[str]:
    """What normalises independently of its neighbours. No script needs more than a few marks in a row;
    the bound is that of Unicode's stream-safe format, as sorting marks takes quadratic time."""
    return re.compile(f"(?s:.){_joining().pattern}{{0,30}}")


def _trailing() -> frozenset[str]:
    """Characters of combining class 0 that still compose with a former one (Jamo, some Indic vowels)."""
    found = {chr(code) for bounds in ((0x1161, 0x1176), (0x11A8, 0x11C3)) for code in range(*bounds)}
    for code in range(0x20000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            last = chr(int(parts[1], 16))
            if not unicodedata.combining(last):
                found.add(last)
    return frozenset(found)


_FRACTIONS = {
    code: f" {unicodedata.normalize('NFKC', chr(code)).replace(chr(0x2044), '/')} "
    for code in (*range(0xBC, 0xBF), *range(0x2150, 0x215F), 0x2189)
}


def _casefold(text: str) -> str:
    text = text.translate(_FRACTIONS)  # 2½ is 2 1/2, not 21/2
    # Twice: folding the case can take a text out of normal form, and normalising bring capitals back.
    for _ in range(2):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return text


@lru_cache(maxsize=8192)
def _fold_piece(piece: str) -> str:
    return _casefold(_INVISIBLE.sub("", piece))


class _Characters(dict[int, str]):
    """For str.translate: each character folded alone, worked out once."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _casefold(chr(code))
        return folded


_CHARACTERS = _Characters()
