"""A page may show only so many items of one group, such as a brand or a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.contributions import Contribution
from llmrec_plugin.documents.signals.signal import Signal, SignalContext, ValuesByKey, register_signal
from llmrec_plugin.ranking.stages import Cap, Stage

if TYPE_CHECKING:
    from llmrec_plugin.models import Configuration

PLACES = 20
"""Of a list that a group may take only so many of: a page."""


@register_signal
class GroupCap(Signal):
    """What is too much of a group comes right after the first places; its weight is the number of items."""

    name = "group"
    kind = "keyword"
    contribution = Contribution(name="cap", label=_("too many of its group above"))
    reorders = True

    def weight(self, configuration: Configuration) -> float:
        return configuration.most_per_group

    def stage(self, values: ValuesByKey, context: SignalContext) -> Stage:
        return Cap(values, context.configuration.most_per_group, PLACES)
