"""Answers one query from the site's own index: both legs in one round trip.

Until the vectors are back in an index that the site has made anew, the text leg answers alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from llmrec_plugin.backends.elasticsearch.attached import queries
from llmrec_plugin.backends.elasticsearch.attached.queries import Fields
from llmrec_plugin.backends.elasticsearch.client import failure, translated
from llmrec_plugin.backends.elasticsearch.queries import Body, counts_name
from llmrec_plugin.backends.elasticsearch.search import (
    Found,
    best_first,
    cosine,
    first_k,
    hits_of,
    nearest,
    rows_of,
    time_legs,
    total_of,
    value_of,
)
from llmrec_plugin.types import EngineQuery, EngineResult, FilterKind, Hit, Scalar

_HEADER = {"allow_partial_search_results": False}
_PARTS = (
    "responses.status",
    "responses.error",
    "responses.took",
    "responses.hits.total",
    "responses.hits.hits._id",
    "responses.hits.hits.sort",
    "responses.hits.hits.fields",
    "responses.aggregations",
)
_UNMAPPED = "does not exist in the mapping"


@dataclass(frozen=True)
class Place:
    """The site's index as a search needs it."""

    client: Elasticsearch
    name: str
    """As errors call it."""
    physical: str
    fields: Fields
    rescored: float | None

    def ask(self, *bodies: Body) -> list[Mapping[str, Any]]:
        """The answers to several searches, in one round trip."""
        searches = [part for body in bodies for part in (_HEADER, body)]
        with translated(self.name):
            answer = self.client.msearch(index=self.physical, searches=searches, filter_path=list(_PARTS))
            responses: list[Mapping[str, Any]] = answer.body["responses"]
            for body, response in zip(bodies, responses, strict=True):
                if "error" in response and not ("knn" in body and _UNMAPPED in str(response["error"])):
                    raise failure(int(response["status"]), response, self.name)
        return responses

    def found(self, response: Mapping[str, Any]) -> list[Found]:
        """Hits with their first sort value; documents of the site that are no items are left out."""
        return [
            Found(key, float(row["sort"][0]), row.get("fields", {}))
            for row in rows_of(response)
            if (key := self.fields.key_of(row["_id"])) is not None
        ]


def answer(place: Place, query: EngineQuery) -> EngineResult:
    """`query` has been checked against the schema."""
    if query.text is None and query.vector is None:
        return _listing(place, query)
    bodies: list[Body] = []
    with_text = query.text is not None and bool(query.text.text.strip()) and query.limit > 0
    if with_text and query.text is not None:
        bodies.append(queries.text_body(place.fields, query.text, query))
    with_vector = query.vector is not None and query.limit > 0
    if with_vector:
        bodies.append(_vector_body(place, query, first_k(query)))
    responses = place.ask(*bodies) if bodies else []
    time_legs(responses, text=with_text, vector=with_vector)
    text = place.found(responses[0]) if with_text else []
    vector = _vector_leg(place, query, responses[-1]) if with_vector else []
    candidates = {found.key: found for leg in (vector, text) for found in leg}
    return EngineResult(
        text=hits_of(text),
        vector=hits_of(vector),
        total=len(candidates),
        facets={name: _facet_of(candidates.values(), name, place.fields) for name in query.facets},
        values={name: _values_of(candidates.values(), name, place.fields) for name in query.values},
    )


def suggestions(place: Place, starts: Sequence[str], limit: int, *, fuzzy: bool) -> list[str]:
    """Keys of items of the site's index that go on as it was typed, best match first."""
    if not any(start.strip() for start in starts) or not limit:
        return []
    (response,) = place.ask(queries.suggestions_body(place.fields, starts, limit, fuzzy=fuzzy))
    return [found.key for found in place.found(response)]


def _vector_body(place: Place, query: EngineQuery, k: int) -> Body:
    return queries.vector_body(place.fields, query, k, rescored=place.rescored)


def _vector_leg(place: Place, query: EngineQuery, response: Mapping[str, Any]) -> list[Found]:
    return nearest(
        query,
        _neighbours(place, response),
        lambda k: _neighbours(place, *place.ask(_vector_body(place, query, k))),
    )


def _neighbours(place: Place, response: Mapping[str, Any]) -> list[Found]:
    found = (one._replace(score=cosine(one.score)) for one in place.found(response))
    return sorted(found, key=best_first)


def _listing(place: Place, query: EngineQuery) -> EngineResult:
    (response,) = place.ask(queries.listing_body(place.fields, query))
    keys = [key for row in rows_of(response) if (key := place.fields.key_of(row["_id"])) is not None]
    counted = response.get("aggregations", {})
    return EngineResult(
        listing=tuple(Hit(key, float(-position)) for position, key in enumerate(keys)),
        total=total_of(response),
        facets={
            name: {
                _value(bucket["key"], place.fields.schema.filters[name]): int(bucket["doc_count"])
                for bucket in counted[counts_name(position)]["buckets"]
            }
            for position, name in enumerate(query.facets)
        },
    )


def _facet_of(candidates: Iterable[Found], name: str, fields: Fields) -> dict[Scalar, int]:
    """Most frequent value first."""
    kind, path = fields.schema.filters[name], fields.filter(name)
    counts: Counter[Scalar] = Counter()
    for found in candidates:
        values: Sequence[Any] = found.fields.get(path, ())
        counts.update({_value(value, kind) for value in values})
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _values_of(candidates: Iterable[Found], name: str, fields: Fields) -> dict[str, tuple[Scalar, ...]]:
    kind, path = fields.schema.filters[name], fields.filter(name)
    return {
        found.key: tuple(_value(value, kind) for value in found.fields[path])
        for found in candidates
        if found.fields.get(path)
    }


def _value(value: Any, kind: FilterKind) -> Scalar:
    """Dates come as milliseconds."""
    return float(value) / 1000.0 if kind == "date" else value_of(value, kind)
