"""The hashing encoder that quotes what it refuses: queries on Zanzibar, items with the word "poison"."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec_plugin.encoders import hashing
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import EncoderUnavailable
from llmrec_plugin.types import Matrix


class QuotingEncoder:
    id = "quoting"
    dimensions = 32

    def __init__(self) -> None:
        self._inner = hashing.build(EncoderSpec(name="hashing", options={"dimensions": 32}))

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        for text in texts:
            if "poison" in text:
                raise ValueError(f"I do not read {text}")
        return self._inner.encode_document(texts)

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        for text in texts:
            if "zanzibar" in text:
                raise EncoderUnavailable(f"I do not read {text}")
        return self._inner.encode_query(texts)


def build(spec: EncoderSpec) -> QuotingEncoder:
    return QuotingEncoder()
