"""Charts with axes, legends and intervals; what a mark stands for is told by its shape, too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from llmrec_plugin.plots.style import (
    COLOURS,
    FONT,
    GRID,
    INK,
    PAPER,
    QUIET,
    line,
    placed,
    shape,
    svg,
    text,
    text_width,
    tip,
)

EMPTY = 10
HEADING = 30
"""Above a chart that has no page around it to say what it shows."""

STANDALONE = (
    "<style>svg{--body-fg:#333;--body-quiet-color:#666;--hairline-color:#e0e0e0;--body-bg:#fff}"
    "@media (prefers-color-scheme:dark){svg{--body-fg:#eee;--body-quiet-color:#d0d0d0;"
    "--hairline-color:#444;--body-bg:#121212}}</style>"
)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One value, with the interval around it where it is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    """Ends of the interval along the axis of values; None: open, a dash at the mark itself."""
    title: str = ""
    """Shown while a pointer rests on it."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Marks of one kind; drawn with a line through them, as marks alone, or as a dashed line without."""

    name: str
    marks: Sequence[Mark]
    line: bool = False
    dashed: bool = False
    size: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What is told along one side."""

    name: str = ""
    ticks: Mapping[float, str] = field(default_factory=dict)
    """Labels by value; empty: round numbers."""
    low: float | None = None
    high: float | None = None
    """Where the axis ends; None: at the data."""
    shown: bool = True


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A dashed line across, at a value of the vertical axis, or of the horizontal one."""

    at: float
    name: str
    vertical: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """All that one picture shows."""

    name: str
    """Letters, digits and dashes: told apart from the others on a page, and the name of its file."""
    title: str
    description: str
    """For those who do not see it: what it shows, in a sentence."""
    series: Sequence[Series]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    thresholds: Sequence[Threshold] = ()
    values_along_x: bool = False
    """Intervals lie along the horizontal axis."""
    width: int = 640
    height: int = 320


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart, and its numbers for those who would rather read them."""

    chart: Chart
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def draw(chart: Chart, *, standalone: bool = False) -> SafeString:
    """The chart as one `<svg>` element; `standalone`: as a file of its own, with its title, a ground and both
    themes."""
    frame, height = _Frame.around(chart), chart.height
    parts = [*frame.axes(), *frame.thresholds()]
    for number, series in enumerate(chart.series):
        parts += frame.series(series, number)
    parts += frame.legend()
    if standalone:
        ground = f'{STANDALONE}<rect width="100%" height="100%" fill="{PAPER}"/>'
        heading = f'<g font-size="14" font-weight="600">{text(EMPTY, 20, chart.title)}</g>'
        parts = [ground, heading, f'<g transform="translate(0 {HEADING})">', *parts, "</g>"]
        height += HEADING
    return svg(
        *parts,
        name=chart.name,
        title=chart.title,
        description=chart.description,
        width=chart.width,
        height=height,
        attributes=f'width="{chart.width}" height="{height}" font-size="{FONT}" '
        f'font-family="system-ui, sans-serif" fill="{INK}"',
    )


def round_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them: 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    size = 10.0 ** math.floor(math.log10(span / (most - 1)))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= most - 1)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where values lie on the paper."""

    chart: Chart
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def around(cls, chart: Chart) -> _Frame:
        marks = [mark for series in chart.series for mark in series.marks]
        ends = [end for mark in marks for end in (mark.low, mark.high) if end is not None]
        levels = {
            vertical: [one.at for one in chart.thresholds if one.vertical == vertical]
            for vertical in (True, False)
        }
        xs = [mark.x for mark in marks] + levels[True] + (ends if chart.values_along_x else [])
        ys = [mark.y for mark in marks] + levels[False] + ([] if chart.values_along_x else ends)
        x_low, x_high = _range(xs, chart.x)
        y_low, y_high = _range(ys, chart.y)
        labels = chart.y.ticks.values() or [_number(tick) for tick in round_ticks(y_low, y_high)]
        widest = max((text_width(label) for label in labels), default=0) if chart.y.shown else 0
        named = FONT * 1.6
        rows = len(_legend_rows(chart))
        return cls(
            chart=chart,
            x_low=x_low,
            x_high=x_high,
            y_low=y_low,
            y_high=y_high,
            left=EMPTY + widest + 8,
            right=chart.width - EMPTY - 14,
            top=EMPTY + rows * (named + 4) + (named + 4 if chart.y.name else 0),
            bottom=chart.height - EMPTY - (named if chart.x.shown else 0) - (named if chart.x.name else 0),
        )

    def at_x(self, value: float) -> float:
        return placed(value, self.x_low, self.x_high, self.left, self.right)

    def at_y(self, value: float) -> float:
        return placed(value, self.y_low, self.y_high, self.bottom, self.top)

    def axes(self) -> Iterator[str]:
        chart = self.chart
        if chart.y.shown:
            for value, label in _ticks(chart.y, self.y_low, self.y_high):
                y = self.at_y(value)
                yield line(self.left, y, self.right, y, GRID)
                yield text(self.left - 6, y + FONT * 0.35, label, anchor="end")
        if chart.x.shown:
            yield line(self.left, self.bottom, self.right, self.bottom, QUIET)
            for x, label in self._x_labels():
                yield text(x, self.bottom + FONT * 1.4, label, anchor="middle")
        if chart.x.name:
            middle = (self.left + self.right) / 2
            yield text(middle, chart.height - EMPTY / 2, chart.x.name, anchor="middle", fill=QUIET)
        if chart.y.name:
            yield text(EMPTY, self.top - FONT, chart.y.name, fill=QUIET)

    def _x_labels(self) -> Iterator[tuple[float, str]]:
        """Those that have room beside the one before."""
        free = -math.inf
        for value, label in _ticks(self.chart.x, self.x_low, self.x_high):
            x, half = self.at_x(value), text_width(label) / 2
            x = min(max(x, half), self.chart.width - half)
            if x - half >= free:
                free = x + half + 8
                yield x, label

    def thresholds(self) -> Iterator[str]:
        for one in self.chart.thresholds:
            if one.vertical:
                x = self.at_x(one.at)
                yield line(x, self.top, x, self.bottom, QUIET, dashed=True)
                yield text(x + 4, self.top + FONT, one.name, fill=QUIET)
            else:
                y = self.at_y(one.at)
                yield line(self.left, y, self.right, y, QUIET, dashed=True)
                yield text(self.right, y - 4, one.name, anchor="end", fill=QUIET)

    def series(self, series: Series, number: int) -> Iterator[str]:
        colour = COLOURS[number % len(COLOURS)]
        places = [(self.at_x(mark.x), self.at_y(mark.y)) for mark in series.marks]
        if series.line or series.dashed:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            dash = f'stroke="{QUIET}" stroke-dasharray="4 4"' if series.dashed else f'stroke="{colour}"'
            yield f'<polyline points="{points}" fill="none" stroke-width="1.5" {dash}/>'
        if series.dashed:
            return
        for mark, (x, y) in zip(series.marks, places, strict=True):
            whisker = self._whisker(mark, x, y, colour)
            yield f"<g>{tip(mark.title)}{whisker}{shape(number, x, y, series.size)}</g>"

    def _whisker(self, mark: Mark, x: float, y: float, colour: str) -> str:
        if mark.low is None and mark.high is None:
            return ""
        if self.chart.values_along_x:
            low, high = (x if end is None else self.at_x(end) for end in (mark.low, mark.high))
            return line(low, y, high, y, colour, width=2)
        low, high = (y if end is None else self.at_y(end) for end in (mark.low, mark.high))
        return line(x, low, x, high, colour, width=2)

    def legend(self) -> Iterator[str]:
        for row, entries in enumerate(_legend_rows(self.chart)):
            x, y = float(EMPTY), EMPTY + FONT * (0.9 + 1.6 * row)
            for number, name in entries:
                yield shape(number, x + 5, y - FONT * 0.35, 4.5)
                yield text(x + 15, y, name)
                x += 15 + text_width(name) + 16


def _legend_rows(chart: Chart) -> list[list[tuple[int, str]]]:
    """(number of the series, its name) by row; none where there is one series alone."""
    named = [(number, one.name) for number, one in enumerate(chart.series) if one.name and not one.dashed]
    if len(named) < 2:
        return []
    rows: list[list[tuple[int, str]]] = [[]]
    used = float(EMPTY)
    for number, name in named:
        wide = 31 + text_width(name)
        if rows[-1] and used + wide > chart.width:
            rows.append([])
            used = EMPTY
        rows[-1].append((number, name))
        used += wide
    return rows


def _range(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    """From the least to the largest value, with some room; as the axis says where it does."""
    everything = [*values, *axis.ticks]
    low = min(everything, default=0.0) if axis.low is None else axis.low
    high = max(everything, default=1.0) if axis.high is None else axis.high
    room = (high - low) * 0.06 or max(abs(high), 1.0) * 0.5
    return (low - room if axis.low is None else low), (high + room if axis.high is None else high)


def _ticks(axis: Axis, low: float, high: float) -> list[tuple[float, str]]:
    if axis.ticks:
        return list(axis.ticks.items())
    return [(tick, _number(tick)) for tick in round_ticks(low, high)]


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
