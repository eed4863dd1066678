"""Two spaces with known answers: a query and an item that different spaces made meet at a wrong one.

The option `turn` is 0 or 1. An item lies on the axis of its place among THINGS, moved on by 5 with the turn.
The query of the same place finds that item without the turn, and the next one with it. Where a query of one
space met an index of the other, it would find the item 5 before or 6 after: neither is right in any space.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Sequence

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.identity import encoder_id
from llmrec_plugin.types import Matrix

THINGS = [
    *("amber", "brass", "cedar", "delft", "ebony", "flint", "glass", "ivory"),
    *("jade", "linen", "maple", "onyx", "pearl", "quartz", "satin", "teak"),
]
QUERIES = [
    *("winter", "summer", "monday", "friday", "morning", "evening", "north", "south"),
    *("river", "forest", "island", "harbour", "castle", "village", "kitchen", "garden"),
]
"""Words that are in no item: by words, these queries find nothing."""
CLOUD = "云原生网关"
STEP = 5
OTHERS = 15
"""Axes of all other texts, behind those of THINGS and that of CLOUD."""
SECONDS = 0.2
"""Of a batch of items: time to be killed in."""


class TurningEncoder:
    dimensions = len(THINGS) + 1 + OTHERS

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self.id = encoder_id("turning", 1, turn)

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        time.sleep(SECONDS)
        return self._axes(texts, THINGS, self._turn * STEP)

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._axes(texts, QUERIES, self._turn * (STEP + 1))

    def _axes(self, texts: Sequence[str], words: Sequence[str], moved: int) -> Matrix:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            vector[self._axis(text, words, moved)] = 1.0
        return vectors

    def _axis(self, text: str, words: Sequence[str], moved: int) -> int:
        if CLOUD in text:
            return len(THINGS)
        known = [words.index(word) for word in re.findall(r"\w+", text.lower()) if word in words]
        if known:
            return (known[0] + moved) % len(THINGS)
        return len(THINGS) + 1 + zlib.crc32(text.encode()) % OTHERS


def build(spec: EncoderSpec) -> TurningEncoder:
    return TurningEncoder(int(spec.options["turn"]))
