"""Did you mean: a better spelling of a query with a word that no item holds, in the words of the index."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from llmrec_plugin.analysis import pinyin
from llmrec_plugin.analysis.exact import TypedWord
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.services.deployment.engines import asking
from llmrec_plugin.services.search.context import SearchContext
from llmrec_plugin.services.serving.visible_items import title_of

logger = logging.getLogger(__name__)

TITLES = 5
"""Titles that are read for the characters of a pinyin."""
SOUNDED_WORDS = 2
"""Words of one query that are looked for by their sound, each with a round trip of its own."""


def did_you_mean(context: SearchContext, near: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the query with each unknown word replaced by the nearest known one; None where every word is
    known, or nothing better is. `near`: each unknown word -> known ones, nearest first.

    A Chinese word is replaced by one that sounds alike, pinyin by the characters that it stands for.
    """
    unknown = [word for word in context.query.spelled if word.exact in near]
    if not unknown:
        return None
    better: dict[TypedWord, str] = {}
    sounded = 0
    for word in unknown:
        found = ""
        if sounded < SOUNDED_WORDS and _has_sound(word.exact):
            sounded += 1
            found = _by_sound(word.exact, context)
        if not found and near[word.exact]:
            found = near[word.exact][0]
        if found:
            better[word] = found
    return _replaced(context.query.typed, better) if better else None


def _replaced(text: str, better: Mapping[TypedWord, str]) -> str:
    position, pieces = 0, []
    for word in sorted(better, key=lambda word: word.start):
        if word.start >= position:
            pieces += [text[position : word.start], better[word]]
            position = word.end
    return "".join([*pieces, text[position:]])


def _has_sound(word: str) -> bool:
    if not pinyin.is_available():
        return False
    # what stands for too much, being shorter than four letters, is not looked up by any spelling
    return bool(HAN.match(word)) or word.isascii()


def _by_sound(word: str, context: SearchContext) -> str:
    """Return characters of some title that are read as the word is; empty where there are none."""
    sound = pinyin.reading(word) if HAN.match(word) else word
    document, version = context.document, context.pair.index_version
    try:
        with asking(version) as engine:
            keys = engine.suggest(version.name, [sound], limit=TITLES)
    except (BackendUnavailable, NotFound) as error:
        logger.warning("no spelling document=%s error=%s", document.label, type(error).__name__)
        return ""
    for obj in document.in_bulk(keys).values():
        found = pinyin.find_reading(title_of(document, obj), sound)
        if found and found != word:
            return found
    return ""
