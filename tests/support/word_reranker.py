"""A reranker whose answers can be counted, with a fault on demand."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.reranking import Scores
from llmrec_plugin.exceptions import EncoderUnavailable


def build(spec: EncoderSpec) -> WordReranker:
    if spec.options.get("fault") == "load":
        raise EncoderUnavailable("There is no such model.")
    if spec.options.get("fault") == "wrong code":
        return WordReranker(spec.options["weights"])
    return WordReranker(str(spec.options.get("fault", "")))


class WordReranker:
    def __init__(self, fault: str) -> None:
        self._fault = fault

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """How much of the passage is words of the query, which a shorter passage wins."""
        if self._fault == "slow":
            time.sleep(0.05)
        if self._fault == "stumbles":
            raise KeyError(query)
        if self._fault == "score":
            raise EncoderUnavailable("The device is lost.")
        if self._fault == "nan":
            return np.full(len(passages), np.nan, np.float32)
        wanted = set(query.casefold().split())
        words = [text.casefold().split() for text in passages]
        shares = [sum(word in wanted for word in found) / (1 + len(found)) for found in words]
        return np.array(shares, dtype=np.float32)
