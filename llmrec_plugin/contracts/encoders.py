"""The contract of every text encoder: inherit EncoderContract and say which encoder it is."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from llmrec_plugin.encoders.base import Encoder, EncoderSpec, forget_encoders, load_encoder

__all__ = ["EncoderContract"]

TEXTS = (
    "white hanging heart t-light holder",
    "Wireless headphones with noise cancelling and a battery for thirty hours, black",
    "机器学习入门:从零开始",
    "garden chair",
    "",
)
HOSTILE = (
    "\x00\x01\x1b[31m\r\n\t\ufeff",
    "\ud800 lone surrogate",
    "👩‍👩‍👧‍👦 \u202eright to left",
    "x" * 100_000,
    "word " * 50_000,
    "字" * 100_000,
)


class EncoderContract:
    """Holds an encoder to what each must do; `name`, or a fixture `spec`, says which."""

    name: ClassVar[str]
    """What LLMREC["ENCODER"] says: the dotted path of its module."""
    options: ClassVar[Mapping[str, Any]] = {}
    """What LLMREC["ENCODER_OPTIONS"] says."""
    tolerance: ClassVar[float] = 1e-5
    """Largest difference of a number of a vector between two ways to batch the same text."""
    supports_prompts: ClassVar[bool] = True
    """It takes the options `query_prompt` and `document_prompt`, put before the texts of either role."""

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        """How the encoder is named; for options that are known only when the tests run."""
        return EncoderSpec(name=self.name, options=self.options)

    @pytest.fixture
    def encoder(self, spec: EncoderSpec) -> Encoder:
        return load_encoder(spec)

    def test_rows_are_unit_vectors_in_float32(self, encoder: Encoder) -> None:
        for encode in (encoder.encode_document, encoder.encode_query):
            vectors = encode(TEXTS)
            assert vectors.shape == (len(TEXTS), encoder.dimensions)
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_no_texts_give_no_rows(self, encoder: Encoder) -> None:
        assert encoder.encode_document([]).shape == (0, encoder.dimensions)
        assert encoder.encode_query([]).shape == (0, encoder.dimensions)

    def test_the_same_text_gives_the_same_vector(self, encoder: Encoder) -> None:
        np.testing.assert_array_equal(encoder.encode_query(TEXTS), encoder.encode_query(TEXTS))

    def test_a_vector_does_not_depend_on_the_other_texts_of_the_call(self, encoder: Encoder) -> None:
        many = [f"{text} {number}" for number in range(15) for text in TEXTS]
        together = encoder.encode_document(many)
        for number in (0, 1, 2, 44, 74):
            alone = encoder.encode_document([many[number]])[0]
            np.testing.assert_allclose(together[number], alone, atol=self.tolerance)

    def test_a_text_is_nearest_to_itself(self, encoder: Encoder) -> None:
        texts = TEXTS[:4]
        cosines = encoder.encode_query(texts) @ encoder.encode_document(texts).T
        assert cosines.argmax(axis=1).tolist() == [0, 1, 2, 3]

    def test_any_string_is_a_text(self, encoder: Encoder) -> None:
        assert np.isfinite(encoder.encode_document(HOSTILE)).all()
        assert np.isfinite(encoder.encode_query(HOSTILE)).all()

    def test_one_text_where_a_list_is_meant_is_an_error(self, encoder: Encoder) -> None:
        with pytest.raises(TypeError, match="list of texts"):
            encoder.encode_query("headphones")

    def test_it_is_loaded_once(self, encoder: Encoder, spec: EncoderSpec) -> None:
        again = replace(spec, options=dict(reversed(list(spec.options.items()))))
        assert load_encoder(again) is encoder

    def test_loaded_anew_it_has_the_same_id_and_vectors(self, encoder: Encoder, spec: EncoderSpec) -> None:
        forget_encoders()
        anew = load_encoder(spec)
        assert anew is not encoder
        assert anew.id == encoder.id
        np.testing.assert_allclose(anew.encode_query(TEXTS), encoder.encode_query(TEXTS), atol=1e-6)

    def test_the_id_fits_its_column(self, encoder: Encoder) -> None:
        assert 0 < len(encoder.id) <= 64

    @pytest.mark.parametrize("option", ["query_prompt", "document_prompt"])
    def test_other_prompts_are_another_encoder(
        self, encoder: Encoder, spec: EncoderSpec, option: str
    ) -> None:
        if not self.supports_prompts:
            pytest.skip("the encoder takes no prompts")
        prompted = load_encoder(replace(spec, options={**spec.options, option: "represent: "}))
        assert prompted.id != encoder.id
        changed = prompted.encode_query if option == "query_prompt" else prompted.encode_document
        kept = prompted.encode_document if option == "query_prompt" else prompted.encode_query
        before = encoder.encode_document if option == "query_prompt" else encoder.encode_query
        assert not np.allclose(changed(TEXTS[:1]), encoder.encode_query(TEXTS[:1]), atol=1e-3)
        np.testing.assert_allclose(kept(TEXTS[:1]), before(TEXTS[:1]), atol=1e-6)

    def test_several_threads_may_use_it_at_once(self, encoder: Encoder) -> None:
        queries = [f"{text} {number}" for number in range(6) for text in TEXTS]
        alone = [encoder.encode_query([query])[0] for query in queries]
        with ThreadPoolExecutor(6) as threads:
            together = list(threads.map(lambda query: encoder.encode_query([query])[0], queries))
        np.testing.assert_allclose(together, alone, atol=self.tolerance)
