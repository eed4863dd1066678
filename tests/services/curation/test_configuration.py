"""The configuration set by code: as the admin does it, with the same checks and the same record."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec_plugin.event_kinds import default_kind_weights
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Configuration, ConfigurationChange
from llmrec_plugin.services.curation import configure

pytestmark = pytest.mark.django_db


def test_values_are_set_and_on_record() -> None:
    assert configure(by="deployment", text_weight=0.7, freshness_weight=0.1)
    configuration = Configuration.current()
    assert (configuration.text_weight, configuration.freshness_weight) == (0.7, 0.1)
    latest = ConfigurationChange.objects.first()
    assert latest is not None
    assert (latest.by, latest.values["text_weight"]) == ("deployment", 0.7)


def test_what_is_not_named_stays() -> None:
    configure(by="deployment", text_weight=0.7)
    configure(by="deployment", freshness_weight=0.1)
    assert Configuration.current().text_weight == 0.7


def test_what_somebody_has_saved_can_be_left_alone() -> None:
    assert configure(by="first", if_untouched=True, text_weight=0.7)
    assert not configure(by="second", if_untouched=True, text_weight=0.2)
    assert Configuration.current().text_weight == 0.7


@pytest.mark.parametrize(
    ("values", "parameter", "said"),
    [
        ({"text_wait": 0.5}, "text_wait", 'Did you mean "text_weight"'),
        ({"edition": "x"}, "edition", "no field"),
        ({"text_weight": 1.5}, "text_weight", "less than or equal to 1"),
        ({"text_weight": "much"}, "text_weight", "float"),
        ({"kind_weights": {"view": 1}}, "kind_weights", "Give a number for each of"),
        (
            {"kind_weights": {**default_kind_weights(), "purchse": 1}},
            "kind_weights",
            "no kind of event “purchse”.*Did you mean “purchase”",
        ),
        ({"kind_weights": {"vew": "x"}}, "kind_weights", "Did you mean “view”"),
        ({"kind_weights": {**default_kind_weights(), "view": 11}}, "kind_weights", "“view”.*-10 to 10"),
        ({"kind_weights": [1]}, "kind_weights", "Give a number for each of"),
        (
            {"signal_weights": {"margin": "1"}},
            "signal_weights",
            "signal “margin” must be a number from 0 to 1",
        ),
        ({"signal_weights": {"magrin": 1}}, "signal_weights", 'Did you mean "margin"'),
        ({"signal_weights": 1}, "signal_weights", "from 0 to 1 for each signal"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    values: dict[str, Any], parameter: str, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said) as raised:
        configure(by="deployment", freshness_weight=0.5, **values)
    assert raised.value.parameter == parameter
    assert Configuration.current().freshness_weight == 0.0
