"""The contract of every contribution: inherit ContributionContract and name the contribution."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llmrec_plugin.contributions import Contribution, contributions, register_contribution
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.services.explorer.comparison import ContributionRow
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.templatetags.llmrec_explorer import in_words
from llmrec_plugin.types import ContributionCode, RankedItem

__all__ = ["ContributionContract"]

TITLE = "steel <b>hose</b> 100 %"


class ContributionContract:
    """Holds a contribution to what each must do; `name` says which."""

    name: ClassVar[str]
    """Of the contribution."""

    @pytest.fixture
    def contribution(self) -> Contribution:
        """What is declared under that name."""
        return contributions.get(self.name)

    def item(self, contribution: Contribution, source: str = "") -> RankedItem:
        code = ContributionCode(contribution.name, source)
        return RankedItem(key="1", score=1.0, contributions={str(code): 1.0})

    def told(self, contribution: Contribution, source: str, titles: dict[str, str]) -> tuple[str, ...]:
        """Return what visitors read of an item that owes all its score to this."""
        item = self.item(contribution, source)
        context = reasons.context_of([item], sources={source: "view"}, has_declared_taste=not source)
        (sentences,) = reasons.sentences([reasons.causes(item, context)], context, titles)
        return sentences

    def test_it_is_found_by_its_name(self, contribution: Contribution) -> None:
        assert contributions.get(contribution.name) == contribution
        reasons.check_contributions([self.item(contribution), self.item(contribution, "7")])

    def test_a_second_of_its_name_is_refused(self, contribution: Contribution) -> None:
        with pytest.raises(ConfigurationError, match=f'contribution "{contribution.name}" already'):
            register_contribution(Contribution(name=contribution.name, label="another"))

    def test_editors_read_a_label_and_what_it_goes_back_to(self, contribution: Contribution) -> None:
        row = ContributionRow(name=contribution.name, title="", value=1.0, share=1.0)
        assert in_words(row) == str(contribution.label) != ""
        named = ContributionRow(name=contribution.name, source="7", title=TITLE, value=1.0, share=1.0)
        assert in_words(named) == f"{contribution.label}: “{TITLE}”"

    def test_visitors_read_its_sentence_or_nothing(self, contribution: Contribution) -> None:
        has_item = contribution.source == "item"
        told = self.told(contribution, "7" if has_item else "", {"7": TITLE})
        assert bool(told) == contribution.may_be_reason
        assert all("%(" not in sentence for sentence in told)
        if "%(title)s" in str(contribution.sentence):
            assert TITLE in told[0]

    def test_without_its_source_it_is_told_in_other_words_or_not_at_all(
        self, contribution: Contribution
    ) -> None:
        told = self.told(contribution, "7" if contribution.source == "item" else "", {})
        assert all(sentence and "%(" not in sentence for sentence in told)
        if "%(title)s" in str(contribution.sentence):
            assert told == tuple(filter(None, [str(contribution.untitled_sentence)]))

    def test_a_sentence_with_a_title_goes_back_to_an_item(self, contribution: Contribution) -> None:
        assert contribution.source == "item" or "%(title)s" not in str(contribution.sentence)
        assert "%(title)s" not in str(contribution.untitled_sentence)
