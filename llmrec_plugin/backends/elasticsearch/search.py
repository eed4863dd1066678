"""Answers one query: both legs or a listing in one round trip, total and facets from what comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from elasticsearch import Elasticsearch

from llmrec_plugin import monitoring
from llmrec_plugin.backends.elasticsearch import queries
from llmrec_plugin.backends.elasticsearch.client import failure, translated
from llmrec_plugin.backends.elasticsearch.mapping import filter_path, text_path
from llmrec_plugin.backends.elasticsearch.queries import MAX_HITS, Body
from llmrec_plugin.backends.elasticsearch.terms import (
    SAMPLED,
    Sample,
    Samples,
    Wanted,
    encode_term,
    encode_words,
    rarest,
    sample_of,
    worthwhile,
)
from llmrec_plugin.backends.embedded.terms import MAX_WORDS
from llmrec_plugin.backends.spelling import SHORTEST, allowed_edits, near_words
from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    FilterKind,
    Hit,
    IndexSchema,
    Scalar,
    Spelled,
    TextQuery,
)

_DECIMALS = 6
"""Cosines are rounded to what float32 means, so that equal vectors tie whichever segment holds them."""
_SPARE = 16
"""Neighbours beyond the limit: they tell whether the limit cuts through a tie, and settle most of those."""
_HEADER = {"allow_partial_search_results": False}
_PARTS = tuple(
    f"responses.{part}"
    for part in ("status", "error", "took", "hits.total", "hits.hits.sort", "hits.hits.fields")
)
_LISTED_PARTS = (*_PARTS, "responses.aggregations")


@dataclass(frozen=True)
class Index:
    """An index as a search needs it."""

    client: Elasticsearch
    name: str
    schema: IndexSchema
    rescored: float | None
    samples: Samples

    def ask(self, *bodies: Body, parts: Sequence[str] = _PARTS) -> list[Mapping[str, Any]]:
        """The answers to several searches, in one round trip."""
        searches = [part for body in bodies for part in (_HEADER, body)]
        with translated(self.name):
            answer = self.client.msearch(index=self.name, searches=searches, filter_path=list(parts))
            responses: list[Mapping[str, Any]] = answer.body["responses"]
            for _body, response in zip(bodies, responses, strict=True):
                if "error" in response:
                    raise failure(int(response["status"]), response, self.name)
        return responses


class Found(NamedTuple):
    key: str
    score: float
    fields: Mapping[str, Sequence[Any]]


def answer(index: Index, query: EngineQuery) -> EngineResult:
    """`query` has been checked against the schema."""
    if query.text is None and query.vector is None:
        return _listing(index, query)
    wanted = _wanted(index, query.text) if query.text is not None and query.limit else None
    with_vector = query.vector is not None and query.limit > 0
    bodies = []
    if wanted is not None and query.text is not None:
        bodies.append(queries.text_body(wanted.words, query.text.weights, query))
    if with_vector:
        bodies.append(_vector_body(index, query, first_k(query)))
    checks = [_existence(word, query) for word in query.spelling] if wanted is not None else []
    responses = index.ask(*bodies, *checks) if bodies or checks else []
    time_legs(responses, text=wanted is not None, vector=with_vector)
    text = _text_leg(index, query, wanted, responses[0]) if wanted is not None else []
    vector = _vector_leg(index, query, responses[len(bodies) - 1]) if with_vector else []
    candidates = {found.key: found for leg in (vector, text) for found in leg}
    return EngineResult(
        text=hits_of(text),
        vector=hits_of(vector),
        total=len(candidates),
        facets={name: _facet_of(candidates.values(), name, index.schema) for name in query.facets},
        values={name: _values_of(candidates.values(), name, index.schema) for name in query.values},
        spelling=_spelling(index, query, responses[len(bodies) :]) if checks else {},
    )


def time_legs(responses: Iterable[Mapping[str, Any]], **asked: bool) -> None:
    """Tell how long each leg took; `asked` are all legs, in the order of their responses."""
    for leg, response in zip((leg for leg in asked if asked[leg]), responses, strict=False):
        if "took" in response:
            monitoring.leg_seconds.observe(response["took"] / 1000, leg=leg)


def suggestions(index: Index, starts: Sequence[str], limit: int, *, fuzzy: bool) -> list[str]:
    """Keys of items whose starts go on from all of the given ones."""
    tokens = [encode_term(start) for start in starts if start.split() == [start]]
    if not tokens or not limit:
        return []
    (response,) = index.ask(queries.suggestions_body(tokens, limit, fuzzy=fuzzy))
    return [values[-1] for values, _ in _sorted_rows(response)]


def _existence(word: Spelled, query: EngineQuery) -> Body:
    assert query.text is not None  # noqa: S101  (the caller has looked)
    tokens = tuple(map(encode_term, word.terms))
    return {**queries.existence_body([tokens], query.text.weights), "terminate_after": 1}


def _spelling(
    index: Index, query: EngineQuery, checks: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """One more round trip, where the index does not hold a word."""
    pairs = zip(query.spelling, checks, strict=True)
    unknown = [word for word, response in pairs if not total_of(response)]
    near: dict[str, tuple[str, ...]] = {word.exact: () for word in unknown}
    asked = [word.exact for word in unknown if allowed_edits(word.exact)]
    if asked and query.text is not None:
        weights = query.text.weights
        bodies = [queries.spelling_body(word, weights) for word in asked]
        responses = index.ask(*bodies, parts=(*_PARTS, "responses.suggest"))
        near |= {
            word: near_words(word, _suggested(response))
            for word, response in zip(asked, responses, strict=True)
        }
    return near


def _suggested(response: Mapping[str, Any]) -> dict[str, int]:
    """Word -> items that hold it in the field where it is most frequent."""
    found: dict[str, int] = {}
    for entries in response.get("suggest", {}).values():
        for option in (option for entry in entries for option in entry["options"]):
            if len(option["text"]) >= SHORTEST - 1:
                found[option["text"]] = max(found.get(option["text"], 0), int(option["freq"]))
    return found


def _wanted(index: Index, text: TextQuery) -> Wanted | None:
    """None: there is nothing that an item could match."""
    words = encode_words(text.words)
    if not words or not queries.boosts(text.weights):
        return None
    if text.every:  # unless there is a word that no item can hold
        return Wanted(words) if len(words) == len(text.words) else None
    if len(words) > MAX_WORDS:
        tokens = {token for word in words for token in word}
        words = list(rarest(words, _frequencies(index, tokens, text)))
    return worthwhile(words, index.samples.of(index.name, lambda: _sample(index)))


def _frequencies(index: Index, tokens: Iterable[str], text: TextQuery) -> dict[str, int]:
    """In how many items of one shard each token is; one more round trip, for texts pasted as queries."""
    paths = [text_path(field) for field in queries.boosts(text.weights)]
    joined = " ".join(tokens)
    document = {"text": {path.removeprefix("text."): joined for path in paths}}
    with translated(index.name):
        found = index.client.termvectors(
            index=index.name,
            doc=document,
            fields=paths,
            term_statistics=True,
            field_statistics=False,
            positions=False,
            offsets=False,
            payloads=False,
        )
    counts: dict[str, int] = {}
    for vector in found.body.get("term_vectors", {}).values():
        for token, statistics in vector["terms"].items():
            counts[token] = max(counts.get(token, 0), statistics.get("doc_freq", 0))
    return counts


def _sample(index: Index) -> Sample:
    (response,) = index.ask(queries.sample_body(SAMPLED), parts=(*_PARTS, "responses.hits.hits._source"))
    documents = [
        [token for text in hit["_source"].get("text", {}).values() for token in text.split()]
        for hit in rows_of(response)
    ]
    return sample_of(total_of(response), documents)


def _text_leg(index: Index, query: EngineQuery, wanted: Wanted, response: Mapping[str, Any]) -> list[Found]:
    found = [Found(key, float(score), fields) for (score, key), fields in _sorted_rows(response)]
    if found or not wanted.otherwise or query.text is None:
        return found
    weights = query.text.weights
    existing, response = index.ask(
        queries.existence_body(wanted.words, weights),
        queries.text_body(wanted.otherwise, weights, query),
    )
    if total_of(existing):
        return []
    return [Found(key, float(score), fields) for (score, key), fields in _sorted_rows(response)]


def first_k(query: EngineQuery) -> int:
    return min(query.limit + _SPARE, MAX_HITS)


def _vector_body(index: Index, query: EngineQuery, k: int) -> Body:
    return queries.vector_body(query, k, rescored=index.rescored)


def _vector_leg(index: Index, query: EngineQuery, response: Mapping[str, Any]) -> list[Found]:
    return nearest(
        query, _neighbours(response), lambda k: _neighbours(*index.ask(_vector_body(index, query, k)))
    )


def nearest(query: EngineQuery, found: list[Found], ask: Callable[[int], list[Found]]) -> list[Found]:
    """The nearest by exact cosine, ties by key; asks again where a tie goes on beyond what was fetched."""
    k = first_k(query)
    while len(found) == k < MAX_HITS and found[query.limit - 1].score <= found[-1].score:
        k = min(4 * k, MAX_HITS)
        found = ask(k)
    if query.floor is not None:
        found = [one for one in found if one.score >= query.floor]
    return found[: query.limit]


def _neighbours(response: Mapping[str, Any]) -> list[Found]:
    """Elasticsearch's score of a dot product is (1 + cosine) / 2."""
    found = [Found(key, cosine(float(score)), fields) for (score, key), fields in _sorted_rows(response)]
    return sorted(found, key=best_first)


def cosine(score: float) -> float:
    return min(1.0, max(-1.0, round(2.0 * score - 1.0, _DECIMALS)))


def best_first(found: Found) -> tuple[float, str]:
    return -found.score, found.key


def hits_of(found: Iterable[Found]) -> tuple[Hit, ...]:
    return tuple(Hit(one.key, one.score) for one in sorted(found, key=best_first))


def _listing(index: Index, query: EngineQuery) -> EngineResult:
    (response,) = index.ask(queries.listing_body(query), parts=_LISTED_PARTS)
    keys = [values[-1] for values, _ in _sorted_rows(response)]
    counted = response.get("aggregations", {})
    return EngineResult(
        listing=tuple(Hit(key, float(-place)) for place, key in enumerate(keys)),
        total=total_of(response),
        facets={
            name: {
                value_of(bucket["key"], index.schema.filters[name]): int(bucket["doc_count"])
                for bucket in counted[queries.counts_name(place)]["buckets"]
            }
            for place, name in enumerate(query.facets)
        },
    )


def _facet_of(candidates: Iterable[Found], name: str, schema: IndexSchema) -> dict[Scalar, int]:
    """Most frequent value first."""
    kind, path = schema.filters[name], filter_path(name)
    counts: Counter[Scalar] = Counter()
    for found in candidates:
        counts.update({value_of(value, kind) for value in found.fields.get(path, ())})
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _values_of(candidates: Iterable[Found], name: str, schema: IndexSchema) -> dict[str, tuple[Scalar, ...]]:
    kind, path = schema.filters[name], filter_path(name)
    return {
        found.key: tuple(value_of(value, kind) for value in found.fields[path])
        for found in candidates
        if found.fields.get(path)
    }


def value_of(value: Any, kind: FilterKind) -> Scalar:
    if kind == "boolean":
        return bool(value)
    return str(value) if kind == "keyword" else float(value)


def rows_of(response: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = response.get("hits", {}).get("hits", ())
    return rows


def _sorted_rows(
    response: Mapping[str, Any],
) -> Iterable[tuple[Sequence[Any], Mapping[str, Sequence[Any]]]]:
    """(values it was sorted by, values of the facets' fields) of each hit that is an item: the last value is
    its key, which a document that somebody else put into the index has not."""
    return ((row["sort"], row.get("fields", {})) for row in rows_of(response) if row["sort"][-1] is not None)


def total_of(response: Mapping[str, Any]) -> int:
    return int(response["hits"]["total"]["value"])
