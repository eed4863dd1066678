"""Puts a sentence-transformers folder into memory: on which device, in which precision, and quietly."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable
from llmrec_plugin.types import Matrix

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 32
"""Text beyond a model's length times this is cut before it is split into tokens: that takes time, too."""
MIN_COSINE = 0.999
"""Between the vectors of one text in two precisions, for the faster one to be used."""
_CPU_FLAGS = ("avx512_bf16", "amx_bf16")
"""Without one of these, bfloat16 on a CPU is emulated and slower than float32."""
_DRIFT_TEXTS = (
    "wireless headphones",
    "Introduction to machine learning",
    "机器学习入门",
    "White hanging heart T-light holder, set of 6, hand painted, a gift for every season. " * 4,
    "本课程从零开始讲解数据分析的基本方法,适合没有编程经验的学习者。" * 4,
)


def require_libraries() -> None:
    """Raises EncoderUnavailable with the line that installs what is missing."""
    try:
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise EncoderUnavailable(
            extras.missing("torch", "An encoder that runs in this process", error=error)
        ) from error


class LoadedModel:
    """A SentenceTransformer in memory; may be used by several threads at once."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._tokenizing = threading.Lock()

    @property
    def on_cpu(self) -> bool:
        return bool(self.model.device.type == "cpu")

    def embed(self, texts: Sequence[str], *, prompt: str, task: str) -> Matrix:
        """One batch, in the calling thread, as the model returns it: not necessarily of unit length."""
        import torch
        from sentence_transformers.util import batch_to_device

        # Threads inside an operation spin while they wait for each other: beside other processes on busy
        # cores that made a query up to fifty times slower. One thread per operation also survives a fork.
        torch.set_num_threads(1)
        with torch.inference_mode():
            with self._tokenizing:  # a tokenizer of transformers may not be used by two threads at once
                features = self.model.preprocess(list(texts), prompt=prompt or None, task=task)
            if not self.on_cpu:
                features = batch_to_device(features, self.model.device)
            vectors = self.model(features, task=task)["sentence_embedding"]
            if self.model.truncate_dim is not None:
                vectors = vectors[:, : self.model.truncate_dim]
            matrix: Matrix = vectors.float().cpu().numpy()
        return matrix


def load_model(folder: Path, *, device: str, dtype: str, dimensions: int | None, pooling: str) -> LoadedModel:
    """The model in `folder`, ready to encode; `device` and `dtype` may be "auto"."""
    place = usable_device() if device == "auto" else device
    loaded = LoadedModel(_load(folder, place, dimensions, pooling))
    wanted = _dtype(loaded.model, place) if dtype == "auto" else dtype
    if wanted == "float32":
        return loaded
    cosine = _change_to_bfloat16(loaded)
    if cosine >= (MIN_COSINE if dtype == "auto" else -1):
        logger.info("encoder precision: folder=%s dtype=bfloat16 least_cosine=%.5f", folder, cosine)
        return loaded
    logger.warning("encoder precision: folder=%s dtype=float32 least_cosine=%.5f in bfloat16", folder, cosine)
    return LoadedModel(_load(folder, place, dimensions, pooling))


def _load(folder: Path, device: str, dimensions: int | None, pooling: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    with no_progress_bars():
        try:
            model = SentenceTransformer(
                str(folder),
                device=device,
                truncate_dim=dimensions,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except Exception as error:  # whatever the libraries raise for a broken or foreign folder
            raise EncoderUnavailable(
                f"{folder} cannot be loaded as a sentence-transformers model: {error}"
            ) from error
    if pooling:
        _set_pooling(model, pooling)
    return model.eval()


def _change_to_bfloat16(loaded: LoadedModel) -> float:
    """Least cosine between vectors before and after; NaN where the model cannot run that way."""
    exact = _drift_vectors(loaded)
    _to_bfloat16(loaded.model)
    try:
        return _least_cosine(exact, _drift_vectors(loaded))
    except RuntimeError as error:
        logger.info("encoder precision: no bfloat16: %s", error)
        return math.nan


def _to_bfloat16(model: Any) -> None:
    """All but the table of word vectors, usually most of a model: looked up and not multiplied, it gains
    nothing, and as it is it stays mapped from the file, read in part and shared between processes."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.register_forward_hook(lambda _module, _inputs, vectors: vectors.bfloat16())
        else:
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.bfloat16()


def _set_pooling(model: Any, mode: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    if mode not in Pooling.POOLING_MODES:
        raise ConfigurationError(
            f'The option pooling of the encoder is "{mode}"; '
            f"it must be one of {', '.join(Pooling.POOLING_MODES)}."
        )
    for name, module in model.named_children():
        if isinstance(module, Pooling):
            setattr(model, name, Pooling(module.embedding_dimension, mode, module.include_prompt))
            return
    raise ConfigurationError("The model of the encoder has no pooling: leave the option pooling out.")


@contextmanager
def no_progress_bars() -> Iterator[None]:
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def limit_length(model: Any, wanted: int) -> int:
    """Sets the model's limit in tokens and returns it."""
    own = model.max_seq_length
    length = wanted if own is None else min(wanted, int(own) if own < 1e6 else wanted)
    try:
        model.max_seq_length = length
    except AttributeError:  # a static model has no limit of its own; the cut in characters remains
        return length
    return length


def readable(text: str) -> str:
    """Without lone surrogates, which tokenizers refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def usable_device() -> str:
    """The accelerator, if one works in this process; a child of a process that used CUDA has none."""
    import torch

    for device, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        if backend.is_available():
            try:
                torch.zeros(1, device=device)
            except RuntimeError as error:
                logger.warning("encoder device: %s is there but does not work: %s", device, error)
            else:
                return device
    return "cpu"


def _dtype(model: Any, device: str) -> str:
    import torch

    if not any(isinstance(module, torch.nn.Linear) for module in model.modules()):
        return "float32"  # a table of word vectors has no products to speed up
    return "bfloat16" if runs_bfloat16(device) else "float32"


def runs_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are faster there than in float32."""
    import torch

    if device == "cpu":
        return _cpu_has_bfloat16()
    return device == "cuda" and bool(torch.cuda.is_bf16_supported())


def _cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        described = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = re.search(r"^flags\s*:(.*)$", described, re.MULTILINE)
    return flags is not None and not set(_CPU_FLAGS).isdisjoint(flags[1].split())


def _drift_vectors(loaded: LoadedModel) -> Matrix:
    return loaded.embed(_DRIFT_TEXTS, prompt="", task="document")


def _least_cosine(one: Matrix, other: Matrix) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.einsum("ij,ij->i", one, other) / np.maximum(norms, np.finfo(np.float32).tiny)
    return float(cosines.min())
