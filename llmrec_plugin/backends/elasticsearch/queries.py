"""The bodies of searches: legs, filters, listings and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from llmrec_plugin.backends.elasticsearch.mapping import (
    BREADTH,
    DIGEST,
    KEY,
    STARTS,
    VECTOR,
    exact_path,
    filter_path,
    text_path,
)
from llmrec_plugin.backends.elasticsearch.terms import Words, encode_term
from llmrec_plugin.backends.spelling import SHORTEST, allowed_edits
from llmrec_plugin.types import EngineQuery, Filter, Phrase, Range, Terms, Vector

Body: TypeAlias = dict[str, Any]

MAX_HITS = 10_000
"""Elasticsearch's own bound on hits and on candidates of the graph search."""
MAX_FACET_VALUES = 10_000
"""Of a listing; further values of a field are left out, the rarest first."""

_MIN_CANDIDATES = 200
_CANDIDATES_PER_HIT = 4
"""Of 20,000 items with hashed vectors, which are hard to tell apart, 1.5 found 0.88 of the true 200 nearest
in 9 ms and 4 found 0.97 in 12 ms."""
_NEAR_PER_FIELD = 20
_VECTOR_DECIMALS = 9
"""About what float32 means for components of unit vectors; half the digits of a float64."""

_LEAN: Mapping[str, Any] = {"_source": False, "stored_fields": "_none_", "track_total_hits": False}
"""Keys come from the values that hits are sorted by: no stored field has to be read and unpacked."""


def text_body(words: Words, weights: Mapping[str, float], query: EngineQuery) -> Body:
    """BM25 over the weighted fields together; ties by key."""
    return {
        **_LEAN,
        "query": {"bool": {"must": _matches(words, weights, query), **_selection(query)}},
        "size": min(query.limit, MAX_HITS),
        "sort": [{"_score": "desc"}, {KEY: "asc"}],
        **_wanted_values(query),
    }


def vector_body(query: EngineQuery, k: int, *, rescored: float | None) -> Body:
    """The k nearest; with `rescored`, that many times as many by their exact cosine."""
    assert query.vector is not None  # noqa: S101  (the caller asks for the leg)
    knn: Body = {
        "field": VECTOR,
        "query_vector": vector_values(query.vector),
        "k": k,
        "num_candidates": candidates(k),
    }
    if rescored is not None:
        knn["rescore_vector"] = {"oversample": rescored}
    selection = _selection(query)
    if selection:
        knn["filter"] = {"bool": selection}
    return {
        **_LEAN,
        "knn": knn,
        "size": k,
        "sort": [{"_score": "desc"}, {KEY: "asc"}],
        **_wanted_values(query),
    }


def listing_body(query: EngineQuery) -> Body:
    """What passes the filters, by key or by a value, with exact total and facets."""
    field = query.sort.removeprefix("-")
    descending = query.sort.startswith("-")
    by_value = {
        filter_path(field): {
            "order": "desc" if descending else "asc",
            "mode": "max" if descending else "min",
            "missing": "_last",
        }
    }
    return {
        **_LEAN,
        "query": {"bool": {"must": [{"exists": {"field": KEY}}], **_selection(query)}},
        "size": min(query.limit, MAX_HITS),
        "sort": [*([by_value] if field else []), {KEY: "asc"}],
        "track_total_hits": True,
        "aggs": {counts_name(place): _counts(name) for place, name in enumerate(query.facets)},
    }


def _matches(words: Words, weights: Mapping[str, float], query: EngineQuery) -> list[Body]:
    """One clause for any of the words, or one for each where all must occur."""
    if query.text is not None and query.text.every:
        return [match([word], weights) for word in words]
    return [match(words, weights)]


def suggestions_body(starts: Sequence[str], limit: int, *, fuzzy: bool) -> Body:
    """Items whose starts go on from all of the given ones, those with the fewest first."""
    return {
        **_LEAN,
        "query": {"bool": {"filter": [_begun(start, fuzzy=fuzzy) for start in starts]}},
        "size": min(limit, MAX_HITS),
        "sort": [{BREADTH: "asc"}, {KEY: "asc"}],
    }


def _begun(start: str, *, fuzzy: bool) -> Body:
    begun: Body = {"prefix": {STARTS: {"value": start}}}
    edits = allowed_edits(start) if fuzzy else 0
    if not edits:
        return begun
    near = {"fuzzy": {STARTS: {"value": start, "fuzziness": edits, "prefix_length": 1}}}
    return {"bool": {"should": [begun, near], "minimum_should_match": 1}}


def spelling_body(word: str, weights: Mapping[str, float]) -> Body:
    """Words of the index that are spelt nearly like this one, by field; no hits."""
    return {
        "size": 0,
        "query": {"match_none": {}},
        "suggest": {
            f"near{place}": {
                "text": word,
                "term": {
                    "field": exact_path(field),
                    "analyzer": "whitespace",
                    "suggest_mode": "always",
                    "max_edits": max(1, allowed_edits(word)),
                    "prefix_length": 1,
                    "min_word_length": SHORTEST - 1,
                    "size": _NEAR_PER_FIELD,
                    "shard_size": _NEAR_PER_FIELD,
                },
            }
            for place, field in enumerate(boosts(weights))
        },
    }


def existence_body(words: Words, weights: Mapping[str, float]) -> Body:
    """Whether any item at all holds one of the words."""
    return {
        "query": {"bool": {"filter": [match(words, weights)]}},
        "size": 0,
        "track_total_hits": 1,
    }


def sample_body(size: int) -> Body:
    """Texts of some items, the same ones as long as the index stays, and how many there are."""
    return {
        "query": {"function_score": {"random_score": {"seed": 1, "field": "_seq_no"}}},
        "size": size,
        "_source": ["text"],
        "track_total_hits": True,
    }


def digest_body() -> Body:
    """For a walk over all items."""
    return {"_source": False, "query": {"match_all": {}}, "docvalue_fields": [KEY, DIGEST]}


def candidates(k: int) -> int:
    """How many of its neighbours the graph search looks at."""
    return min(MAX_HITS, max(_MIN_CANDIDATES, k * _CANDIDATES_PER_HIT))


def vector_values(vector: Vector) -> list[float]:
    values: list[float] = np.round(vector.astype(np.float64), _VECTOR_DECIMALS).tolist()
    return values


def match(words: Words, weights: Mapping[str, float]) -> Body:
    """Any token of any word, in one of the fields; several tokens side by side, as they are written."""
    alternatives = dict.fromkeys(token for word in words for token in word)
    tokens = [token for token in alternatives if " " not in token]
    clauses: list[Body] = []
    if tokens:
        fields = [f"{text_path(field)}^{weight:.6g}" for field, weight in boosts(weights).items()]
        clauses.append({"combined_fields": {"query": " ".join(tokens), "fields": fields, "operator": "or"}})
    exact = [f"{exact_path(field)}^{weight:.6g}" for field, weight in boosts(weights).items()]
    clauses += [
        {"multi_match": {"query": several, "type": "phrase", "fields": exact}}
        for several in alternatives
        if " " in several
    ]
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def boosts(weights: Mapping[str, float]) -> dict[str, float]:
    """Fields without weight are not searched; combined_fields demands weights of 1 at least."""
    positive = {field: float(weight) for field, weight in weights.items() if weight > 0}
    scale = max(1.0, 1.0 / min(positive.values(), default=1.0))
    return {field: max(1.0, weight * scale) for field, weight in positive.items()}


def _selection(query: EngineQuery) -> Body:
    """Clauses of a bool query; the same ones in every leg, so they cannot disagree."""
    wanted = [_filter(item) for item in query.filters]
    wanted += [_phrase(phrase) for phrase in query.phrases]
    if query.only is not None:
        wanted.append({"terms": {KEY: sorted(query.only)}})
    unwanted: list[Body] = [{"bool": {"filter": [_filter(item) for item in group]}} for group in query.unless]
    unwanted += [_phrase(phrase) for phrase in query.without]
    if query.exclude:
        unwanted.append({"terms": {KEY: sorted(query.exclude)}})
    return clauses(wanted, unwanted)


def clauses(wanted: list[Body], unwanted: list[Body]) -> Body:
    """Of a bool query, those that say something."""
    return {name: found for name, found in (("filter", wanted), ("must_not", unwanted)) if found}


def _phrase(phrase: Phrase) -> Body:
    """The terms side by side in one of the fields."""
    tokens = " ".join(map(encode_term, phrase.terms))
    return {"multi_match": {"query": tokens, "type": "phrase", "fields": [f"{exact_path('')}*"]}}


def _filter(item: Filter) -> Body:
    path = filter_path(item.field)
    if isinstance(item, Terms):
        return {"terms": {path: list(item.values)}}
    return {"range": {path: bounds_of(item)}} if bounds_of(item) else {"exists": {"field": path}}


def bounds_of(item: Range) -> Body:
    """One bound a side: of two, Elasticsearch would take the one that is named last."""
    bounds: Body = {}
    if item.gte is not None and (item.gt is None or item.gte > item.gt):
        bounds["gte"] = item.gte
    elif item.gt is not None:
        bounds["gt"] = item.gt
    if item.lte is not None and (item.lt is None or item.lte < item.lt):
        bounds["lte"] = item.lte
    elif item.lt is not None:
        bounds["lt"] = item.lt
    return bounds


def _wanted_values(query: EngineQuery) -> Body:
    wanted = list(dict.fromkeys((*query.facets, *query.values)))
    return {"docvalue_fields": [filter_path(name) for name in wanted]} if wanted else {}


def counts_name(place: int) -> str:
    """Of the counts of the query's facet at that place; a field's own name might mean something there."""
    return f"facet{place}"


def _counts(name: str) -> Body:
    return {"terms": {"field": filter_path(name), "size": MAX_FACET_VALUES}}
