"""A chart on a page of the admin, with its numbers as a table that can be opened."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from llmrec_plugin.plots import Picture, draw


def figure(picture: Picture) -> SafeString:
    """Scrolls sideways where the page is narrower."""
    head = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in picture.header))
    rows = format_html_join(
        "",
        "<tr>{}</tr>",
        ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in picture.rows),
    )
    return format_html(
        '<figure class="module llmrec-figure" id="{}"><h2>{}</h2><div class="llmrec-scroll" tabindex="0" '
        'role="group" aria-label="{}">{}</div><figcaption class="help">{}</figcaption><details><summary>{}'
        "</summary><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></details></figure>",
        picture.chart.name,
        picture.chart.title,
        picture.chart.title,
        mark_safe(draw(picture.chart)),  # noqa: S308 (every text in it is escaped there)
        picture.chart.description,
        _("The numbers"),
        head,
        rows,
    )
