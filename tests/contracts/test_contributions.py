"""Every built-in contribution, and the one that the test site declares, keep the contract."""

from __future__ import annotations

import pytest
from django.utils import translation

from llmrec_plugin.contracts.contributions import ContributionContract
from llmrec_plugin.contributions import Contribution, contributions
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.types import RankedItem

SITES = {"campaign", "cheapest", "margin"}


@pytest.mark.parametrize("contribution", tuple(contributions), ids=contributions.names())
class TestContributions(ContributionContract):
    def test_both_languages_have_its_texts(self, contribution: Contribution) -> None:
        if contribution.name in SITES:
            return
        for text in filter(None, (contribution.label, contribution.sentence, contribution.untitled_sentence)):
            with translation.override("en"):
                english = str(text)
            with translation.override("zh-hans"):
                assert str(text) != english


def test_the_sites_own_are_among_them() -> None:
    assert set(contributions.names()) >= SITES


def test_a_part_of_a_score_that_nobody_declared_is_answered_with_the_nearest_and_the_cure() -> None:
    item = RankedItem(key="1", score=1.0, contributions={"campain:7": 1.0})
    with pytest.raises(ConfigurationError) as raised:
        reasons.check_contributions([item])
    assert 'There is no contribution "campain". Did you mean "campaign"?' in str(raised.value)
    assert "register_contribution in the search_documents.py" in str(raised.value)
