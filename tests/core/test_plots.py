"""Charts as SVG: well-formed, named for those who do not see them, escaped, and nothing outside the paper."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.plots import (
    COLOURS,
    Axis,
    Chart,
    Mark,
    Series,
    Threshold,
    columns,
    draw,
    interval,
    round_ticks,
    text_width,
)

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e6, 1e6)


def chart(*series: Series, **options: object) -> Chart:
    return Chart(name="one", title="A & B", description="What <it> shows", series=series, **options)  # type: ignore[arg-type]


def drawn(picture: Chart, *, standalone: bool = False) -> ET.Element:
    return ET.fromstring(draw(picture, standalone=standalone))


def texts(root: ET.Element) -> list[str]:
    return [str(element.text) for element in root.iter(f"{SVG}text")]


def test_it_has_a_title_and_a_description_for_those_who_do_not_see_it() -> None:
    root = drawn(chart(Series(name="x", marks=[Mark(x=1, y=2, title="<b>1</b>")])))
    assert root.get("role") == "img"
    named = {element.get("id"): element.text for element in root if element.get("id")}
    assert named == {"one-title": "A & B", "one-desc": "What <it> shows"}
    assert str(root.get("aria-labelledby")).split() == list(named)
    assert [title.text for group in root.iter(f"{SVG}g") for title in group.iter(f"{SVG}title")] == [
        "<b>1</b>"
    ]


def test_marks_lie_where_their_values_say() -> None:
    root = drawn(chart(Series(name="", marks=[Mark(x=0, y=0), Mark(x=1, y=1), Mark(x=2, y=4)])))
    places = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter(f"{SVG}circle")]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx(4 * (y0 - y1), abs=0.8)  # up is smaller


def test_an_interval_is_a_line_through_its_mark_along_the_axis_of_values() -> None:
    series = Series(name="", marks=[Mark(x=0, y=1, low=0.5, high=2), Mark(x=1, y=1), Mark(x=2, y=1, low=0)])
    lines = [line for line in drawn(chart(series)).iter(f"{SVG}line") if line.get("stroke-width") == "2"]
    assert [line.get("x1") == line.get("x2") for line in lines] == [True, True]
    across = chart(Series(name="", marks=[Mark(x=1, y=0, low=0, high=3)]), values_along_x=True)
    (line,) = [line for line in drawn(across).iter(f"{SVG}line") if line.get("stroke-width") == "2"]
    assert line.get("y1") == line.get("y2")
    assert line.get("x1") != line.get("x2")


def test_a_legend_names_more_than_one_series_and_breaks_into_rows() -> None:
    one = Series(name="alone", marks=[Mark(x=0, y=0)])
    assert "alone" not in texts(drawn(chart(one)))
    many = [Series(name=f"a rather long name {n}", marks=[Mark(x=n, y=n)]) for n in range(8)]
    root = drawn(chart(*many))
    rows = {t.get("y") for t in root.iter(f"{SVG}text") if str(t.text).startswith("a rather")}
    assert len(rows) == 3


def test_series_differ_by_shape_as_well_as_by_colour() -> None:
    root = drawn(chart(*(Series(name=str(n), marks=[Mark(x=n, y=n)]) for n in range(4))))
    groups = [next(iter(group)) for group in root.iter(f"{SVG}g")]
    assert [group.tag.removeprefix(SVG) for group in groups] == ["circle", "rect", "polygon", "polygon"]
    assert len({group.get("points") for group in groups[2:]}) == 2


def test_lines_thresholds_and_hidden_axes() -> None:
    root = drawn(
        chart(
            Series(name="", marks=[Mark(x=0, y=0), Mark(x=1, y=1)], line=True),
            Series(name="", marks=[Mark(x=0, y=0), Mark(x=1, y=1)], dashed=True),
            thresholds=(Threshold(at=0.5, name="here"), Threshold(at=0.2, name="there", vertical=True)),
            x=Axis(shown=False),
            y=Axis(shown=False),
        )
    )
    assert [bool(line.get("stroke-dasharray")) for line in root.iter(f"{SVG}polyline")] == [False, True]
    assert texts(root) == ["here", "there"]


def test_labels_that_have_no_room_are_left_out() -> None:
    ticks = {float(n): f"2026-11-{n:02d}" for n in range(1, 29)}
    series = Series(name="", marks=[Mark(x=n, y=1) for n in ticks])
    root = drawn(chart(series, x=Axis(name="day", ticks=ticks), y=Axis(name="what")))
    shown = [text for text in texts(root) if text.startswith("2026")]
    assert 3 < len(shown) < 9
    assert {"day", "what"} < set(texts(root))


def test_a_file_of_its_own_has_a_ground_and_both_themes() -> None:
    picture = chart(Series(name="", marks=[Mark(x=0, y=0)]))
    assert "prefers-color-scheme:dark" in draw(picture, standalone=True)
    assert "<style>" not in draw(picture)
    file = drawn(picture, standalone=True)
    assert file.find(f"{SVG}rect") is not None
    # A page names its pictures; a file is alone.
    shown = [text.text for text in file.iter(f"{SVG}text")]
    assert shown[0] == picture.title
    assert picture.title not in [text.text for text in drawn(picture).iter(f"{SVG}text")]
    assert float(file.attrib["height"]) > float(drawn(picture).attrib["height"])


def test_colours_can_be_seen_on_either_ground() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS:
        for ground in ("#ffffff", "#121212"):
            dark, light = sorted((luminance(colour), luminance(ground)))
            assert (light + 0.05) / (dark + 0.05) >= 3, (colour, ground)


def test_a_han_character_is_as_wide_as_two_letters() -> None:
    assert text_width("模型") == pytest.approx(2 * 12)
    assert text_width("ab") < text_width("模型")


@given(st.floats(-1000, 1000), st.floats(1e-3, 1e6))
def test_round_ticks_are_few_even_and_within(low: float, span: float) -> None:
    ticks = round_ticks(low, low + span)
    assert len(ticks) <= 6
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = {round((b - a) / span, 4) for a, b in itertools.pairwise(ticks)}
    assert len(steps) <= 1


def test_an_axis_without_length_has_one_tick() -> None:
    assert round_ticks(3, 3) == [3]
    assert round_ticks(0, math.inf) == [0]


@given(st.lists(st.tuples(finite, finite, finite, finite), min_size=0, max_size=12))
def test_whatever_the_numbers_nothing_leaves_the_paper(rows: list[tuple[float, ...]]) -> None:
    marks = [Mark(x=x, y=y, low=min(y, low), high=max(y, high)) for x, y, low, high in rows]
    svg = draw(chart(Series(name="a", marks=marks, line=True), Series(name="b", marks=marks[:1])))
    ET.fromstring(svg)
    numbers = [float(n) for n in re.findall(r'\b(?:c?[xy][12]?)="(-?[\d.]+)"', svg)]
    assert all(-1 <= number <= 641 for number in numbers)


def test_columns_reach_as_high_as_their_values_and_leave_gaps() -> None:
    told = ["Mon: 2", "Tue: 4", "Wed: –", "Thu: 0", "Fri: <1"]
    svg = columns([2, 4, math.nan, 0, 0.001], name="days", title="A & B", titles=told)
    root = ET.fromstring(svg)
    words = {str(element.get("id")): element.text for element in root if element.get("id")}
    assert words == {"days-title": "A & B", "days-desc": "Mon: 2 … Fri: <1"}
    assert str(root.get("aria-labelledby")).split() == list(words)
    bars = list(root.iter(f"{SVG}rect"))
    assert [float(bar.get("height", 0)) for bar in bars] == [36, 72, 0, 1]  # at least a line of something
    assert [float(bar.get("y", 0)) + float(bar.get("height", 0)) for bar in bars] == [72] * 4
    assert [float(bar.get("x", 0)) for bar in bars] == [0, 96, 288, 384]
    assert [title.text for bar in bars for title in bar] == ["Mon: 2", "Tue: 4", "Thu: 0", "Fri: <1"]


def test_columns_without_a_number_are_an_empty_picture() -> None:
    for values in ([], [math.nan]):
        svg = columns(values, name="days", title="none", titles=["–"] * len(values))
        assert list(ET.fromstring(svg).iter(f"{SVG}rect")) == []


@pytest.mark.parametrize(
    ("low", "high", "colour"),
    [(0.1, 0.3, "--llmrec-good"), (-0.3, -0.1, "--llmrec-bad"), (-0.1, 0.3, COLOURS[0])],
)
def test_an_interval_shows_where_it_lies_and_whether_zero_is_in_it(
    low: float, high: float, colour: str
) -> None:
    value = (low + high) / 2
    svg = interval(low, value, high, reach=0.5, name="arm-1", title="new", description="so & so")
    root = ET.fromstring(svg)
    (dot,) = root.iter(f"{SVG}circle")
    assert colour in str(dot.get("fill"))
    assert float(dot.get("cx", 0)) == pytest.approx(100 + 200 * value, abs=0.1)
    (span,) = [line for line in root.iter(f"{SVG}line") if line.get("stroke-width") == "6"]
    ends = float(span.get("x1", 0)), float(span.get("x2", 0))
    assert ends == pytest.approx((100 + 200 * low, 100 + 200 * high), abs=0.1)


def test_an_interval_beyond_the_axis_ends_at_its_edge() -> None:
    svg = interval(-9, 0, 9, reach=0.5, name="arm-1", title="new", description="wide")
    (span,) = [line for line in ET.fromstring(svg).iter(f"{SVG}line") if line.get("stroke-width") == "6"]
    assert (span.get("x1"), span.get("x2")) == ("0.0", "200.0")
