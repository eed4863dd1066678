"""The hashing encoder, as slow as a model: there is time to kill a process while it encodes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from llmrec_plugin.encoders import hashing
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.types import Matrix

SECONDS = float(os.environ.get("LLMREC_TEST_ENCODER_SECONDS", "0.1"))


class SteadyEncoder(hashing.HashingEncoder):
    def encode_document(self, texts: Sequence[str]) -> Matrix:
        time.sleep(SECONDS)
        return super().encode_document(texts)


def build(spec: EncoderSpec) -> SteadyEncoder:
    return SteadyEncoder(hashing.Options(dimensions=32))
