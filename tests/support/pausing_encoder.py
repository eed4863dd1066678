"""The hashing encoder, as slow as a model on another machine: it waits, and computes nothing meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from llmrec_plugin.encoders import hashing
from llmrec_plugin.encoders.base import Encoder, EncoderSpec
from llmrec_plugin.types import Matrix


class PausingEncoder:
    def __init__(self, inner: Encoder, seconds: float) -> None:
        self.id = f"pausing-{inner.id}"
        self.dimensions = inner.dimensions
        self._inner = inner
        self._seconds = seconds

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        time.sleep(self._seconds)
        return self._inner.encode_document(texts)

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._inner.encode_query(texts)


def build(spec: EncoderSpec) -> PausingEncoder:
    inner = hashing.build(EncoderSpec(name="hashing", options={"dimensions": 32}))
    return PausingEncoder(inner, float(spec.options["seconds"]))
