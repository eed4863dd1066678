"""What a text encoder is, and the one place that loads each at most once per process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmrec_plugin.types import Matrix


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """How to get an encoder: stored with every index version, so that an old one can be loaded again."""

    name: str
    """Model id or path (sentence-transformers), an http(s) URL (OpenAI-compatible server), or the
    dotted path of a module with `build(spec) -> Encoder`."""
    options: Mapping[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """Turns text into unit vectors; texts of queries and of documents may be treated differently."""

    @property
    def id(self) -> str:
        """At most 64 characters; equal ids mean interchangeable vectors: it covers weights, tokenizer,
        prompts, pooling and truncation, but not dtype, device or batch size."""

    @property
    def dimensions(self) -> int: ...

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimensions), float32, finite unit rows; raises EncoderUnavailable."""

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        """As encode_document, in the role of a query."""


def load_encoder(spec: EncoderSpec) -> Encoder:
    """The encoder of `spec`, the same object on every call in this process, loaded anew after a fork.

    Thread-safe. Raises ConfigurationError for an unusable spec, EncoderUnavailable when the model
    cannot be had now.
    """
    raise NotImplementedError
