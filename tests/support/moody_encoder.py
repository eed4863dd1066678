"""The hashing encoder with bad days: it counts what it reads, and fails as `mood` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from llmrec_plugin.encoders import hashing
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import EncoderUnavailable
from llmrec_plugin.types import Matrix


@dataclass
class Mood:
    down: set[str] = field(default_factory=set)
    """Names of encoders that do not answer."""
    broken: bool = False
    """It fails in a way that no text explains."""
    stumbles: bool = False
    """Its code is wrong: a query raises what no contract speaks of."""
    nan_for: str = ""
    """Texts with this word get a vector of NaN."""
    refuses: str = ""
    """A batch with a text that has this word is refused with a ValueError."""
    read: list[str] = field(default_factory=list)
    """Every document text that it was given."""
    batches: list[int] = field(default_factory=list)


mood = Mood()


def reset() -> None:
    mood.__init__()  # type: ignore[misc]


NAME = "moody"


def build(spec: EncoderSpec) -> MoodyEncoder:
    return MoodyEncoder(str(spec.options.get("name", NAME)), int(spec.options.get("dimensions", 64)))


class MoodyEncoder:
    def __init__(self, name: str, dimensions: int) -> None:
        self._inner = hashing.build(EncoderSpec(name="hashing", options={"dimensions": dimensions}))
        self.id = name
        self.dimensions = dimensions

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        if mood.stumbles:
            raise KeyError(texts[0])
        if self.id in mood.down:
            raise EncoderUnavailable("It is having a bad day.")
        return self._inner.encode_query(texts)

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        mood.batches.append(len(texts))
        mood.read.extend(texts)
        if self.id in mood.down:
            raise EncoderUnavailable("It is having a bad day.")
        if mood.broken:
            raise RuntimeError("out of memory")
        if mood.refuses and any(mood.refuses in text for text in texts):
            raise ValueError(f"cannot read {next(text for text in texts if mood.refuses in text)}")
        vectors = self._inner.encode_document(texts)
        if mood.nan_for:
            vectors[[mood.nan_for in text for text in texts]] = np.nan
        return vectors
