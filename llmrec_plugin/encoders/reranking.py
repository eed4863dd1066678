"""What a reranker is: it reads query and item together, which takes longer and tells more than vectors do."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.encoders.base import EncoderSpec, Loaded, check_spec, is_sentence_transformer, own_builder
from llmrec_plugin.exceptions import InvalidVector

Scores = NDArray[np.float32]


class Reranker(Protocol):
    """Says of passages how well each answers a query."""

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """Shape (len(passages),), finite, higher is better; comparable for one query. Raises
        EncoderUnavailable."""


def load_reranker(spec: EncoderSpec) -> Reranker:
    """The reranker of `spec`, a cross-encoder by its folder or id, or the dotted path of a module with
    `build(spec) -> Reranker`; the same object on every call in this process.

    Thread-safe. Raises ConfigurationError for an unusable spec, EncoderUnavailable when the model cannot be
    had now.
    """
    return _rerankers.get(spec)


def check_reranker(spec: EncoderSpec) -> None:
    """Raise ConfigurationError for a module that builds no reranker, and for options that it does not have;
    loads no model."""
    check_spec(spec, _builder)


def forget_rerankers() -> None:
    """Drop every loaded reranker, so that the next call loads anew."""
    _rerankers.clear()


class CheckedReranker:
    """Any reranker, held to the contract."""

    def __init__(self, reranker: Reranker, name: str) -> None:
        self._reranker, self._name = reranker, name

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        if not passages:
            return np.zeros(0, np.float32)
        scores = np.asarray(self._reranker.score(query, passages), dtype=np.float32)
        if scores.shape != (len(passages),) or not np.isfinite(scores).all():
            raise InvalidVector(
                f"The reranker {self._name} returned shape {scores.shape}, or numbers that are not finite, "
                f"for {len(passages)} passages."
            )
        return scores


def _builder(name: str) -> Any:
    if is_sentence_transformer(name):
        return importlib.import_module("llmrec_plugin.encoders.cross_encoder")
    return own_builder(name)


_rerankers: Loaded[Reranker] = Loaded(
    lambda spec: CheckedReranker(_builder(spec.name).build(spec), spec.name)
)
