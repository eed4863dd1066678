"""Every built-in kind of event, and the one that the test site declares, keep the contract."""

from __future__ import annotations

import pytest
from django.utils import translation

from llmrec_plugin.contracts.event_kinds import EventKindContract
from llmrec_plugin.event_kinds import EventKind, event_kinds
from llmrec_plugin.exceptions import ConfigurationError

SITES = "like"


@pytest.mark.parametrize("kind", tuple(event_kinds), ids=event_kinds.names())
class TestEventKinds(EventKindContract):
    def test_both_languages_have_its_texts(self, kind: EventKind) -> None:
        if kind.name == SITES:
            return
        for text in filter(None, (kind.label, kind.because, kind.others)):
            with translation.override("en"):
                english = str(text)
            with translation.override("zh-hans"):
                assert str(text) != english


def test_the_sites_own_is_among_them() -> None:
    assert SITES in event_kinds


@pytest.mark.parametrize(
    ("weight", "sign", "allowed"),
    [(11.0, "for", "from 0 to 10"), (-1.0, "by_value", "from 0 to 10"), (1.0, "against", "from -10 to 0")],
)
def test_a_weight_against_the_sign_is_refused(weight: float, sign: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=f'kind of event "wave".*{allowed}'):
        EventKind(name="wave", label="waved", weight=weight, sign=sign)  # type: ignore[arg-type]
