"""The contract of every kind of event: inherit EventKindContract and name the kind."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llmrec_plugin.contracts.site import SiteContract
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import EventKind, default_kind_weights, event_kinds, register_event_kind
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.models import Configuration, Interaction
from llmrec_plugin.ranking.explanation import Reason
from llmrec_plugin.services import interactions
from llmrec_plugin.services.serving.reasons import ReasonContext, sentences
from llmrec_plugin.types import ContributionCode

TITLE = "steel <b>hose</b> 100 %"


__all__ = ["EventKindContract"]


class EventKindContract(SiteContract):
    """Holds a kind of event to what each must do; `name` says which."""

    name: ClassVar[str]
    """Of the kind."""

    @pytest.fixture
    def kind(self) -> EventKind:
        """What is declared under that name."""
        return event_kinds.get(self.name)

    def told(self, name: str, source: str, context: ReasonContext) -> str:
        reason = Reason(code=ContributionCode(name, source), share=1.0)
        ((sentence,),) = sentences([[reason]], context, {"7": TITLE})
        return sentence

    def test_it_is_found_by_its_name_and_no_second_takes_it(self, kind: EventKind) -> None:
        assert event_kinds.get(kind.name) is kind
        with pytest.raises(ConfigurationError, match=f'kind of event "{kind.name}" already'):
            register_event_kind(EventKind(name=kind.name, label="another", weight=0.0))

    def test_python_stores_it_and_says_what_it_is_called(self, kind: EventKind) -> None:
        assert interactions.record(
            user_key="7", document=next(iter(registry.labels())), item_id="1", kind=kind.name
        )
        row = Interaction.objects.get()
        row.full_clean()
        assert (row.kind, row.get_kind_display()) == (kind.name, str(kind.label))
        assert interactions.kind_labels()[kind.name] == str(kind.label)

    def test_an_editor_may_weigh_it_and_begins_with_its_own_weight(self, kind: EventKind) -> None:
        assert Configuration.current().kind_weights[kind.name] == kind.weight
        Configuration(kind_weights={**default_kind_weights(), kind.name: 0.5}).save()
        assert Configuration.current().kind_weights[kind.name] == 0.5

    def test_a_weight_that_was_stored_before_it_was_declared_is_made_up_for(self, kind: EventKind) -> None:
        older = {name: 1.0 for name in default_kind_weights() if name != kind.name}
        Configuration(kind_weights={**older, "gone": 3.0}).save()
        assert Configuration.current().kind_weights == {**older, kind.name: kind.weight}
        Configuration.current().full_clean()

    def test_visitors_read_a_whole_sentence_of_it(self, kind: EventKind) -> None:
        context = ReasonContext(
            sources={"7": kind.name}, neighbours_kind=kind.name, weekly_counts={"7": (kind.name, 9)}
        )
        told = [self.told("taste", "7", context), self.told("neighbours", "7", context)]
        if kind.weekly:
            told.append(self.told("trending", "7", context))
            assert "9" in told[-1]
        assert all(sentence and "%(" not in sentence for sentence in told)
        assert (TITLE in told[0]) == bool(kind.because)
        assert TITLE in told[1]
