"""What can be had may rank higher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.contributions import Contribution
from llmrec_plugin.documents.signals.signal import SignalContext, ValueSignal, register_signal
from llmrec_plugin.types import Scalar

if TYPE_CHECKING:
    from llmrec_plugin.models import Configuration


@register_signal
class Availability(ValueSignal):
    """An item that can be had has the value 1, any other 0."""

    name = "available"
    kind = "boolean"
    contribution = Contribution(name="availability", label=_("availability"))

    def weight(self, configuration: Configuration) -> float:
        return configuration.availability_weight

    def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
        return float(any(found))
