"""Filters, facets and sorting as a caller may ask for them: checked against what the live index holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import Filter, FilterKind, FilterValue, Range, Scalar, Terms


def checked(filters: Sequence[Filter], version: IndexVersion) -> tuple[Filter, ...]:
    """The filters with their values in the type of each field; raises InvalidRequest naming the field."""
    kinds = kinds_of(version)
    result: list[Filter] = []
    for wanted in filters:
        kind = kind_of(wanted.field, kinds, version)
        if isinstance(wanted, Terms):
            values = tuple(_scalar(value, kind, wanted.field) for value in wanted.values)
            result.append(replace(wanted, values=values))
        else:
            result.append(_checked_range(wanted, kind))
    return tuple(result)


def check_facets(facets: Sequence[str], version: IndexVersion) -> None:
    """Raises InvalidRequest for a facet that is no filter field of the index."""
    kinds = kinds_of(version)
    for name in facets:
        kind_of(name, kinds, version, parameter="facets")


def check_sort(sort: str, version: IndexVersion) -> None:
    """Raises InvalidRequest unless empty or a number or date field, `-` in front for descending."""
    if not sort:
        return
    name = sort.removeprefix("-")
    if kind_of(name, kinds_of(version), version, parameter="sort") not in ("number", "date"):
        raise InvalidRequest(
            f'Sorting by "{name}" is not possible: it holds no numbers or dates.', parameter="sort"
        )


def matches(filters: Sequence[Filter], values: Mapping[str, FilterValue]) -> bool:
    """Whether an item with these filter values passes all filters, as an engine would say."""
    return all(_matches(wanted, values.get(wanted.field)) for wanted in filters)


def kinds_of(version: IndexVersion) -> Mapping[str, FilterKind]:
    kinds: Mapping[str, FilterKind] = version.schema["filters"]
    return kinds


def kind_of(
    name: str, kinds: Mapping[str, FilterKind], version: IndexVersion, *, parameter: str = ""
) -> FilterKind:
    if name in kinds:
        return kinds[name]
    raise InvalidRequest(
        f'"{version.document}" cannot be filtered by "{name}". {hint(name, sorted(kinds))}',
        parameter=parameter or name,
    )


def _scalar(value: object, kind: FilterKind, field: str) -> Scalar:
    if kind == "keyword" and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind in ("number", "date") and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    raise InvalidRequest(f'The filter "{field}" takes a {kind}, not {value!r}.', parameter=field)


def _checked_range(wanted: Range, kind: FilterKind) -> Range:
    if kind not in ("number", "date"):
        raise InvalidRequest(
            f'The filter "{wanted.field}" takes a {kind}; bounds need a number or a date.',
            parameter=wanted.field,
        )
    bounds = {name: getattr(wanted, name) for name in ("gte", "gt", "lte", "lt")}
    given = {
        name: float(_scalar(value, kind, wanted.field)) for name, value in bounds.items() if value is not None
    }
    if not given:
        raise InvalidRequest(f'The range of "{wanted.field}" has no bound.', parameter=wanted.field)
    return Range(field=wanted.field, **given)


def values_of(value: FilterValue) -> tuple[Scalar, ...]:
    """The single values of one field of an item."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _matches(wanted: Filter, value: FilterValue) -> bool:
    held = values_of(value)
    if isinstance(wanted, Terms):
        return any(item in wanted.values for item in held)
    return any(_within(float(item), wanted) for item in held if isinstance(item, int | float))


def _within(number: float, wanted: Range) -> bool:
    return (
        (wanted.gte is None or number >= wanted.gte)
        and (wanted.gt is None or number > wanted.gt)
        and (wanted.lte is None or number <= wanted.lte)
        and (wanted.lt is None or number < wanted.lt)
    )
