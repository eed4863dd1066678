"""Tells what a score is made of and how a place has changed, in plain words and bars."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.contributions import contributions
from llmrec_plugin.services.explorer.comparison import ContributionRow, RankedPosition

register = template.Library()


@register.filter
def in_words(part: ContributionRow) -> str:
    """Return the contribution as an editor may call it, with the item or rule that it goes back to."""
    label = str(contributions.get(part.name).label)
    about = part.title or part.source
    return f"{label}: “{about}”" if about else label


@register.filter
def signed(value: float) -> str:
    return f"{value:+.3f}"


@register.filter
def bar(part: ContributionRow) -> SafeString:
    """Return a bar: from the middle to the right what speaks for the item, to the left what speaks against
    it."""
    width = 50 * part.share
    start, name = (50.0, "up") if part.value >= 0 else (50 - width, "down")
    return format_html(
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="{}" x="{}" width="{}" height="6"/></svg>',
        name,
        f"{start:.2f}",
        f"{width:.2f}",
    )


@register.filter
def movement(place: RankedPosition) -> SafeString | str:
    """Return how the item has come to its place from where it stands on the other side."""
    if place.other is None:
        return format_html("<strong>{}</strong>", _("only here"))
    if place.moved == 0:
        return format_html('<span class="llmrec-quiet">{}</span>', _("same place"))
    sign, text = ("▲", _("up %(count)d")) if place.moved > 0 else ("▼", _("down %(count)d"))
    return format_html("{} {}", sign, str(text) % {"count": abs(place.moved)})


@register.filter
def destination(place: RankedPosition) -> SafeString | str:
    """Return where the item goes to on the other side."""
    if place.other is None:
        return format_html("<strong>{}</strong>", _("only here"))
    if place.moved == 0:
        return format_html('<span class="llmrec-quiet">{}</span>', _("same place"))
    return format_html("→ {}", place.other)
