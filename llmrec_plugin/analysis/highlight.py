"""The part of a text that answers a query, as HTML with the matches marked."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from itertools import islice

from llmrec_plugin.analysis.tokens import Token, tokenize

_SCANNED = 50_000
"""Characters that are searched for matches; a longer text is no longer read at a glance anyway."""
_SNAP = 30
"""How far an end of the snippet may move to reach a space."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def highlight(text: str, words: tuple[tuple[str, ...], ...], language: str = "", *, length: int = 240) -> str:
    """About `length` characters where most of the words are, as escaped HTML with matches in <mark> and
    "…" where the text goes on; empty when nothing matches.

    `words` as from `query_words`; `language` as the text was indexed.
    """
    text = _SURROGATE.sub("\ufffd", text)
    numbers = {term: number for number, word in enumerate(words) for term in word}
    matches = list(tokenize(text[:_SCANNED], language, only=numbers))
    if not matches:
        return ""
    matches.sort(key=lambda token: (token.start, token.end))
    start, end = _window(text, _densest(matches, numbers, length), length)
    return _marked(text, _merged(matches), start, end)


def _densest(matches: list[Token], numbers: dict[str, int], length: int) -> tuple[int, int]:
    """Where, within `length` characters, the most different words and then the most matches are."""
    end = max(token.end for token in matches)
    if end - matches[0].start <= length:
        return matches[0].start, end
    best, found = (0, 0), (matches[0].start, matches[0].end)
    inside: Counter[int] = Counter()
    first = 0
    for last, token in enumerate(matches):
        inside[numbers[token.term]] += 1
        while first < last and token.end - matches[first].start > length:
            inside[numbers[matches[first].term]] -= 1
            first += 1
        score = (sum(count > 0 for count in inside.values()), last - first)
        if score > best:
            best, found = score, (matches[first].start, token.end)
    return found


def _window(text: str, matched: tuple[int, int], length: int) -> tuple[int, int]:
    """The snippet around the matches, with its ends at spaces where there are any nearby."""
    first, last = matched
    last = min(last, first + length)
    start = max(0, first - (length - (last - first)) // 3)
    end = min(len(text), start + length)
    start = max(0, min(start, end - length))
    if start > 0:
        start = _after_space(text, start, first)
    if end < len(text):
        end = _before_space(text, last, end)
    return start, end


def _after_space(text: str, start: int, limit: int) -> int:
    for position in range(start, min(start + _SNAP, limit) + 1):
        if text[position - 1].isspace() and not text[position].isspace():
            return position
    while start < limit and _continues(text, start):
        start += 1
    return start


def _before_space(text: str, limit: int, end: int) -> int:
    for position in range(end, max(end - _SNAP, limit), -1):
        if text[position].isspace() and not text[position - 1].isspace():
            return position
    while end > limit and _continues(text, end):
        end -= 1
    return end


def _continues(text: str, position: int) -> bool:
    """The character belongs to the one before it: an accent, a variation selector, a joined emoji."""
    joiner = "\u200d"
    return (
        unicodedata.category(text[position]).startswith("M")
        or text[position] == joiner
        or text[position - 1] == joiner
    )


def _merged(matches: list[Token]) -> list[tuple[int, int]]:
    """Spans without overlap; touching ones, as neighbouring Han words are, become one."""
    spans = [(matches[0].start, matches[0].end)]
    for token in islice(matches, 1, None):
        start, end = spans[-1]
        if token.start <= end:
            spans[-1] = (start, max(end, token.end))
        else:
            spans.append((token.start, token.end))
    return spans


def _marked(text: str, spans: list[tuple[int, int]], start: int, end: int) -> str:
    pieces = ["…"] if start > 0 else []
    position = start
    for span in spans:
        begin, stop = max(span[0], start), min(span[1], end)
        if begin < stop:
            pieces += [html.escape(text[position:begin]), "<mark>", html.escape(text[begin:stop]), "</mark>"]
            position = stop
    pieces.append(html.escape(text[position:end]))
    if end < len(text):
        pieces.append("…")
    return "".join(pieces)
