"""Models in this process: the packaged ones, and a tiny one with drawn weights for what needs no meaning."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.contracts.encoders import EncoderContract
from llmrec_plugin.encoders import loading
from llmrec_plugin.encoders.base import EncoderSpec, forget_encoders, load_encoder
from llmrec_plugin.encoders.identity import model_digest, same_vectors
from llmrec_plugin.encoders.sentence_transformer import Options, _free_cores, prompts_of
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable
from tests.contracts.tiny_model import make_tiny_model

pytestmark = pytest.mark.model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-model")


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR in which the packaged e5 stays unpacked."""
    return tmp_path_factory.mktemp("converted")


def spec_of(folder: Path, **options: Any) -> EncoderSpec:
    return EncoderSpec(name=str(folder), options=options)


class TestTiny(EncoderContract):
    @pytest.fixture
    def spec(self, tiny: Path) -> EncoderSpec:
        return spec_of(tiny, dtype="float32", batch_size=8, threads=3)


class TestMiniLM(EncoderContract):
    tolerance = 0.01  # bfloat16 where the CPU has it

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return EncoderSpec(name="sentence-transformers/all-MiniLM-L6-v2")


@pytest.fixture
def e5(converted: Path) -> Iterator[EncoderSpec]:
    with override_settings(LLMREC={**django_settings.LLMREC, "DATA_DIR": str(converted)}):
        yield EncoderSpec(name="intfloat/multilingual-e5-small")


class TestE5(EncoderContract):
    tolerance = 0.01

    @pytest.fixture
    def spec(self, e5: EncoderSpec) -> EncoderSpec:
        return e5


def test_e5_has_one_space_for_both_languages(e5: EncoderSpec) -> None:
    queries = ["machine learning for beginners", "天文望远镜", "how to cook noodles"]
    documents = ["机器学习入门", "astronomical telescope", "面条的做法"]
    encoder = load_encoder(e5)
    cosines = encoder.encode_query(queries) @ encoder.encode_document(documents).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2]


def test_e5_reads_queries_and_passages_marked_as_it_was_trained(e5: EncoderSpec) -> None:
    encoder = load_encoder(e5)
    assert encoder.encode_query(["wine glass"])[0] @ encoder.encode_document(["wine glass"])[0] < 0.99


def test_minilm_gives_the_vectors_of_its_authors() -> None:
    # The first numbers that sentence-transformers itself gives for this text.
    from sentence_transformers import SentenceTransformer

    from llmrec_plugin.encoders.sources import find_model

    text = "This is an example sentence"
    folder = find_model("all-MiniLM-L6-v2")
    expected = SentenceTransformer(str(folder), device="cpu").encode([text])
    mine = load_encoder(EncoderSpec(name="all-MiniLM-L6-v2", options={"dtype": "float32"})).encode_document(
        [text]
    )
    np.testing.assert_allclose(mine, expected, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"dtype": "bfloat16"}, {"batch_size": 2}, {"threads": 1}, {"device": "cpu"}],
)
def test_how_it_computes_is_not_part_of_the_id(tiny: Path, options: dict[str, Any]) -> None:
    plain, other = load_encoder(spec_of(tiny, dtype="float32")), load_encoder(spec_of(tiny, **options))
    assert plain.id == other.id
    cosines = np.sum(
        plain.encode_document(["garden chair"]) * other.encode_document(["garden chair"]), axis=1
    )
    assert cosines.min() > 0.999


@pytest.mark.parametrize("options", [{"max_length": 16}, {"pooling": "cls"}, {"dimensions": 16}])
def test_what_decides_the_vectors_is_part_of_the_id(tiny: Path, options: dict[str, Any]) -> None:
    plain, other = load_encoder(spec_of(tiny)), load_encoder(spec_of(tiny, **options))
    assert plain.id != other.id
    assert other.dimensions == options.get("dimensions", plain.dimensions)
    assert other.encode_query(["garden chair"]).shape == (1, other.dimensions)


def test_a_copy_of_the_folder_is_the_same_encoder(tiny: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny, tmp_path / "elsewhere" / tiny.name)
    assert load_encoder(spec_of(copy)).id == load_encoder(spec_of(tiny)).id


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_other_weights_tokens_or_layers_are_another_encoder(tiny: Path, tmp_path: Path, file: str) -> None:
    changed = shutil.copytree(tiny, tmp_path / tiny.name)
    path = changed / file
    if file == "config.json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 1}))
    else:
        path.write_bytes(path.read_bytes() + b" ")
    assert model_digest(changed) != model_digest(tiny)


def test_a_copy_under_another_name_is_known_to_give_the_same_vectors(tiny: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "another-name"))
    one, other = (load_encoder(spec_of(folder)).id for folder in (tiny, copy))
    assert one != other
    assert same_vectors(one, other)
    assert not same_vectors(one, load_encoder(spec_of(tiny, max_length=16)).id)
    assert not same_vectors("their-model-v1", "our-model-v1")
    assert same_vectors("our-model-v1", "our-model-v1")


def test_the_library_that_saved_a_model_is_not_part_of_its_digest(tiny: Path, tmp_path: Path) -> None:
    saved = shutil.copytree(tiny, tmp_path / tiny.name)
    path = saved / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "transformers_version": "0", "dtype": "x"}))
    assert model_digest(saved) == model_digest(tiny)


def test_a_digest_is_remembered_until_the_file_changes(tiny: Path, tmp_path: Path, data_dir: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "model")
    before = model_digest(folder)
    known = data_dir / "models" / "digests.json"
    remembered = json.loads(known.read_text())
    assert len(remembered) == 2  # weights and tokenizer
    known.write_text(json.dumps(dict.fromkeys(remembered, "as remembered")))
    assert model_digest(folder) != before
    known.write_text("{ broken")
    assert model_digest(folder) == before
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert model_digest(folder) != before


def test_a_data_folder_that_cannot_be_written_costs_only_time(tiny: Path, data_dir: Path) -> None:
    (data_dir / "models").write_text("a file where the folder should be")
    assert model_digest(tiny) == model_digest(tiny)


def test_text_beyond_the_limit_is_not_read(tiny: Path) -> None:
    encoder = load_encoder(spec_of(tiny, max_length=16, dtype="float32"))
    start = "garden chair of wood"  # one token per byte in the tiny model
    same = encoder.encode_document([f"{start} painted green", f"{start}, with a cushion"])
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_the_limit_is_never_more_than_the_model_takes(tiny: Path) -> None:
    assert load_encoder(spec_of(tiny, max_length=500)).id == load_encoder(spec_of(tiny, max_length=64)).id


@pytest.mark.parametrize(
    ("name", "recorded", "options", "expected"),
    [
        ("intfloat/multilingual-e5-small", {}, {}, ("query: ", "passage: ")),
        ("intfloat/e5-base-v2", {"query": "", "document": ""}, {}, ("query: ", "passage: ")),
        ("/models/multilingual-e5-large/", {}, {}, ("query: ", "passage: ")),
        ("intfloat/e5-mistral-7b-instruct", {}, {}, ("", "")),
        ("intfloat/multilingual-e5-large-instruct", {"query": "Instruct: "}, {}, ("Instruct: ", "")),
        ("acme/shoe5-small", {}, {}, ("", "")),
        ("acme/any", {"query": "q: ", "passage": "p: "}, {}, ("q: ", "p: ")),
        ("acme/any", {"query": "q: ", "document": None, "corpus": "c: "}, {}, ("q: ", "c: ")),
        ("intfloat/e5-base", {"query": "q: "}, {"query_prompt": "", "document_prompt": "d: "}, ("", "d: ")),
    ],
)
def test_prompts_come_from_the_options_then_the_model_then_its_family(
    name: str, recorded: dict[str, str | None], options: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert prompts_of(name, recorded, Options(**options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 7}, '"max_length" of .* is 7; it must be a whole number of at least 8'),
        ({"batch_size": 0}, '"batch_size" of .* is 0'),
        ({"threads": -1}, '"threads" of .* is -1'),
        ({"dtype": "int8"}, "is 'int8'; it must be one of"),
        ({"pooling": "median"}, 'pooling of the encoder is "median"; it must be one of cls, max, mean'),
        ({"trust_remote_code": True}, '"trust_remote_code" of .* is unknown'),
    ],
)
def test_an_unusable_option_is_named(tiny: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_encoder(spec_of(tiny, **options))


def test_a_device_that_is_not_there_is_a_failure_of_the_encoder(tiny: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="cannot be loaded"):
        load_encoder(spec_of(tiny, device="cuda:99"))


def test_bfloat16_is_refused_where_the_vectors_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each number carries an offset of 100 that the last layer takes away; bfloat16 rounds it to halves.
    folder = make_tiny_model(tmp_path / "drifting", offset=100.0)
    monkeypatch.setattr(loading, "_cpu_has_bfloat16", lambda: True)
    chosen = load_encoder(spec_of(folder))
    exact = load_encoder(spec_of(folder, dtype="float32"))
    rough = load_encoder(spec_of(folder, dtype="bfloat16"))
    texts = ["garden chair", "paper chain kit"]
    np.testing.assert_array_equal(chosen.encode_query(texts), exact.encode_query(texts))
    assert np.sum(rough.encode_query(texts) * exact.encode_query(texts), axis=1).min() < 0.999


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_a_model_that_cannot_run_in_bfloat16_runs_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(loading, "_cpu_has_bfloat16", lambda: True)
    encoder = load_encoder(spec_of(make_tiny_model(tmp_path / "fourier", fourier=True), dtype=dtype))
    assert encoder.encode_query(["garden chair"]).shape == (1, 32)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 ssse3\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16x\n", False),
        ("Features\t: fp asimd bf16\n", False),
        ("", False),
    ],
)
def test_bfloat16_is_used_where_the_cpu_says_so(tmp_path: Path, cpuinfo: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert loading._cpu_has_bfloat16(tmp_path / "cpuinfo") is expected
    assert loading._cpu_has_bfloat16(tmp_path / "nothing") is False


def test_a_table_of_word_vectors_is_a_model_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_cpu_has_bfloat16", lambda: True)
    encoder = load_encoder(spec_of(make_tiny_model(tmp_path / "static", static=True), dimensions=8))
    vectors = encoder.encode_query(["garden chair", "chair garden", "telescope"])
    assert vectors.shape == (3, 8)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert vectors[0] @ vectors[2] < 0.99


def test_a_model_without_pooling_takes_no_other_pooling(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "static", static=True)
    with pytest.raises(ConfigurationError, match="has no pooling"):
        load_encoder(spec_of(folder, pooling="mean"))


def test_threads_asked_of_openmp_are_the_most_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _free_cores() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert 1 <= _free_cores() <= 8


def test_loading_prints_nothing_and_leaves_progress_bars_as_they_were(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as transformers_logging

    forget_encoders()
    shown = transformers_logging.is_progress_bar_enabled()
    load_encoder(replace(spec_of(tiny), options={"max_length": 32}))
    assert transformers_logging.is_progress_bar_enabled() == shown
    assert capfd.readouterr() == ("", "")


FORK = """
import os, signal, sys
from django.conf import settings
settings.configure(LLMREC={"DATA_DIR": sys.argv[2]})
import torch
torch.set_num_threads(2)
torch.randn(600, 600) @ torch.randn(600, 600)
from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
spec = EncoderSpec(name=sys.argv[1], options={"threads": 2, "batch_size": 2, "dtype": "float32"})
texts = [f"garden chair {n}" for n in range(20)]
encoder = load_encoder(spec)
before = encoder.encode_document(texts)
child = os.fork()
if child == 0:
    signal.alarm(60)
    same = all(abs(e.encode_document(texts) - before).max() < 1e-5 for e in (load_encoder(spec), encoder))
    os._exit(0 if same and load_encoder(spec) is not encoder else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
def test_a_child_of_a_process_that_encoded_encodes_too(tiny: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, str(tiny), str(tmp_path)], timeout=240, check=False)
    assert done.returncode == 0


def test_nothing_heavy_is_imported_before_a_model_is_asked_for() -> None:
    code = (
        "import sys, llmrec_plugin.encoders.sentence_transformer, llmrec_plugin.encoders.base\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'huggingface_hub', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
