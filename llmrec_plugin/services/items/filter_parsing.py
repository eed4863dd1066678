"""Filters as people write them, in query parameters and in the admin, by the name of a filter field.

category=a&category=b   one of the values        price__gte=5&price__lt=9.5   numbers and dates
in_stock=true           true, false, 1, 0        starts=2026-09-01            that day, in UTC
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from llmrec_plugin.analysis.text import shown
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import Filter, FilterKind, Range, Scalar, Terms

RANGES = ("gte", "gt", "lte", "lt")
DAY = timedelta(days=1)


def parse_filters(values: Mapping[str, Sequence[str]], kinds: Mapping[str, FilterKind]) -> tuple[Filter, ...]:
    """Filters of the parameters in `values`, each of which must be a field of `kinds` or a bound of one."""
    filters: list[Filter] = []
    bounds: dict[str, dict[str, Any]] = {}
    for name, texts in values.items():
        field, bound = split(name, kinds)
        if bound:
            bounds.setdefault(field, {})[bound] = _bound(name, texts[-1], kinds[field], bound)
        else:
            filters.append(_equal(name, texts, kinds[field]))
    filters.extend(Range(field=field, **limits) for field, limits in bounds.items())
    return tuple(filters)


def read_filters(values: Mapping[str, Sequence[str]], kinds: Mapping[str, FilterKind]) -> tuple[Filter, ...]:
    """As `parse_filters`; raises InvalidRequest, with the nearest name there is, for an unknown one."""
    names = parameter_names(kinds)
    for name in values:
        if name not in names:
            raise InvalidRequest(
                f'There is no filter "{shown(name)}". {hint(name, names, listed=sorted(kinds))}',
                parameter=name,
            )
    return parse_filters(values, kinds)


def split(name: str, kinds: Mapping[str, FilterKind]) -> tuple[str, str]:
    """(field, bound) of a parameter's name; raises InvalidRequest for a bound that its field has not."""
    if name in kinds:
        return name, ""
    field, _, bound = name.rpartition("__")
    if kinds[field] not in ("number", "date"):
        raise InvalidRequest(
            f'"{field}" is a {kinds[field]} field: only numbers and dates have "__{bound}".', parameter=name
        )
    return field, bound


def parameter_names(kinds: Mapping[str, FilterKind]) -> list[str]:
    """Every name that `parse_filters` takes."""
    return [*kinds, *(f"{field}__{bound}" for field in kinds for bound in RANGES)]


def facet_value(value: Scalar, kind: FilterKind | None) -> Scalar:
    """A facet's value in the form in which a filter takes it: dates in ISO 8601."""
    if kind == "date" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, tz=UTC).isoformat().replace("+00:00", "Z")
    return value


def _equal(name: str, texts: Sequence[str], kind: FilterKind) -> Filter:
    if kind == "date":
        return _moments(name, texts)
    values: list[Scalar] = []
    for text in texts:
        if kind == "number":
            values.append(_number(name, text))
        elif kind == "boolean":
            values.append(_boolean(name, text))
        else:
            values.append(text)
    return Terms(field=name, values=tuple(dict.fromkeys(values)))


def _moments(name: str, texts: Sequence[str]) -> Filter:
    parsed = [_date(name, text) for text in texts]
    if len(parsed) == 1 and not isinstance(parsed[0], datetime):
        return Range(field=name, gte=_epoch(parsed[0]), lt=_epoch(parsed[0]) + DAY.total_seconds())
    if not all(isinstance(value, datetime) for value in parsed):
        raise InvalidRequest(f'Give one day, or "{name}__gte" and "{name}__lte".', parameter=name)
    return Terms(field=name, values=tuple(dict.fromkeys(_epoch(value) for value in parsed)))


def _bound(name: str, text: str, kind: FilterKind, bound: str) -> float:
    if kind == "number":
        return _number(name, text)
    value = _date(name, text)
    seconds = _epoch(value)
    if isinstance(value, datetime) or bound in ("gte", "lt"):
        return seconds
    # "at most" and "above" a day speak of its end; a microsecond is the least step of a time
    return seconds + (DAY - timedelta(microseconds=1)).total_seconds()


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(f'"{shown(text)}" is not a number.', parameter=name)
    return number


def _boolean(name: str, text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.strip().lower() not in known:
        raise InvalidRequest(f'"{shown(text)}" is neither true nor false.', parameter=name)
    return known[text.strip().lower()]


def _date(name: str, text: str) -> date | datetime:
    """An unescaped "+" of a time zone arrives as a space, and is taken as what it was."""
    text = text.strip()
    try:
        value = parse_date(text) or parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
    except ValueError:
        value = None
    if value is None:
        raise InvalidRequest(
            f'"{shown(text)}" is not a date in ISO 8601, such as 2026-09-01 or 2026-09-01T12:00Z.',
            parameter=name,
        )
    return value


def _epoch(value: date | datetime) -> float:
    """Seconds since 1970; a day starts in UTC, a time without a zone is the site's."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif timezone.is_naive(value):
        value = timezone.make_aware(value)
    return value.timestamp()
