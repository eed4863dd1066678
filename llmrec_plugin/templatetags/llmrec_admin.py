"""Filters of the admin's own pages."""

from __future__ import annotations

from django import template

from llmrec_plugin.admin.verdicts import percent as in_words

register = template.Library()


@register.filter
def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage in the active language; "–" for None and NaN."""
    return "–" if share is None else in_words(share, digits=digits)
