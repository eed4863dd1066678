"""The bodies of searches in the site's own index: its fields, its analysers, its types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmrec_plugin.backends.elasticsearch.queries import (
    MAX_FACET_VALUES,
    MAX_HITS,
    Body,
    bounds_of,
    candidates,
    clauses,
    counts_name,
    vector_values,
)
from llmrec_plugin.backends.spelling import LONG, SHORTEST
from llmrec_plugin.types import EngineQuery, Filter, IndexSchema, Phrase, Range, Terms, TextQuery

_LEAN: Mapping[str, Any] = {"_source": False, "track_total_hits": False}
_MILLIS = "epoch_millis"


@dataclass(frozen=True)
class Fields:
    """Where things are in the site's documents."""

    own: str
    """The object that holds what we add."""
    schema: IndexSchema

    @property
    def vector(self) -> str:
        return f"{self.own}.vector"

    @property
    def key(self) -> str:
        return f"{self.own}.key"

    @property
    def digest(self) -> str:
        return f"{self.own}.digest"

    def filter(self, name: str) -> str:
        return self.schema.attached.field_of(name) if self.schema.attached else name

    def text(self, weights: Mapping[str, float]) -> list[str]:
        declared = self.schema.attached.text_fields if self.schema.attached else ()
        return list(declared) or [f"{name}^{weight:g}" for name, weight in weights.items() if weight > 0]

    def id(self, key: str) -> str:
        return self.schema.attached.id(key) if self.schema.attached else key

    def key_of(self, identifier: str) -> str | None:
        return self.schema.attached.key(identifier) if self.schema.attached else identifier


def text_body(fields: Fields, text: TextQuery, query: EngineQuery) -> Body:
    """The sum of BM25 over the weighted fields, each by its own analyser; ties by key."""
    where: Body = {"query": text.text, "fields": fields.text(text.weights)}
    every = {"multi_match": {**where, "type": "cross_fields", "operator": "and"}}
    words = every if text.every else {"multi_match": {**where, "type": "most_fields"}}
    return {
        **_LEAN,
        "query": {"bool": {"must": [words], **_selection(fields, query)}},
        "size": min(query.limit, MAX_HITS),
        "sort": [{"_score": "desc"}, _by_key(fields)],
        **_wanted_values(fields, query),
    }


def vector_body(fields: Fields, query: EngineQuery, k: int, *, rescored: float | None) -> Body:
    """The k nearest; with `rescored`, that many times as many by their exact cosine."""
    assert query.vector is not None  # noqa: S101  (the caller asks for the leg)
    knn: Body = {
        "field": fields.vector,
        "query_vector": vector_values(query.vector),
        "k": k,
        "num_candidates": candidates(k),
    }
    if rescored is not None:
        knn["rescore_vector"] = {"oversample": rescored}
    selection = _selection(fields, query)
    if selection:
        knn["filter"] = {"bool": selection}
    return {
        **_LEAN,
        "knn": knn,
        "size": k,
        "sort": [{"_score": "desc"}, _by_key(fields)],
        **_wanted_values(fields, query),
    }


def listing_body(fields: Fields, query: EngineQuery) -> Body:
    """What passes the filters, by key or by a value, with exact total and facets."""
    name = query.sort.removeprefix("-")
    order, mode = ("desc", "max") if query.sort.startswith("-") else ("asc", "min")
    by_value = {fields.filter(name): {"order": order, "mode": mode, "missing": "_last"}}
    return {
        **_LEAN,
        "query": {"bool": {"must": [{"match_all": {}}], **_selection(fields, query)}},
        "size": min(query.limit, MAX_HITS),
        "sort": [*([by_value] if name else []), _by_key(fields)],
        "track_total_hits": True,
        "aggs": {
            counts_name(place): {"terms": {"field": fields.filter(facet), "size": MAX_FACET_VALUES}}
            for place, facet in enumerate(query.facets)
        },
    }


def suggestions_body(fields: Fields, starts: Sequence[str], limit: int, *, fuzzy: bool) -> Body:
    """Documents of which one text field holds the words, the last of them as far as it is typed."""
    begun: Body = {
        "query": " ".join(starts),
        "fields": fields.text(dict.fromkeys(fields.schema.text_fields[:1], 1.0)),
        "type": "bool_prefix",
        "operator": "and",
        **({"fuzziness": f"AUTO:{SHORTEST},{LONG}", "prefix_length": 1} if fuzzy else {}),
    }
    return {
        **_LEAN,
        "query": {"bool": {"must": [{"multi_match": begun}]}},
        "size": min(limit, MAX_HITS),
        "sort": [{"_score": "desc"}, _by_key(fields)],
    }


def filled_body(fields: Fields) -> Body:
    """Documents that hold something of ours, for a walk."""
    return {"_source": False, "query": {"exists": {"field": fields.key}}}


def unfilled_body(fields: Fields) -> Body:
    return {"_source": False, "query": {"bool": {"must_not": [{"exists": {"field": fields.key}}]}}}


def _by_key(fields: Fields) -> Body:
    """An index that the site has just made anew has no such field yet."""
    return {fields.key: {"order": "asc", "missing": "_last", "unmapped_type": "keyword"}}


def _selection(fields: Fields, query: EngineQuery) -> Body:
    """Clauses of a bool query; the same ones in every leg, so they cannot disagree."""
    wanted = [_filter(fields, item) for item in query.filters]
    wanted += [_phrase(fields, phrase) for phrase in query.phrases]
    if query.only is not None:
        wanted.append(_ids(fields, query.only))
    unwanted: list[Body] = [
        {"bool": {"filter": [_filter(fields, item) for item in group]}} for group in query.unless
    ]
    unwanted += [_phrase(fields, phrase) for phrase in query.without]
    if query.exclude:
        unwanted.append(_ids(fields, query.exclude))
    return clauses(wanted, unwanted)


def _ids(fields: Fields, keys: Iterable[str]) -> Body:
    return {"ids": {"values": [fields.id(key) for key in sorted(keys)]}}


def _phrase(fields: Fields, phrase: Phrase) -> Body:
    """As the analysers of the site's fields read it; a field that is no text holds no phrase."""
    weights = dict.fromkeys(fields.schema.text_fields, 1.0)
    return {
        "multi_match": {
            "query": phrase.text,
            "fields": fields.text(weights),
            "type": "phrase",
            "lenient": True,
        }
    }


def _filter(fields: Fields, item: Filter) -> Body:
    path = fields.filter(item.field)
    is_date = fields.schema.filters[item.field] == "date"
    if isinstance(item, Terms):
        if not is_date:
            return {"terms": {path: list(item.values)}}
        moments = [_within(path, {"gte": value, "lte": value}) for value in item.values]
        return {"bool": {"should": moments, "minimum_should_match": 1}} if moments else {"match_none": {}}
    return _bounded(path, item, is_date=is_date)


def _bounded(path: str, item: Range, *, is_date: bool) -> Body:
    bounds = bounds_of(item)
    if not bounds:
        return {"exists": {"field": path}}
    return _within(path, bounds) if is_date else {"range": {path: bounds}}


def _within(path: str, bounds: Mapping[str, Any]) -> Body:
    """Our dates are seconds; the site's field may read another format."""
    millis = {name: round(float(value) * 1000) for name, value in bounds.items()}
    return {"range": {path: {**millis, "format": _MILLIS}}}


def _wanted_values(fields: Fields, query: EngineQuery) -> Body:
    names = list(dict.fromkeys((*query.facets, *query.values)))
    if not names:
        return {}
    wanted: list[str | Body] = [
        {"field": fields.filter(name), "format": _MILLIS}
        if fields.schema.filters[name] == "date"
        else fields.filter(name)
        for name in names
    ]
    return {"docvalue_fields": wanted}
