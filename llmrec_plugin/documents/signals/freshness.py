"""Newer items may rank higher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmrec_plugin.contributions import contributions
from llmrec_plugin.documents.signals.signal import SignalContext, ValueSignal, register_signal
from llmrec_plugin.types import Scalar

if TYPE_CHECKING:
    from llmrec_plugin.models import Configuration

DAY = 86_400.0


@register_signal
class Freshness(ValueSignal):
    """A brand-new item has the value 1, which halves once per half-life; what is yet to come is brand-new."""

    name = "date"
    kind = "date"
    contribution = contributions.get("freshness")

    def weight(self, configuration: Configuration) -> float:
        return configuration.freshness_weight

    def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
        half_life = context.configuration.freshness_half_life_days * DAY
        return float(0.5 ** (max(0.0, context.now.timestamp() - max(map(float, found))) / half_life))
