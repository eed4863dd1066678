"""Small pictures as SVG, in the colours of the admin's theme; each says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

HEIGHT = 72
WIDTH = 480
LINE = "var(--hairline-color, currentColor)"
INK = "var(--link-fg, var(--primary, currentColor))"


def columns(values: Sequence[float], *, alt: str, titles: Sequence[str]) -> SafeString:
    """One column per value, from 0 to the largest; `titles` say what each is. NaN leaves a gap."""
    largest = max((value for value in values if not math.isnan(value)), default=0.0)
    step = WIDTH / max(len(values), 1)
    drawn = [
        (round(number * step, 1), round(step * 0.8, 1), _height(value, largest), title)
        for number, (value, title) in enumerate(zip(values, titles, strict=True))
        if not math.isnan(value)
    ]
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        ((x, HEIGHT - height, width, height, title) for x, width, height, title in drawn),
    )
    return format_html(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none" class="llmrec-chart">'
        '<line x1="0" x2="{}" y1="{}" y2="{}" stroke="{}"/><g fill="{}">{}</g></svg>',
        WIDTH,
        HEIGHT + 1,
        alt,
        WIDTH,
        HEIGHT + 0.5,
        HEIGHT + 0.5,
        LINE,
        INK,
        bars,
    )


def _height(value: float, largest: float) -> float:
    """At least a line where there is anything at all."""
    if value <= 0 or largest <= 0:
        return 0.0
    return round(max(value / largest * HEIGHT, 1.0), 1)


def strips(rows: Sequence[tuple[object, Sequence[float]]], *, mark: float | None, alt: str) -> SafeString:
    """A line of ticks per named row of numbers, all on the axis from the least to the largest, and a mark."""
    values = [value for _, numbers in rows for value in numbers] + ([] if mark is None else [mark])
    low, span = min(values), (max(values) - min(values)) or 1.0

    def at(value: float) -> float:
        return round((value - low) / span * (WIDTH - 2) + 1, 1)

    ticks = [
        (at(value), 4 + 36 * number, at(value), 26 + 36 * number)
        for number, (_, numbers) in enumerate(rows)
        for value in numbers
    ]
    drawn = format_html_join("", '<line x1="{}" y1="{}" x2="{}" y2="{}"/>', ticks)
    line = (
        ""
        if mark is None
        else format_html('<line x1="{0}" x2="{0}" y1="0" y2="{1}" stroke="currentColor"/>', at(mark), HEIGHT)
    )
    return format_html(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" width="{}" style="max-width:100%;display:block">'
        '<g stroke="{}" stroke-opacity=".5">{}</g>{}</svg><ol>{}</ol>',
        WIDTH,
        HEIGHT,
        alt,
        WIDTH,
        INK,
        drawn,
        line,
        format_html_join(
            "",
            "<li>{}: {} – {}</li>",
            ((name, f"{min(numbers):.3f}", f"{max(numbers):.3f}") for name, numbers in rows),
        ),
    )


def interval(low: float, value: float, high: float, *, reach: float, alt: str) -> SafeString:
    """A span with its middle marked, on an axis from -reach to reach with 0 in the middle."""

    def at(number: float) -> float:
        return round((min(max(number / reach, -1.0), 1.0) + 1) * 100, 1)

    colour = _verdict_colour(low, high)
    return format_html(
        '<svg viewBox="0 0 200 24" role="img" aria-label="{}" class="llmrec-interval">'
        '<line x1="0" x2="200" y1="12" y2="12" stroke="{}"/><line x1="100" x2="100" y1="2" y2="22" '
        'stroke="currentColor"/><line x1="{}" x2="{}" y1="12" y2="12" stroke="{}" stroke-width="6"/>'
        '<circle cx="{}" cy="12" r="5" fill="{}" stroke="var(--body-bg, Canvas)"/></svg>',
        alt,
        LINE,
        at(low),
        at(high),
        colour,
        at(value),
        colour,
    )


def _verdict_colour(low: float, high: float) -> str:
    if low > 0:
        return "var(--llmrec-good)"
    return "var(--llmrec-bad)" if high < 0 else INK
