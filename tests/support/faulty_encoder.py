"""An encoder that fails in the way its option `fault` says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import EncoderUnavailable
from llmrec_plugin.types import Matrix

ID = "faulty"
DIMENSIONS = 64


def build(spec: EncoderSpec) -> FaultyEncoder:
    return FaultyEncoder(str(spec.options["fault"]))


class FaultyEncoder:
    id = ID
    dimensions = DIMENSIONS

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        if self.fault == "down":
            raise EncoderUnavailable("The encoder takes a rest.")
        if self.fault == "short":
            return np.ones((len(texts), 3), dtype=np.float32)
        value = {"nan": np.nan, "zero": 0.0}[self.fault]
        return np.full((len(texts), DIMENSIONS), value, dtype=np.float32)

    encode_document = encode_query
