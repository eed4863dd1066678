"""Pictures on a page of the admin, each with its numbers as a table that can be opened."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from llmrec_plugin.plots import Chart, Picture, draw


def figure(picture: Picture) -> SafeString:
    """With its title above and what it shows below."""
    return format_html(
        '<figure class="module llmrec-figure" id="{}"><h2>{}</h2>{}<figcaption class="help">{}</figcaption>'
        "{}</figure>",
        picture.chart.name,
        picture.chart.title,
        scrolling(picture.chart),
        picture.chart.description,
        numbers(picture.header, picture.rows),
    )


def scrolling(chart: Chart) -> SafeString:
    """Scrolls sideways, by keyboard as well, where the page is narrower."""
    return format_html(
        '<div class="llmrec-picture" style="overflow-x:auto" tabindex="0" role="group" aria-label="{}">{}'
        "</div>",
        chart.title,
        draw(chart),
    )


def numbers(header: Sequence[str], rows: Sequence[Sequence[str]]) -> SafeString:
    """The table behind a picture, closed; the first cell of a row names it."""
    head = _cells('<th scope="col" class="number">{}</th>', header[1:])
    body = format_html_join(
        "",
        '<tr><th scope="row">{}</th>{}</tr>',
        ((row[0], _cells('<td class="number">{}</td>', row[1:])) for row in rows),
    )
    return format_html(
        '<details><summary>{}</summary><table><thead><tr><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></details>",
        _("The numbers"),
        header[0],
        head,
        body,
    )


def _cells(cell: str, texts: Sequence[str]) -> SafeString:
    return format_html_join("", cell, ((text,) for text in texts))
