"""A reranker of a site's own, named by its module, keeps the contract; what is no such module is refused."""

from __future__ import annotations

import pytest

from llmrec_plugin.contracts.rerankers import RerankerContract
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.reranking import load_reranker
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector

NAME = "tests.support.word_reranker"


class TestModule(RerankerContract):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return EncoderSpec(name=NAME)

    def test_the_query_counts(self, reranker: object) -> None:
        one = load_reranker(EncoderSpec(name=NAME))
        assert one.score("garden chair", ["garden chair"])[0] > one.score("lamp", ["garden chair"])[0]


@pytest.mark.parametrize("name", ["tests.support.nothing", "tests.hostapp.models"])
def test_another_module_is_a_misconfiguration(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_reranker(EncoderSpec(name=name))


def test_a_failed_load_is_told_and_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(EncoderUnavailable, match="no such model"):
        load_reranker(EncoderSpec(name=NAME, options={"fault": "load"}))
    with pytest.raises(InvalidVector, match="not finite"):
        load_reranker(EncoderSpec(name=NAME, options={"fault": "nan"})).score("a", ["b"])
