"""Query parameters as filters of the search."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.http import QueryDict
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.api.parameters import given as parameters_given
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.services.items.filter_parsing import facet_value, parse_filters, split
from llmrec_plugin.types import Filter, FilterKind, Range, Terms

KINDS: dict[str, FilterKind] = {
    "brand": "keyword",
    "price": "number",
    "in_stock": "boolean",
    "day": "date",
    "day__gte": "keyword",
}
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
NEXT_MIDNIGHT = datetime(2026, 9, 2, tzinfo=UTC).timestamp()


def outcome(name: str, texts: list[str]) -> Filter | str:
    """The filter, or the parameter that was refused."""
    try:
        return parse_filters({name: texts}, KINDS)[0]
    except InvalidRequest as error:
        return error.parameter


def test_values_keep_their_order_and_come_once() -> None:
    assert parse_filters({"brand": ["b", "a", "b"]}, KINDS) == (Terms(field="brand", values=("b", "a")),)


def test_bounds_of_one_field_are_one_range() -> None:
    found = parse_filters({"price__gte": ["1"], "price__lt": ["2.5"]}, KINDS)
    assert found == (Range(field="price", gte=1.0, lt=2.5),)


def test_a_field_named_like_a_bound_is_that_field() -> None:
    assert split("day__gte", KINDS) == ("day__gte", "")
    assert split("day__lte", KINDS) == ("day", "lte")


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-01T12:00:00Z",
        "2026-09-01T12:00Z",
        "2026-09-01T14:00+02:00",
        "2026-09-01T14:00 02:00",
        "2026-09-01T12:00",
    ],
)
def test_a_moment_is_written_in_several_ways(text: str) -> None:
    assert parse_filters({"day": [text]}, KINDS) == (Terms(field="day", values=(NOON,)),)


def test_a_day_begins_and_ends_in_utc() -> None:
    assert parse_filters({"day": ["2026-09-01"]}, KINDS) == (
        Range(field="day", gte=MIDNIGHT, lt=NEXT_MIDNIGHT),
    )
    (at_most,) = parse_filters({"day__lte": ["2026-09-01"]}, KINDS)
    (above,) = parse_filters({"day__gt": ["2026-09-01"]}, KINDS)
    assert isinstance(at_most, Range)
    assert isinstance(above, Range)
    assert at_most.lte is not None
    assert MIDNIGHT < at_most.lte < NEXT_MIDNIGHT
    assert at_most.lte == above.gt


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "0001-01-01", "0001-01-01T00:00", "9999-12-31"],
)
def test_the_ends_of_time_are_dates(zone: str, text: str) -> None:
    with timezone.override(zone):
        assert isinstance(outcome("day__lt", [text]), Range)


def test_empty_values_are_dropped_and_nul_is_refused() -> None:
    assert parameters_given(QueryDict("a=&b=1&b=&c=+")) == {"b": ["1"]}
    with pytest.raises(InvalidRequest, match="NUL"):
        parameters_given(QueryDict("a=%00"))


def test_facets_of_dates_are_written_in_iso_8601() -> None:
    assert facet_value(MIDNIGHT, "date") == "2026-09-01T00:00:00Z"
    assert facet_value(3.0, "number") == 3.0
    assert facet_value(True, "boolean") is True


@given(
    name=st.sampled_from(["brand", "price", "in_stock", "day", "price__gte", "day__lt", "brand__gt"]),
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=3),
)
def test_any_text_is_a_filter_or_refused_by_name(name: str, texts: list[str]) -> None:
    found = outcome(name, texts)
    assert found == name or (not isinstance(found, str) and found.field == split(name, KINDS)[0])


@given(moment=st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_a_facet_of_dates_filters_for_itself(moment: datetime) -> None:
    seconds = moment.replace(tzinfo=UTC).timestamp()
    (found,) = parse_filters({"day": [str(facet_value(seconds, "date"))]}, KINDS)
    assert isinstance(found, Terms)
    assert found.values[0] == pytest.approx(seconds, abs=2e-6)
