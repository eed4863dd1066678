"""Every built-in signal, and the one that the test site declares, keep the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from llmrec_plugin.contracts.signals import NOW, SignalContract
from llmrec_plugin.documents import Contribution, SignalContext, ValueSignal, register_signal
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.types import Scalar


class TestFreshness(SignalContract):
    name = "date"
    weighed = {"freshness_weight": 0.5}
    values = [((NOW - timedelta(days=days)).timestamp(),) for days in (-1, 0, 30, 3000)]


class TestAvailability(SignalContract):
    name = "available"
    weighed = {"availability_weight": 0.5}
    values = [(True,), (True, False), (False,)]


class TestGroupCap(SignalContract):
    name = "group"
    weighed = {"most_per_group": 2}
    values = [("a",), ("a",), ("b",), ("a", "b"), ("a",)]


class TestMargin(SignalContract):
    """The site's own, of tests/hostapp."""

    name = "margin"
    values = [(500.0,), (50.0,), (0.0,)]


def test_a_signal_with_another_ones_contribution_is_refused_whole() -> None:
    class Rating(ValueSignal):
        name = "rating"
        kind = "number"
        contribution = Contribution(name="freshness", label="rating")

        def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
            return float(max(found))

    with pytest.raises(ConfigurationError, match='contribution "freshness" already'):
        register_signal(Rating)
    assert "rating" not in signals


def test_a_signal_that_nobody_declared_is_answered_with_the_nearest_and_the_cure() -> None:
    with pytest.raises(ConfigurationError) as raised:
        signals.get("margn")
    assert 'There is no ranking signal "margn". Did you mean "margin"?' in str(raised.value)
    assert "register_signal in the search_documents.py" in str(raised.value)
