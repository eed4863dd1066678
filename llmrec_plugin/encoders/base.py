"""What a text encoder is, and the one place that loads each at most once per process."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector
from llmrec_plugin.options import OptionsT, read_options
from llmrec_plugin.types import Matrix

T = TypeVar("T")

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_URL = ("http://", "https://")
_MAX_ID = 64
_RETRY_SECONDS = 10.0
"""An encoder that could not be had is not tried again before: a search must not wait for it every time."""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """How to get an encoder: stored with every index version, so that an old one can be loaded again."""

    name: str
    """Model id or path (sentence-transformers), an http(s) URL (OpenAI-compatible server), or the
    dotted path of a module with `build(spec) -> Encoder`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False, compare=False)
    """The option `api_key`, moved here: options are stored and shown, a secret is not."""

    def __post_init__(self) -> None:
        if "api_key" in self.options:
            options = dict(self.options)
            object.__setattr__(self, "secret", str(options.pop("api_key") or ""))
            object.__setattr__(self, "options", options)

    def read(self, kind: type[OptionsT]) -> OptionsT:
        """Return the options as the encoder's own dataclass; raises ConfigurationError that names
        an option that is unknown or wrong.

        Of a module that calls its dataclass `Options`, `manage.py check` tells the same.
        """
        whose = f'of the encoder "{self.name}"'
        return read_options(kind, self.options, lambda name: f'The option "{name}" {whose}')


class Encoder(Protocol):
    """Turns text into unit vectors; texts of queries and of documents may be treated differently."""

    @property
    def id(self) -> str:
        """At most 64 characters; equal ids mean interchangeable vectors: it covers weights, tokenizer,
        prompts, pooling and truncation, but not dtype, device or batch size."""

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimensions), float32, finite unit rows; raises EncoderUnavailable."""

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        """As encode_document, in the role of a query."""


def load_encoder(spec: EncoderSpec) -> Encoder:
    """The encoder of `spec`, the same object on every call in this process, loaded anew after a fork.

    Thread-safe. Raises ConfigurationError for an unusable spec, EncoderUnavailable when the model
    cannot be had now. What the encoder returns is held to its contract by `checked`.
    """
    return _encoders.get(spec)


def forget_encoders() -> None:
    """Drop every loaded encoder, so that the next call loads anew."""
    _encoders.clear()


def checked(matrix: ArrayLike, dimensions: int, *, encoder: str) -> Matrix:
    """`matrix` as float32 with unit rows of `dimensions`; raises InvalidVector for what has no direction."""
    try:
        vectors = np.asarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidVector(f"Encoder {encoder} returned rows that are not numbers: {error}.") from error
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise InvalidVector(
            f"Encoder {encoder} returned shape {vectors.shape} where rows of {dimensions} numbers were "
            "expected: vectors of another model do not fit this index."
        )
    with np.errstate(over="ignore"):  # a length beyond float32 becomes infinite and is refused
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)).astype(np.float32)
    if len(norms) and not (norms.min() > 0 and norms.max() < np.inf):  # NaN fails both
        _refuse(norms, encoder)
    unit: Matrix = vectors / norms[:, None]
    return unit


def _refuse(norms: NDArray[np.float32], encoder: str) -> NoReturn:
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    what = "only zeros" if norms[bad[0]] == 0 else "NaN or infinite numbers"
    raise InvalidVector(
        f"Encoder {encoder} returned a row of {what} for {bad.size} of {len(norms)} texts, "
        f"first for text number {bad[0] + 1}."
    )


class CheckedEncoder:
    """Any encoder, held to the contract: shapes, unit rows, an id that fits its column."""

    def __init__(self, encoder: Encoder, name: str) -> None:
        self._encoder = encoder
        self.id = str(encoder.id)
        self.dimensions = int(encoder.dimensions)
        if not 0 < len(self.id) <= _MAX_ID or self.dimensions <= 0:
            raise ConfigurationError(
                f'The encoder "{name}" has the id {self.id!r} and {self.dimensions} dimensions; '
                f"an id has 1 to {_MAX_ID} characters, and dimensions are above 0."
            )

    def __repr__(self) -> str:
        return f"<encoder {self.id}>"

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        return self._encode(self._encoder.encode_document, texts)

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._encode(self._encoder.encode_query, texts)

    def _encode(self, encode: Any, texts: Sequence[str]) -> Matrix:
        if isinstance(texts, str):
            raise TypeError("An encoder takes a list of texts, not one text.")
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        vectors = checked(encode(texts), self.dimensions, encoder=self.id)
        if len(vectors) != len(texts):
            raise InvalidVector(f"Encoder {self.id} returned {len(vectors)} rows for {len(texts)} texts.")
        return vectors


@dataclass
class _Slot(Generic[T]):
    """What one spec made, or why it could not be had last time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made: T | None = None
    failure: str = ""
    failed_at: float = 0.0


class Loaded(Generic[T]):
    """What `make` makes of each spec, once per process; thread-safe, and empty again after a fork.

    Locks, connections and torch's threads do not survive a fork: a child starts without any of them.
    """

    def __init__(self, make: Callable[[EncoderSpec], T]) -> None:
        self._make = make
        self.clear()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.clear)

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, str, str], _Slot[T]] = {}

    def get(self, spec: EncoderSpec) -> T:
        key = (spec.name, json.dumps(dict(spec.options), sort_keys=True, default=repr), spec.secret)
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        if slot.made is not None:
            return slot.made
        with slot.lock:
            if slot.made is None:
                slot.made = self._load(spec, slot)
            return slot.made

    def _load(self, spec: EncoderSpec, slot: _Slot[T]) -> T:
        if slot.failure and time.monotonic() - slot.failed_at < _RETRY_SECONDS:
            raise EncoderUnavailable(slot.failure)
        try:
            return self._make(spec)
        except EncoderUnavailable as error:
            slot.failure, slot.failed_at = str(error), time.monotonic()
            raise


def is_sentence_transformer(name: str) -> bool:
    """Whether the name is that of a model that runs here, and no URL or module of somebody's own."""
    if name.startswith(_URL):
        return False
    return _MODULE.fullmatch(name) is None or Path(name).is_dir()


def _builder(name: str) -> Any:
    """The module whose `build` makes the encoder called `name`."""
    if name.startswith(_URL):
        return importlib.import_module("llmrec_plugin.encoders.http")
    if is_sentence_transformer(name):
        return importlib.import_module("llmrec_plugin.encoders.sentence_transformer")
    return own_builder(name)


def check_encoder(spec: EncoderSpec) -> None:
    """Raise ConfigurationError for a module that builds no encoder, and for options that its `Options` do not
    have; loads no model and asks no server."""
    check_spec(spec, _builder)


def check_spec(spec: EncoderSpec, find_builder: Callable[[str], Any]) -> None:
    """Raise ConfigurationError for a builder that is none, and for options that its `Options` do not have.

    A module of the site's own that needs what is not installed here is left alone: it may run elsewhere.
    """
    try:
        builder = find_builder(spec.name)
    except ConfigurationError as error:
        cause = error.__cause__
        if isinstance(cause, ImportError) and not spec.name.startswith(cause.name or spec.name):
            return
        raise
    except ImportError:  # an extra of ours, which another check tells of
        return
    kind = getattr(builder, "Options", None)
    if isinstance(kind, type) and is_dataclass(kind):
        spec.read(kind)


def own_builder(name: str) -> Any:
    """A module of the site's or a third party's own; raises ConfigurationError for what is none."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f'The encoder "{name}" is written like a Python module but cannot be imported: {error}.'
        ) from error
    if not callable(getattr(module, "build", None)):
        raise ConfigurationError(f'The encoder module "{name}" has no function build(spec).')
    return module


_encoders: Loaded[Encoder] = Loaded(lambda spec: CheckedEncoder(_builder(spec.name).build(spec), spec.name))
