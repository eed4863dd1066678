"""What every picture is made of: the colours of the page around it, marks, lines, texts and its name.

A colour is a variable of Django's admin with a value to fall back on, so that a picture follows the theme of
the page and stands in a file of its own as well.
"""

from __future__ import annotations

from html import escape

from django.utils.safestring import SafeString, mark_safe

INK = "var(--body-fg, #333)"
QUIET = "var(--body-quiet-color, #666)"
GRID = "var(--hairline-color, #e0e0e0)"
PAPER = "var(--body-bg, #fff)"
COLOURS = ("#3b7dd8", "#c2571a", "#2a8f5b", "#b0479c", "#8a7410", "#1f8a9e", "#d0425a", "#7a6ff0")
"""Each at least 3:1 against white and against the dark theme."""
GOOD = f"var(--llmrec-good, {COLOURS[2]})"
BAD = f"var(--llmrec-bad, {COLOURS[6]})"
SHAPES = ("circle", "square", "diamond", "triangle")
FONT = 12


def svg(
    *parts: str, name: str, title: str, width: int, height: int, description: str = "", attributes: str = ""
) -> SafeString:
    """One `<svg>` element of that size in its own units, named for those who do not see it.

    `name` tells it apart from the others on a page. The parts and attributes are markup; whoever makes them
    escapes what is in them, as the functions below do.
    """
    words, ids = f'<title id="{name}-title">{escape(title)}</title>', f"{name}-title"
    if description:
        words += f'<desc id="{name}-desc">{escape(description)}</desc>'
        ids += f" {name}-desc"
    return mark_safe(  # noqa: S308 (every text in it is escaped)
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{ids}" {attributes}>{words}{"".join(parts)}</svg>'
    )


def tip(text: str) -> str:
    """What is shown while a pointer rests on the element around it."""
    return f"<title>{escape(text)}</title>" if text else ""


def text_width(text: str) -> float:
    """About how wide a text is in pixels; a Han character is twice as wide as a letter."""
    return sum(FONT * (1.0 if ord(char) > 0x2E80 else 0.56) for char in text)


def shape(number: int, x: float, y: float, size: float) -> str:
    """The mark of the series of that number, `size` pixels from its middle to its edge."""
    colour, kind = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
    edge = f'fill="{colour}" stroke="{PAPER}" stroke-width="0.75"'
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {edge}/>'
    if kind == "square":
        half = size * 0.9
        place = f'x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:.1f}" height="{2 * half:.1f}"'
        return f"<rect {place} {edge}/>"
    reach = size * 1.25
    corners = [(0, -reach), (reach, 0), (0, reach), (-reach, 0)]
    if kind == "triangle":
        corners = [(0, -reach), (reach, reach * 0.8), (-reach, reach * 0.8)]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {edge}/>'


def placed(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / (high - low) * (end - start)


def line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dash}/>'
    )


def text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
