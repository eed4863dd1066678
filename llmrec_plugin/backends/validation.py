"""What every engine checks before it acts: index names, vectors, filter values and queries.

One home, so that all engines, also those of others, accept and refuse the same things with the same words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, InvalidVector
from llmrec_plugin.types import (
    EngineQuery,
    Filter,
    FilterKind,
    FilterValue,
    IndexedItem,
    IndexSchema,
    Matrix,
    Range,
    Scalar,
    Terms,
    Vector,
)

__all__ = ["check_item", "check_name", "check_query", "unit_vectors"]

UNIT_TOLERANCE = 1e-3
MAX_TERMS = 1_000
"""Values of one `Terms` filter."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def check_name(name: str) -> None:
    """Raise ConfigurationError unless the name can be an index's name on every engine and file system.

    It has 1 to 128 lower-case letters, digits, `-`, `_` and `.`, and begins with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name an index: use at most 128 lower-case letters, digits, '-', '_' and '.', "
            'a letter or digit first. It is made of LLMREC["INDEX_PREFIX"] and the label of the document.'
        )


def unit_vectors(puts: Sequence[IndexedItem], dimensions: int) -> Matrix:
    """Return the vectors of the items at exact unit length, one row per item, in float32.

    Raises InvalidVector, which names the key of the first item whose vector has other dimensions, is not
    finite, or has a length that is off from 1 by more than a thousandth.
    """
    for put in puts:
        if np.shape(put.vector) != (dimensions,):
            raise InvalidVector(
                f"The vector of item {put.key!r} has the shape {np.shape(put.vector)}, "
                f"the index holds vectors of {dimensions} dimensions."
            )
    if not puts:
        return np.empty((0, dimensions), np.float32)
    return _normalised(np.stack([put.vector for put in puts]), [f"of item {put.key!r}" for put in puts])


def unit_vector(vector: Vector, dimensions: int) -> Vector:
    """A query's vector at exact unit length; raises InvalidVector."""
    if np.shape(vector) != (dimensions,):
        raise InvalidVector(
            f"The query's vector has the shape {np.shape(vector)}, the index holds vectors of "
            f"{dimensions} dimensions."
        )
    row: Vector = _normalised(vector[np.newaxis], ["of the query"])[0]
    return row


def _normalised(rows: Matrix, names: Sequence[str]) -> Matrix:
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        bad = np.flatnonzero(~(np.abs(lengths - 1.0) <= UNIT_TOLERANCE))
    if len(bad):
        first = int(bad[0])
        what = f"has the length {lengths[first]:g}" if math.isfinite(lengths[first]) else "is not finite"
        raise InvalidVector(f"The vector {names[first]} {what}; encoders must return unit vectors.")
    unit: Matrix = np.divide(rows, lengths[:, np.newaxis].astype(np.float32), dtype=np.float32)
    return unit


def document_filters(
    filters: Mapping[str, FilterValue], schema: IndexSchema
) -> dict[str, tuple[Scalar, ...]]:
    """The distinct values by field, fields without a value left out; ValueError says what does not fit."""
    values: dict[str, tuple[Scalar, ...]] = {}
    for field, value in filters.items():
        if field not in schema.filters:
            raise ValueError(f"filter field {field!r} is not in the index's schema")
        given = value if isinstance(value, tuple) else () if value is None else (value,)
        try:
            converted = _scalars(given, schema.filters[field])
        except ValueError as error:
            raise ValueError(f"filter field {field!r}: {error}") from error
        if converted:
            values[field] = converted
    return values


def check_item(put: IndexedItem, schema: IndexSchema) -> dict[str, tuple[Scalar, ...]]:
    """Return the filter values of an item as an index keeps them: by field a tuple of distinct values.

    Fields without a value are left out.

    Numbers and dates become floats, -0.0 becomes 0.0; a number or boolean of a keyword field becomes its JSON
    (5 is "5", True is "true"). Raises ValueError, whose message is what `write` reports of the item, for a
    field that the schema lacks and a value that is not of the field's kind.
    """
    unknown = (put.terms.keys() | put.exact.keys()) - set(schema.text_fields)
    if unknown:
        raise ValueError(f"text field {min(unknown)!r} is not in the index's schema")
    put.key.encode()  # a lone surrogate is no text that an engine could store
    return document_filters(put.filters, schema)


def check_query(query: EngineQuery, schema: IndexSchema) -> EngineQuery:
    """Return the query with values in the kinds of the schema, its vector at unit length, and without phrases
    and groups of filters that ask for nothing.

    Raises InvalidVector, or InvalidRequest whose `parameter` names what is at fault: "limit" below 0;
    "facets", "values" or "sort" with a field that the schema lacks, "sort" by a field that is no number or
    date; a filter field that the schema lacks, has another kind than the values, more than 1000 values, or a
    range though it is no number or date; a text field that the schema lacks, or a weight below 0.
    """
    if query.limit < 0:
        raise InvalidRequest(f"limit is {query.limit}; it cannot be negative.", parameter="limit")
    for facet in query.facets:
        _kind(facet, schema, "facets")
    for value in query.values:
        _kind(value, schema, "values")
    if query.sort:
        field = query.sort.removeprefix("-")
        if _kind(field, schema, "sort") not in ("number", "date"):
            raise InvalidRequest(f"Cannot sort by {field!r}: it is no number or date.", parameter="sort")
    if query.text is not None:
        _check_weights(query.text.weights, schema)
    vector = None if query.vector is None else unit_vector(query.vector, schema.dimensions)
    return replace(
        query,
        vector=vector,
        filters=_filters(query.filters, schema),
        unless=tuple(_filters(group, schema) for group in query.unless if group),
        phrases=tuple(phrase for phrase in query.phrases if phrase.terms),
        without=tuple(phrase for phrase in query.without if phrase.terms),
    )


def _check_weights(weights: Mapping[str, float], schema: IndexSchema) -> None:
    for field, weight in weights.items():
        if field not in schema.text_fields:
            raise InvalidRequest(
                f"{field!r} is no text field of the index; it has {_listed(schema.text_fields)}.",
                parameter=field,
            )
        if not (math.isfinite(weight) and weight >= 0):
            raise InvalidRequest(
                f"The weight of {field!r} is {weight}; it must be 0 or more.", parameter=field
            )


def _filters(given: Iterable[Filter], schema: IndexSchema) -> tuple[Filter, ...]:
    return tuple(_filter(item, schema) for item in given)


def _filter(item: Filter, schema: IndexSchema) -> Filter:
    kind = _kind(item.field, schema, item.field)
    try:
        if isinstance(item, Terms):
            if len(item.values) > MAX_TERMS:
                raise ValueError(f"at most {MAX_TERMS} values can be given")
            return replace(item, values=_scalars(item.values, kind))
        if kind not in ("number", "date"):
            raise ValueError(f"a {kind} field has no ranges")
        bounds = {name: getattr(item, name) for name in ("gte", "gt", "lte", "lt")}
        return Range(field=item.field, **{k: None if v is None else _number(v) for k, v in bounds.items()})
    except ValueError as error:
        raise InvalidRequest(f"Filter {item.field!r}: {error}.", parameter=item.field) from error


def _kind(field: str, schema: IndexSchema, parameter: str) -> FilterKind:
    if field not in schema.filters:
        raise InvalidRequest(
            f"{field!r} is no filter field of the index; it has {_listed(schema.filters)}.",
            parameter=parameter,
        )
    return schema.filters[field]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _scalars(values: Iterable[Scalar], kind: FilterKind) -> tuple[Scalar, ...]:
    return tuple(dict.fromkeys(_CONVERT[kind](value) for value in values))


def _keyword(value: object) -> str:
    """Text as it is, numbers and booleans as JSON writes them, which is how Elasticsearch keeps them."""
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise ValueError(f"{value!r} is no keyword")


def _boolean(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ValueError(f"{value!r} is neither True nor False")


def _number(value: object) -> float:
    """Dates are numbers too: seconds since the epoch."""
    if isinstance(value, (str, bytes, bool, np.bool_)) or not hasattr(value, "__float__"):
        raise ValueError(f"{value!r} is no number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number + 0.0  # -0.0 is 0.0


_CONVERT: Mapping[FilterKind, Callable[[object], Scalar]] = {
    "keyword": _keyword,
    "boolean": _boolean,
    "number": _number,
    "date": _number,
}
