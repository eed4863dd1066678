"""A cross-encoder keeps the contract of rerankers; folders that cannot be used say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec_plugin.contracts.rerankers import RerankerContract
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.reranking import load_reranker
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable
from tests.contracts.tiny_model import make_tiny_cross_encoder

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


class TestCrossEncoder(RerankerContract):
    @pytest.fixture
    def spec(self, folder: Path) -> EncoderSpec:
        return EncoderSpec(name=str(folder), options={"max_length": 48})


def test_its_options_are_checked(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match='Did you mean "max_length"'):
        load_reranker(EncoderSpec(name=str(folder), options={"max_len": 48}))
    with pytest.raises(ConfigurationError, match="at least 16"):
        load_reranker(EncoderSpec(name=str(folder), options={"max_length": 2}))


def test_a_classifier_of_several_classes_does_not_rank(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="3 numbers for a pair"):
        load_reranker(EncoderSpec(name=str(make_tiny_cross_encoder(tmp_path / "classes", labels=3))))


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="safetensors"):
        load_reranker(EncoderSpec(name=str(folder)))


def test_a_broken_folder_is_told(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(EncoderUnavailable, match="cannot be loaded as a cross-encoder"):
        load_reranker(EncoderSpec(name=str(folder)))
