"""Encoders are found by name, loaded once, and held to their contract, those of other people too."""

from __future__ import annotations

import os
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from llmrec_plugin.contracts.encoders import EncoderContract
from llmrec_plugin.encoders.base import EncoderSpec, checked, load_encoder
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector
from llmrec_plugin.types import Matrix

HASHING = "llmrec_plugin.encoders.hashing"


class LetterEncoder:
    """Counts letters: what somebody else's encoder may look like. Its rows are not of unit length."""

    dimensions = 32

    def __init__(self, spec: EncoderSpec) -> None:
        self._query_prompt = str(spec.options.get("query_prompt", ""))
        self._document_prompt = str(spec.options.get("document_prompt", ""))
        self.id = f"letters-{self._query_prompt}-{self._document_prompt}"

    def encode_query(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._query_prompt)

    def encode_document(self, texts: Sequence[str]) -> Matrix:
        return self._encode(texts, self._document_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
        counts = np.ones((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(counts, texts, strict=True):
            row += np.bincount([ord(letter) % 32 for letter in prompt + text], minlength=32)
        return counts


Install = Callable[[Callable[[EncoderSpec], object] | None], str]


@pytest.fixture
def install() -> Iterator[Install]:
    """Makes a module with the given `build` importable and returns its name."""
    names: list[str] = []

    def add(build: Callable[[EncoderSpec], object] | None) -> str:
        name = f"othersite.encoder{threading.get_ident()}x{len(names)}x{os.urandom(4).hex()}"
        module = types.ModuleType(name)
        if build is not None:
            module.build = build  # type: ignore[attr-defined]
        sys.modules[name] = module
        names.append(name)
        return name

    sys.modules.setdefault("othersite", types.ModuleType("othersite"))
    yield add
    for name in [*names, "othersite"]:
        sys.modules.pop(name, None)


class TestThirdPartyEncoder(EncoderContract):
    @pytest.fixture
    def spec(self, install: Install) -> EncoderSpec:
        return EncoderSpec(name=install(LetterEncoder))


def _returning(matrix: Any, dimensions: int = 3) -> Callable[[EncoderSpec], object]:
    class Broken(LetterEncoder):
        def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
            return matrix

    Broken.dimensions = dimensions
    return Broken


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2, 3], [0, 0, 0]], "row of only zeros for 1 of 2 texts, first for text number 2"),
        (
            [[1, float("nan"), 3], [1, 0, 0]],
            "NaN or infinite numbers for 1 of 2 texts, first for text number 1",
        ),
        ([[1, 0, 0], [float("inf"), 0, 0]], "NaN or infinite"),
        ([[3e38, 3e38, 0], [1, 0, 0]], "NaN or infinite"),
        ([[1, 2], [3, 4]], r"shape \(2, 2\) where rows of 3"),
        ([1, 2, 3], r"shape \(3,\)"),
        ([[1, 2, 3]], "1 rows for 2 texts"),
        ([["a", "b", "c"], ["d", "e", "f"]], "not numbers"),
        ([[1, 2, 3], [1]], "not numbers"),
    ],
)
def test_what_is_no_vector_is_refused_by_name(install: Install, matrix: Any, message: str) -> None:
    encoder = load_encoder(EncoderSpec(name=install(_returning(matrix))))
    with pytest.raises(InvalidVector, match=message) as caught:
        encoder.encode_document(["one", "two"])
    assert encoder.id in str(caught.value)


def test_rows_are_scaled_to_unit_length() -> None:
    # 3-4-5 triangle; a length whose square is beyond float32 is no reason to fail.
    rows = np.array([[3, 4], [3e30, 4e30]], dtype=np.float32)
    unit = np.array([[0.6, 0.8], [0.6, 0.8]], dtype=np.float32)
    np.testing.assert_allclose(checked(rows, 2, encoder="e"), unit, atol=1e-6)


@pytest.mark.parametrize(("id_", "dimensions"), [("x" * 65, 3), ("", 3), ("fine", 0)])
def test_an_id_that_does_not_fit_or_no_dimensions_is_a_misconfiguration(
    install: Install, id_: str, dimensions: int
) -> None:
    def build(spec: EncoderSpec) -> object:
        encoder = LetterEncoder(spec)
        encoder.id, encoder.dimensions = id_, dimensions
        return encoder

    with pytest.raises(ConfigurationError, match="1 to 64 characters"):
        load_encoder(EncoderSpec(name=install(build)))


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"written like a Python module .*nosuchpackage"):
        load_encoder(EncoderSpec(name="nosuchpackage.encoder"))


def test_a_module_without_build_is_named(install: Install) -> None:
    with pytest.raises(ConfigurationError, match=r"no function build\(spec\)"):
        load_encoder(EncoderSpec(name=install(None)))


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r'"dimension" of .* is unknown\. Did you mean "dimensions"'):
        load_encoder(EncoderSpec(name=HASHING, options={"dimension": 3}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": "64"}, "is '64'; it must be a whole number from 2 to 4096"),
        ({"dimensions": True}, "is True; it must be a whole number"),
        ({"query_prompt": None}, "is None; it must be a text"),
        ({"dimensions": 1}, "from 2 to 4096"),
    ],
)
def test_an_unusable_option_says_what_is_expected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_encoder(EncoderSpec(name=HASHING, options=options))


def test_an_encoder_that_cannot_be_had_is_not_tried_on_every_request(install: Install) -> None:
    calls = []

    def build(spec: EncoderSpec) -> object:
        calls.append(spec)
        raise EncoderUnavailable("the model server sleeps")

    spec = EncoderSpec(name=install(build))
    for _ in range(3):
        with pytest.raises(EncoderUnavailable, match="the model server sleeps"):
            load_encoder(spec)
    assert len(calls) == 1


def test_threads_that_ask_at_once_wait_for_one_load(install: Install) -> None:
    started, built = threading.Barrier(4), []

    def build(spec: EncoderSpec) -> object:
        built.append(spec)
        return LetterEncoder(spec)

    spec, found = EncoderSpec(name=install(build)), []

    def load() -> None:
        started.wait(timeout=10)
        found.append(load_encoder(spec))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(built) == 1
    assert len({id(encoder) for encoder in found}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_loads_its_own() -> None:
    spec = EncoderSpec(name=HASHING)
    mine = load_encoder(spec)
    child = os.fork()
    if child == 0:
        os._exit(0 if load_encoder(spec) is not mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_secret_is_kept_out_of_what_is_stored_and_shown() -> None:
    spec = EncoderSpec(name="http://127.0.0.1:9", options={"model": "m", "api_key": "sk-very-secret"})
    assert spec.secret == "sk-very-secret"
    assert spec.options == {"model": "m"}
    assert "very-secret" not in repr(spec)
    assert spec == EncoderSpec(name="http://127.0.0.1:9", options={"model": "m"})
