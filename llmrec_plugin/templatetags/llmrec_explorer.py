"""What a score is made of and how a place has changed, in plain words and bars."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.services.explorer.comparison import ContributionRow, RankedPosition

register = template.Library()

_WORDS = {
    "text": _("words of the query"),
    "vector": _("meaning"),
    "rerank": _("query and item read together"),
    "taste": _("taste of the user"),
    "also": _("taken together by others"),
    "alike": _("alike, though nobody took both"),
    "next": _("next step"),
    "popularity": _("popularity"),
    "average": _("average popularity of a new item"),
    "trending": _("popular this week"),
    "earlier": _("popular in the weeks before"),
    "freshness": _("newness"),
    "reserve": _("a place kept for new items"),
    "diversity": _("too much like the items above"),
    "tail": _("only fills the list up"),
    "rule": _("rule"),
}


@register.filter
def in_words(part: ContributionRow) -> str:
    """The contribution as an editor may call it, with the item or rule that it goes back to."""
    code, _colon, source = part.name.partition(":")
    words = str(_WORDS.get(code, code))
    about = part.title or source
    return f"{words}: “{about}”" if about else words


@register.filter
def signed(value: float) -> str:
    return f"{value:+.3f}"


@register.filter
def bar(part: ContributionRow) -> SafeString:
    """From the middle to the right what speaks for the item, to the left what speaks against it."""
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
    """How the item has come to its place from where it stands on the other side."""
    if place.other is None:
        return format_html("<strong>{}</strong>", _("only here"))
    if place.moved == 0:
        return format_html('<span class="llmrec-quiet">{}</span>', _("same place"))
    sign, text = ("▲", _("up %(count)d")) if place.moved > 0 else ("▼", _("down %(count)d"))
    return format_html("{} {}", sign, str(text) % {"count": abs(place.moved)})


@register.filter
def destination(place: RankedPosition) -> SafeString | str:
    """Where the item goes to on the other side."""
    if place.other is None:
        return format_html("<strong>{}</strong>", _("only here"))
    if place.moved == 0:
        return format_html('<span class="llmrec-quiet">{}</span>', _("same place"))
    return format_html("→ {}", place.other)
