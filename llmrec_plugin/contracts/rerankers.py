"""The contract of every reranker: inherit RerankerContract and say which reranker it is."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from llmrec_plugin.contracts.encoders import HOSTILE, TEXTS
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.reranking import Reranker, forget_rerankers, load_reranker

__all__ = ["RerankerContract"]


class RerankerContract:
    """Holds a reranker to what each must do; `name`, or a fixture `spec`, says which."""

    name: ClassVar[str]
    """What LLMREC["RERANK"]["model"] says: the dotted path of its module."""
    options: ClassVar[Mapping[str, Any]] = {}
    """What LLMREC["RERANK"]["options"] says."""
    tolerance: ClassVar[float] = 1e-4
    """Largest difference of a score between two ways to batch the same pair."""

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        """How the reranker is named; for options that are known only when the tests run."""
        return EncoderSpec(name=self.name, options=self.options)

    @pytest.fixture
    def reranker(self, spec: EncoderSpec) -> Reranker:
        return load_reranker(spec)

    def test_each_passage_gets_one_finite_number(self, reranker: Reranker) -> None:
        scores = reranker.score("garden chair", TEXTS)
        assert scores.shape == (len(TEXTS),)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert len(set(scores.tolist())) > 1

    def test_no_passages_give_no_numbers(self, reranker: Reranker) -> None:
        assert reranker.score("garden chair", []).shape == (0,)

    def test_a_score_does_not_depend_on_the_other_passages(self, reranker: Reranker) -> None:
        together = reranker.score("garden chair", TEXTS)
        alone = [reranker.score("garden chair", [text])[0] for text in TEXTS]
        np.testing.assert_allclose(together, alone, atol=self.tolerance)

    def test_the_query_counts(self, reranker: Reranker) -> None:
        assert not np.allclose(reranker.score("garden chair", TEXTS), reranker.score("机器学习", TEXTS))

    def test_any_string_is_a_text(self, reranker: Reranker) -> None:
        assert np.isfinite(reranker.score("garden", HOSTILE)).all()
        for query in HOSTILE[:3]:
            assert np.isfinite(reranker.score(query, TEXTS)).all()

    def test_several_threads_may_use_it_at_once(self, reranker: Reranker) -> None:
        alone = [reranker.score(query, TEXTS) for query in TEXTS]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda query: reranker.score(query, TEXTS), TEXTS))
        np.testing.assert_allclose(together, alone, atol=self.tolerance)

    def test_it_is_loaded_once_and_anew_gives_the_same(self, reranker: Reranker, spec: EncoderSpec) -> None:
        assert load_reranker(replace(spec)) is reranker
        before = reranker.score("garden chair", TEXTS)
        forget_rerankers()
        anew = load_reranker(spec)
        assert anew is not reranker
        np.testing.assert_allclose(anew.score("garden chair", TEXTS), before, atol=1e-6)
