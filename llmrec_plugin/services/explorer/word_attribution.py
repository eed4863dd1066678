"""Tells which words bring query and item near in meaning: each is left out, and the rest encoded anew.

For staff who ask about one result; a visitor's request never comes here (ADR 20).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.exact import words_in
from llmrec_plugin.analysis.words import Part
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.search.query_analysis import MAX_LENGTH
from llmrec_plugin.services.serving.encoder_loading import serving_pair
from llmrec_plugin.types import Matrix, Vector

MAX_QUERY_WORDS = 32
MAX_ITEM_WORDS = 64
"""Words that are left out in turn, the first of each text; those after them are only read along."""


class TokenAttribution(NamedTuple):
    """A frozen value for a word, or what stands between two."""

    text: str
    value: float | None
    """How much nearer in meaning the word brings the two, in cosine; negative: further apart. None: it was
    not left out."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """A frozen record of how near a query and an item are, and what each word has in it."""

    title: str
    cosine: float
    query: tuple[TokenAttribution, ...]
    item: tuple[TokenAttribution, ...]
    """Both in the order of the text, which the pieces make up."""


def explain_words(label: str, text: str, key: str) -> Attribution:
    """Return what each word has in it; two calls of the encoder, with 33 and 65 texts at most.

    Raises NotFound for an item that cannot be seen, InvalidRequest for a query without words, and what
    `serving_pair` and an encoder raise.
    """
    document = registry.get(label)
    query = operators.parse(" ".join(text[:MAX_LENGTH].replace("\0", " ").split())).text
    if next(words_in(query), None) is None:
        raise InvalidRequest("Type a query: it is its words that are looked at.", parameter="q")
    obj = document.in_bulk([key]).get(key)
    prepared = None if obj is None else document.prepare(obj)
    if obj is None or prepared is None:
        raise NotFound(f'"{label}" has no item "{key}".')
    encoder = encoder_of(serving_pair(label).index_version)
    query_vectors, query_words = _encoded(encoder.encode_query, query, MAX_QUERY_WORDS)
    item_vectors, item_words = _encoded(encoder.encode_document, prepared.passage, MAX_ITEM_WORDS)
    return Attribution(
        title=document.get_title(obj),
        cosine=float(query_vectors[0] @ item_vectors[0]),
        query=_pieces(query, query_words, _losses(query_vectors, item_vectors[0])),
        item=_pieces(prepared.passage, item_words, _losses(item_vectors, query_vectors[0])),
    )


def strongest(pieces: Sequence[TokenAttribution], count: int) -> list[TokenAttribution]:
    """Return the words that matter most, up or down."""
    known = [piece for piece in pieces if piece.value is not None]
    return sorted(known, key=lambda piece: -abs(piece.value or 0.0))[:count]


def _encoded(encode: Callable[[Sequence[str]], Matrix], text: str, most: int) -> tuple[Matrix, list[Part]]:
    """Return vectors of the whole text and of it without each of its first words, and these words."""
    found = list(islice(words_in(text), most))
    return encode([text, *(text[: word.start] + text[word.end :] for word in found)]), found


def _losses(vectors: Matrix, other: Vector) -> list[float]:
    """Return what the cosine loses with each word."""
    cosines = np.asarray(vectors @ other, dtype=np.float64)
    losses: list[float] = (cosines[0] - cosines[1:]).tolist()
    return losses


def _pieces(text: str, found: Sequence[Part], values: Sequence[float]) -> tuple[TokenAttribution, ...]:
    pieces: list[TokenAttribution] = []
    place = 0
    for word, value in zip(found, values, strict=True):
        if place < word.start:
            pieces.append(TokenAttribution(text[place : word.start], None))
        pieces.append(TokenAttribution(word.text, value))
        place = word.end
    if place < len(text):
        pieces.append(TokenAttribution(text[place:], None))
    return tuple(pieces)
