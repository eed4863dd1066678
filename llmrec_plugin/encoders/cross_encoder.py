"""Reranks with any cross-encoder of sentence-transformers, in this process: a folder or a hub id."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.loading import (
    CHARACTERS_PER_TOKEN,
    limit_length,
    no_progress_bars,
    readable,
    require_libraries,
    usable_device,
)
from llmrec_plugin.encoders.reranking import Scores
from llmrec_plugin.encoders.sources import find_model
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable
from llmrec_plugin.options import at_least


@dataclass(frozen=True, kw_only=True)
class Options:
    max_length: Annotated[int, at_least(16)] = 128
    """Tokens of query and passage together; what exceeds them is not read. Never more than the model can
    take."""
    device: str = "auto"
    """"auto": a GPU if one works; or a device of torch, such as "cuda:1"."""
    revision: str = ""
    """Branch, tag or commit on the hub."""


def build(spec: EncoderSpec) -> CrossEncoderReranker:
    options = spec.read(Options)
    require_libraries()
    folder = find_model(spec.name, options.revision)
    device = usable_device() if options.device == "auto" else options.device
    model = _load(str(folder), device)
    if model.num_labels != 1:
        raise ConfigurationError(
            f'The cross-encoder "{spec.name}" gives {model.num_labels} numbers for a pair; one that ranks '
            "gives a single one."
        )
    return CrossEncoderReranker(spec.name, model, options)


def _load(folder: str, device: str) -> Any:
    import torch
    from sentence_transformers import CrossEncoder

    with no_progress_bars():
        try:
            model = CrossEncoder(
                folder,
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except Exception as error:  # whatever the libraries raise for a broken or foreign folder
            raise EncoderUnavailable(f"{folder} cannot be loaded as a cross-encoder: {error}") from error
    return model.eval()


class CrossEncoderReranker:
    """A loaded model; may be used by several threads at once."""

    def __init__(self, name: str, model: Any, options: Options) -> None:
        self._name, self._model = name, model
        self._longest = limit_length(model, options.max_length) * CHARACTERS_PER_TOKEN
        self._tokenizing = threading.Lock()

    def score(self, query: str, passages: Sequence[str]) -> Scores:
        """One batch, in the calling thread: logits, which order pairs as their probabilities do."""
        import torch
        from sentence_transformers.util import batch_to_device

        torch.set_num_threads(1)  # as in `loading.LoadedModel.embed`
        pairs = [
            (readable(query[: self._longest]), readable(passage[: self._longest])) for passage in passages
        ]
        try:
            with torch.inference_mode():
                with self._tokenizing:
                    features = self._model.preprocess(pairs)
                features = batch_to_device(features, self._model.device)
                scores = self._model(features)["scores"].float().cpu().numpy()
        except RuntimeError as error:  # out of memory, a lost GPU
            raise EncoderUnavailable(f"The cross-encoder {self._name} failed: {error}") from error
        return np.asarray(scores, dtype=np.float32).reshape(len(pairs))
