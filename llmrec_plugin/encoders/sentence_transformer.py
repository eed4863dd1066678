"""Encodes with any sentence-transformers model, in this process: a folder, a packaged model or a hub id.

One query takes little more than the bare model, so it does not go through `SentenceTransformer.encode`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.identity import encoder_id, model_digest
from llmrec_plugin.encoders.loading import (
    CHARACTERS_PER_TOKEN,
    LoadedModel,
    limit_length,
    load_model,
    readable,
    require_libraries,
)
from llmrec_plugin.encoders.sources import find_model
from llmrec_plugin.exceptions import EncoderUnavailable
from llmrec_plugin.options import Positive, at_least
from llmrec_plugin.types import Matrix

_E5 = re.compile(r"(^|[-_/])e5-(small|base|large)(-v2|-unsupervised)?/?$", re.IGNORECASE)
_E5_PROMPTS = ("query: ", "passage: ")
"""The models were trained with these, but their repositories do not record it."""

_MAX_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Options:
    max_length: Annotated[int, at_least(8)] = 128
    """Tokens, prompt included; what exceeds them is not read. Never more than the model can take."""
    batch_size: Positive = 32
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """"auto": bfloat16 where the hardware has it and the vectors do not drift; "float32"; "bfloat16"."""
    device: str = "auto"
    """"auto": a GPU if one works; or a device of torch, such as "cuda:1"."""
    threads: Annotated[int, at_least(0)] = 0
    """Batches that are encoded at the same time on a CPU; 0: one per core that the process may use, 8 at
    most, fewer where OMP_NUM_THREADS says so. A single text always takes one thread: serve more visitors
    with more processes."""
    revision: str = ""
    """Branch, tag or commit on the hub."""
    query_prompt: str | None = None
    """Put before every query; None: as the model says."""
    document_prompt: str | None = None
    pooling: str = ""
    """"mean", "cls", "max", "lasttoken"...; empty: as the model says."""
    dimensions: Positive | None = None
    """Keep only so many leading numbers of a vector; for models trained for it (Matryoshka)."""


def build(spec: EncoderSpec) -> SentenceTransformerEncoder:
    options = spec.read(Options)
    require_libraries()
    folder = find_model(spec.name, options.revision)
    loaded = load_model(
        folder,
        device=options.device,
        dtype=options.dtype,
        dimensions=options.dimensions,
        pooling=options.pooling,
    )
    return SentenceTransformerEncoder(spec.name, loaded, model_digest(folder), options)


class SentenceTransformerEncoder:
    """A loaded model with its prompts; may be used by several threads at once."""

    def __init__(self, name: str, loaded: LoadedModel, digest: str, options: Options) -> None:
        self._loaded = loaded
        self._batch_size = options.batch_size
        self._workers = (options.threads or _free_cores()) if loaded.on_cpu else 1
        self._query_prompt, self._document_prompt = prompts_of(name, loaded.model.prompts, options)
        max_length = limit_length(loaded.model, options.max_length)
        self._max_characters = max_length * CHARACTERS_PER_TOKEN
        self.dimensions = int(loaded.model.get_embedding_dimension())
        self.id = encoder_id(
            Path(name).name,
            digest,
            [(type(module).__name__, str(getattr(module, "pooling_mode", ""))) for module in loaded.model],
            self._query_prompt,
            self._document_prompt,
            max_length,
            self.dimensions,
        )
        self.encode_query(["warm up"])

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._query_prompt, "query")

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._document_prompt, "document")

    def _encode(self, texts: Sequence[str], prompt: str, task: str) -> Matrix:
        cleaned = [readable(text[: self._max_characters]) for text in texts]
        # Texts of like length share a batch, so little is padded; bytes follow tokens in every script.
        order = sorted(range(len(cleaned)), key=lambda i: len(cleaned[i].encode()), reverse=True)
        parts = [order[i : i + self._batch_size] for i in range(0, len(order), self._batch_size)]

        def embed(part: Sequence[int]) -> Matrix:
            return self._loaded.embed([cleaned[i] for i in part], prompt=prompt, task=task)

        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        try:
            if len(parts) == 1 or self._workers == 1:
                for part in parts:
                    vectors[part] = embed(part)
            else:
                with ThreadPoolExecutor(min(self._workers, len(parts)), "encoder") as threads:
                    for part, matrix in zip(parts, threads.map(embed, parts), strict=True):
                        vectors[part] = matrix
        except RuntimeError as error:  # out of memory, a lost GPU
            raise EncoderUnavailable(f"The encoder {self.id} failed: {error}") from error
        return vectors


def prompts_of(name: str, recorded: Mapping[str, str | None], options: Options) -> tuple[str, str]:
    """For queries and for documents: as the options say, else the model, else what is known of its family."""
    known = _E5_PROMPTS if _E5.search(name) else ("", "")
    query, document = options.query_prompt, options.document_prompt
    if query is None:
        query = recorded.get("query") or known[0]
    if document is None:
        found = (recorded.get(key) for key in ("document", "passage", "corpus"))
        document = next(filter(None, found), known[1])
    return query, document


def _free_cores() -> int:
    """Cores that this process may use: its affinity, its container's quota and OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [cores, _MAX_WORKERS]
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            limits.append(int(quota) // int(period))
    except (OSError, ValueError):
        pass  # no container of the second kind: no quota known
    if (told := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        limits.append(int(told))
    return max(1, min(limits))
