"""Documents and queries at random, and what an engine owes them, by plain Python over all documents."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from llmrec_plugin.backends.base import SearchBackend
from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    Filter,
    FilterValue,
    Hit,
    IndexedItem,
    IndexSchema,
    Phrase,
    Range,
    Removal,
    Scalar,
    Terms,
    TextQuery,
    Vector,
    WriteReport,
)

DIMENSIONS = 8
SCHEMA = IndexSchema(
    text_fields=("title", "body"),
    filters={"brand": "keyword", "price": "number", "in_stock": "boolean", "released": "date"},
    dimensions=DIMENSIONS,
    encoder_id="encoder",
    analysis_id="analysis",
)
WEIGHTS = {"title": 3.0, "body": 1.0}
_RUN = uuid.uuid4().hex[:8]
"""An engine that keeps its indexes may hold some of a run that broke off."""
_numbers = itertools.count()
examples = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example makes an index of its own
        HealthCheck.differing_executors,  # each engine inherits the test
    ],
)
WORDS = ("red", "blue", "hat", "c++", "机器", "学习", "don't", 'a"b', "and", "x*", "title:red", "^4", "é")


def unit(*components: float) -> Vector:
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[: len(components)] = components
    return vector / np.float32(np.linalg.norm(vector))


def document(key: str, title: str = "", *, body: str = "", revision: int = 1, **given: Any) -> IndexedItem:
    """`vector`, `digest` and `starts` are fields; all else that is given are filter values."""
    return IndexedItem(
        key=key,
        terms={"title": title, "body": body},
        exact={"title": title, "body": body},
        starts=given.pop("starts", title),
        vector=given.pop("vector", unit(1)),
        digest=given.pop("digest", f"{key} {revision}"),
        filters=given,
        revision=revision,
    )


def words(
    *alternatives: str | tuple[str, ...], weights: Mapping[str, float] = WEIGHTS, every: bool = False
) -> TextQuery:
    return TextQuery(
        words=tuple((word,) if isinstance(word, str) else word for word in alternatives),
        weights=weights,
        every=every,
    )


def keys(hits: Sequence[Hit]) -> list[str]:
    return [hit.key for hit in hits]


class Index:
    """One index of the engine under test; a write is followed by a refresh."""

    def __init__(self, backend: SearchBackend) -> None:
        self.backend = backend
        self.name = f"llmrec-contract-{_RUN}-{next(_numbers)}"
        backend.create_index(self.name, SCHEMA)

    def write(self, *puts: IndexedItem, deletes: Sequence[Removal] = ()) -> WriteReport:
        report = self.backend.write(self.name, puts, deletes)
        self.backend.refresh(self.name)
        return report

    def search(self, **query: Any) -> EngineResult:
        return self.backend.search(self.name, EngineQuery(**query))

    def found(self, *terms_: str) -> list[str]:
        return sorted(keys(self.search(text=words(*terms_)).text))

    def near(self, vector: Any, **query: Any) -> list[str]:
        return keys(self.search(vector=vector, **query).vector)

    def listed(self, **query: Any) -> list[str]:
        return keys(self.search(**query).listing)


terms = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda term: term.split() == [term]
)
"""Whatever an analysis could make of a text."""
directions = st.integers(0, 10_000).map(
    lambda seed: unit(*np.random.default_rng(seed).standard_normal(DIMENSIONS))
)
numbers = st.sampled_from([-3.0, 0.0, 0.1, 1.5, 2.0, 1e9])
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
_filter_values: st.SearchStrategy[dict[str, FilterValue]] = st.fixed_dictionaries(
    {},
    optional={
        "brand": st.lists(st.sampled_from(["a", "b", "A", ""]), max_size=3).map(tuple),
        "price": st.one_of(st.none(), numbers, st.lists(numbers, max_size=3).map(tuple)),
        "in_stock": st.booleans(),
        "released": numbers,
    },
)


@st.composite
def catalogues(draw: st.DrawFn) -> list[IndexedItem]:
    names = draw(st.lists(st.sampled_from([str(n) for n in range(40)]), unique=True, max_size=20))
    return [
        replace(
            document(name, draw(texts), body=draw(texts), vector=draw(directions)),
            filters=draw(_filter_values),
        )
        for name in names
    ]


gone = st.frozensets(st.sampled_from([str(n) for n in range(40)]), max_size=8)
"""Keys to delete."""
_filters = st.one_of(
    st.builds(
        Terms,
        field=st.just("brand"),
        values=st.lists(st.sampled_from(["a", "b", "z"]), max_size=2).map(tuple),
    ),
    st.builds(Terms, field=st.just("in_stock"), values=st.booleans().map(lambda value: (value,))),
    st.builds(Terms, field=st.sampled_from(["price", "released"]), values=st.tuples(numbers)),
    st.builds(
        Range,
        field=st.sampled_from(["price", "released"]),
        **{name: st.one_of(st.none(), numbers) for name in ("gte", "gt", "lte", "lt")},
    ),
)
_phrases = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(
        lambda terms: Phrase(terms=tuple(terms), text=" ".join(terms))
    ),
    max_size=1,
).map(tuple)
queries = st.builds(
    EngineQuery,
    text=st.one_of(
        st.none(),
        st.builds(
            TextQuery,
            words=st.lists(st.lists(st.sampled_from(WORDS), max_size=2).map(tuple), max_size=3).map(tuple),
            weights=st.fixed_dictionaries({"title": st.sampled_from([1.0, 3.0]), "body": st.just(1.0)}),
            every=st.booleans(),
        ),
    ),
    vector=st.one_of(st.none(), directions),
    filters=st.lists(_filters, max_size=2).map(tuple),
    phrases=_phrases,
    without=_phrases,
    limit=st.sampled_from([0, 1, 3, 50]),
    exclude=st.frozensets(st.sampled_from(["1", "2", "3", "99"]), max_size=3),
    unless=st.lists(st.lists(_filters, max_size=2).map(tuple), max_size=2).map(tuple),
    only=st.one_of(st.none(), st.frozensets(st.sampled_from([str(n) for n in range(50)]), max_size=30)),
    floor=st.sampled_from([None, None, 0.0, 0.3]),
    facets=st.sampled_from([(), ("brand",), ("brand", "price", "in_stock")]),
    values=st.sampled_from([(), ("price",), ("brand", "released")]),
    sort=st.sampled_from(["", "price", "-price", "released"]),
)


def assert_answers(
    result: EngineResult, query: EngineQuery, documents: Sequence[IndexedItem], *, tolerance: float
) -> None:
    """The result is what a look at every document gives; cosines may be off by `tolerance`."""
    passing = {
        one.key: one
        for one in documents
        if one.key not in query.exclude
        and (query.only is None or one.key in query.only)
        and all(_passes(one, item) for item in query.filters)
        and not any(group and all(_passes(one, item) for item in group) for group in query.unless)
        and all(holds(one, phrase) for phrase in query.phrases)
        and not any(holds(one, phrase) for phrase in query.without)
    }
    if query.text is None and query.vector is None:
        assert keys(result.listing) == _listed(passing, query)
        candidates = set(passing)
    else:
        _assert_text_leg(result.text, query, passing)
        _assert_vector_leg(result.vector, query, passing, tolerance)
        assert set(result.cosines) <= set(keys(result.text))
        if query.vector is not None:
            exact = {key: float(passing[key].vector @ query.vector) for key in result.cosines}
            assert all(abs(result.cosines[key] - exact[key]) <= tolerance for key in exact)
        candidates = {*keys(result.text), *keys(result.vector)}
        _assert_values(result.values, query, {key: passing[key] for key in candidates})
    for leg in (result.text, result.vector, result.listing):
        assert list(leg) == sorted(leg, key=lambda hit: (-hit.score, hit.key))
        assert all(np.isfinite(hit.score) for hit in leg)
    assert result.total == len(candidates)
    assert {name: dict(counts) for name, counts in result.facets.items()} == {
        name: dict(Counter(value for key in candidates for value in set(_values(passing[key], name))))
        for name in query.facets
    }


def holds(one: IndexedItem, phrase: Phrase) -> bool:
    """The terms stand side by side in one of its fields."""
    size = len(phrase.terms)
    fields = [tuple(text.split()) for text in one.exact.values()]
    return any(
        terms[place : place + size] == phrase.terms
        for terms in fields
        for place in range(len(terms) - size + 1)
    )


def _assert_values(
    found: Mapping[str, Mapping[str, tuple[Scalar, ...]]],
    query: EngineQuery,
    candidates: Mapping[str, IndexedItem],
) -> None:
    given = {name: {key: set(values) for key, values in held.items()} for name, held in found.items()}
    assert given == {
        name: {key: set(values) for key, one in candidates.items() if (values := _values(one, name))}
        for name in query.values
    }


def _values(one: IndexedItem, field: str) -> tuple[Scalar, ...]:
    value: FilterValue = one.filters.get(field)
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _passes(one: IndexedItem, item: Filter) -> bool:
    values = _values(one, item.field)
    if isinstance(item, Terms):
        return any(value in item.values for value in values)
    return any(
        (item.gte is None or value >= item.gte)
        and (item.gt is None or value > item.gt)
        and (item.lte is None or value <= item.lte)
        and (item.lt is None or value < item.lt)
        for value in map(float, values)
    )


def _listed(passing: Mapping[str, IndexedItem], query: EngineQuery) -> list[str]:
    field, sign = query.sort.removeprefix("-"), -1 if query.sort.startswith("-") else 1
    valued, rest = [], []
    for key, one in passing.items():
        values = [sign * float(value) for value in _values(one, field)]
        if values:
            valued.append((min(values), key))
        else:
            rest.append(key)
    return [*(key for _, key in sorted(valued)), *sorted(rest)][: query.limit]


def _assert_text_leg(hits: Sequence[Hit], query: EngineQuery, passing: Mapping[str, IndexedItem]) -> None:
    asked = query.text.words if query.text else ()
    test = all if query.text and query.text.every else any
    matching = {
        key
        for key, one in passing.items()
        if asked and test(_terms(one).intersection(word) for word in asked)
    }
    assert len(set(keys(hits))) == len(hits) == min(query.limit, len(matching))
    assert set(keys(hits)) <= matching
    assert all(hit.score > 0 for hit in hits)


def _terms(one: IndexedItem) -> set[str]:
    return {term for text in one.terms.values() for term in text.split()}


def _assert_vector_leg(
    hits: Sequence[Hit], query: EngineQuery, passing: Mapping[str, IndexedItem], tolerance: float
) -> None:
    if query.vector is None:
        assert list(hits) == []
        return
    cosines = {key: float(one.vector @ query.vector) for key, one in passing.items()}
    floor = -1.0 if query.floor is None else query.floor
    assert len(set(keys(hits))) == len(hits) <= query.limit
    for hit in hits:
        assert abs(hit.score - cosines[hit.key]) <= tolerance
        assert hit.score >= floor
    least = hits[-1].score if len(hits) == query.limit and hits else floor
    if query.limit:
        assert all(cosines[key] <= least + tolerance for key in set(passing) - set(keys(hits)))
