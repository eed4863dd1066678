"""A deterministic encoder without a model: hashed words and letter trigrams, for tests and first steps.

Texts that share words, or most letters of a word, point in similar directions; it knows no synonyms.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.identity import encoder_id
from llmrec_plugin.options import between
from llmrec_plugin.types import Matrix

__all__ = ["build"]

_VERSION = 1
_MAX_CHARACTERS = 2000
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_PART_WEIGHT = 0.3
"""Of a letter trigram, or of a single Han character, beside 1 for a word or a pair of Han characters."""


@dataclass(frozen=True, kw_only=True)
class Options:
    dimensions: Annotated[int, between(2, 4096)] = 64
    query_prompt: str = ""
    document_prompt: str = ""


def build(spec: EncoderSpec) -> HashingEncoder:
    return HashingEncoder(spec.read(Options))


class HashingEncoder:
    """Bag of features, each hashed to one signed coordinate."""

    def __init__(self, options: Options) -> None:
        self.dimensions = options.dimensions
        self._prompts = (options.query_prompt, options.document_prompt)
        self.id = encoder_id("hashing", _VERSION, self.dimensions, self._prompts)

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._prompts[0])

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._prompts[1])

    def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for feature, weight in _features(prompt + text[:_MAX_CHARACTERS]):
                coordinate = _coordinate(feature)
                vector[(coordinate >> 1) % self.dimensions] += weight if coordinate & 1 else -weight
            if not vector.any():  # no word at all, or features that cancel out
                vector[_coordinate(text) % self.dimensions] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if "\u3400" <= word[0] <= "\u9fff" or "\uf900" <= word[0] <= "\ufaff":
            yield from ((character, _PART_WEIGHT) for character in word)
            yield from ((word[i : i + 2], 1.0) for i in range(len(word) - 1))
        else:
            yield word, 1.0
            padded = f"<{word}>"
            yield from ((padded[i : i + 3], _PART_WEIGHT) for i in range(len(padded) - 2))


@lru_cache(maxsize=100_000)
def _coordinate(feature: str) -> int:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
