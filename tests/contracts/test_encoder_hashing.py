"""The encoder without a model keeps the contract, and its similarities mean something."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.contracts.encoders import EncoderContract
from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder

SPEC = EncoderSpec(name="llmrec_plugin.encoders.hashing", options={"dimensions": 256})


class TestHashing(EncoderContract):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return SPEC


def _cosine(encoder: Encoder, one: str, other: str) -> float:
    return float(encoder.encode_query([one])[0] @ encoder.encode_document([other])[0])


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("headphones", "wireless headphones, black", "garden chair, wood"),
        ("headphone", "headphones", "telescope"),
        ("机器学习", "机器学习入门", "数据库原理"),
        ("ＨＥＡＲＴ holder", "heart holder", "paper chain"),
    ],
)
def test_shared_words_and_shared_parts_of_words_bring_texts_together(query: str, near: str, far: str) -> None:
    encoder = load_encoder(SPEC)
    assert _cosine(encoder, query, near) > 0.3 > _cosine(encoder, query, far)


@given(st.text(max_size=60))
def test_every_text_has_a_direction(text: str) -> None:
    smallest = load_encoder(EncoderSpec(name=SPEC.name, options={"dimensions": 2}))
    np.testing.assert_allclose(np.linalg.norm(smallest.encode_document([text])), 1, atol=1e-5)


def test_another_process_gives_the_same_vector() -> None:
    # Python's own hash() of a string differs from process to process.
    code = (
        "from llmrec_plugin.encoders.hashing import HashingEncoder, Options\n"
        "print(HashingEncoder(Options()).encode_query(['garden chair'])[0].tobytes().hex())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = load_encoder(EncoderSpec(name=SPEC.name)).encode_query(["garden chair"])[0]
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(printed), dtype=np.float32), here, atol=1e-6)
