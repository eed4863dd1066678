"""Pictures small enough for a card or a cell of a table: no axes, the numbers stand beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.utils.safestring import SafeString

from llmrec_plugin.plots.style import BAD, COLOURS, GOOD, GRID, INK, PAPER, line, placed, svg, tip

COLUMNS = (480, 72)
"""Width and height; the page stretches it."""
INTERVAL = (200, 24)


def columns(values: Sequence[float], *, name: str, title: str, titles: Sequence[str]) -> SafeString:
    """One column per value, from 0 to the largest; `titles` say what each is. NaN leaves a gap."""
    width, height = COLUMNS
    largest = max((value for value in values if not math.isnan(value)), default=0.0)
    step = width / max(len(values), 1)
    bars = [
        f'<rect x="{number * step:.1f}" y="{height - tall:.1f}" width="{step * 0.8:.1f}" '
        f'height="{tall:.1f}" fill="{COLOURS[0]}">{tip(told)}</rect>'
        for number, (value, told) in enumerate(zip(values, titles, strict=True))
        if not math.isnan(value)
        for tall in [_height(value, largest)]
    ]
    return svg(
        line(0, height + 0.5, width, height + 0.5, GRID),
        *bars,
        name=name,
        title=title,
        description=" … ".join([titles[0], titles[-1]]) if titles else "",
        width=width,
        height=height + 1,
        attributes='preserveAspectRatio="none" class="llmrec-chart"',
    )


def _height(value: float, largest: float) -> float:
    """At least a line where there is anything at all."""
    if value <= 0 or largest <= 0:
        return 0.0
    return max(value / largest * COLUMNS[1], 1.0)


def interval(
    low: float, value: float, high: float, *, reach: float, name: str, title: str, description: str
) -> SafeString:
    """A span with its middle marked, on an axis from -reach to reach with 0 in the middle."""
    width, height = INTERVAL
    middle = height / 2

    def at(number: float) -> float:
        return placed(min(max(number, -reach), reach), -reach, reach, 0, width)

    colour = _verdict_colour(low, high)
    return svg(
        line(0, middle, width, middle, GRID),
        line(width / 2, 2, width / 2, height - 2, INK),
        line(at(low), middle, at(high), middle, colour, width=6),
        f'<circle cx="{at(value):.1f}" cy="{middle}" r="5" fill="{colour}" stroke="{PAPER}"/>',
        name=name,
        title=title,
        description=description,
        width=width,
        height=height,
        attributes='class="llmrec-interval"',
    )


def _verdict_colour(low: float, high: float) -> str:
    if low > 0:
        return GOOD
    return BAD if high < 0 else COLOURS[0]
