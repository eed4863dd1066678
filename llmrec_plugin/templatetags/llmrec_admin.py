"""Holds filters of the admin's own pages."""

from __future__ import annotations

from django import template
from django.utils.formats import number_format

from llmrec_plugin.event_kinds import event_kinds

register = template.Library()


@register.filter
def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as a percentage in the active language; "–" for None and NaN."""
    # a theme may load all libraries of tags, this one too, before the classes of the admin can be imported
    from llmrec_plugin.admin.insight.experiment_summary import percent as in_words

    return "–" if share is None else in_words(share, digits=digits)


@register.filter
def number(count: float | None, digits: int = 0) -> str:
    """Return the number with the separators of the active language; "–" for None."""
    return "–" if count is None else number_format(count, digits, force_grouping=True)


@register.filter
def kind(event: str) -> str:
    """Return what the user did, in words; as it was stored where such events are not declared any more."""
    return str(event_kinds.get(event).label) if event in event_kinds else event
