"""An engine in the memory of one process, for a host site's own tests: nothing is kept, nothing is shared.

It passes the same suite as the others, with plain loops over all items: fit for some thousands.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmrec_plugin.backends import base
from llmrec_plugin.backends.spelling import SHORTEST, near_words
from llmrec_plugin.backends.validation import check_item, check_name, check_query, unit_vectors
from llmrec_plugin.exceptions import IndexConflict, NotFound
from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    Filter,
    Hit,
    IndexedItem,
    IndexSchema,
    Phrase,
    Removal,
    Scalar,
    Spelled,
    Terms,
    TextQuery,
    Vector,
    WriteReport,
)

__all__ = ["SearchBackend"]

_K1 = 1.2
_B = 0.75
_DECIMALS = 6


@dataclass(frozen=True)
class _Item:
    digest: str
    counts: Mapping[str, Counter[str]]
    """How often each term occurs, by text field."""
    terms: Mapping[str, str]
    """By text field, a blank on both sides of each."""
    filters: Mapping[str, tuple[Scalar, ...]]
    vector: Vector
    exact: Mapping[str, tuple[str, ...]]
    starts: tuple[str, ...]

    def occurrences(self, term: str, name: str) -> int:
        """Of a term, or of several side by side, in one field."""
        if " " not in term:
            return self.counts[name][term]
        if " ".join(term.split()) != term:
            return 0
        fields = (self.terms[name], f" {' '.join(self.exact.get(name, ()))} ")
        return max(field.count(f" {term} ") for field in fields)

    def holds(self, phrase: Phrase) -> bool:
        size = len(phrase.terms)
        return any(
            terms[place : place + size] == phrase.terms
            for terms in self.exact.values()
            for place in range(len(terms) - size + 1)
        )

    @property
    def length(self) -> int:
        return sum(counts.total() for counts in self.counts.values())


@dataclass
class _Index:
    schema: IndexSchema
    revisions: dict[str, int] = field(default_factory=dict)
    """Of deleted items too."""
    items: dict[str, _Item] = field(default_factory=dict)

    def change(self, key: str, revision: int, item: _Item | None) -> bool:
        """Whether the change was newer than what is known of the key; None removes the item."""
        if key in self.revisions and revision <= self.revisions[key]:
            return False
        self.revisions[key] = revision
        self.items.pop(key, None)
        if item is not None:
            self.items[key] = item
        return True


@dataclass(frozen=True)
class Options:
    """There are none."""


class SearchBackend(base.SearchBackend):
    """Takes no options."""

    supports_vector_reads = True
    options_kind = Options

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.read(Options)
        self._indexes: dict[str, _Index] = {}
        self._lock = threading.RLock()

    def create_index(self, name: str, schema: IndexSchema) -> None:
        check_name(name)
        with self._lock:
            index = self._indexes.setdefault(name, _Index(schema))
        if index.schema != schema:
            raise IndexConflict(f"An index {name!r} exists with another schema: {index.schema}.")

    def drop_index(self, name: str) -> None:
        check_name(name)
        with self._lock:
            self._indexes.pop(name, None)

    def index_names(self) -> list[str]:
        with self._lock:
            return sorted(self._indexes)

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        index = self._index(name)
        vectors = unit_vectors(puts, index.schema.dimensions)
        failed: dict[str, str] = {}
        changes: list[tuple[str, int, _Item | None]] = []
        for put, vector in zip(puts, vectors, strict=True):
            try:
                changes.append((put.key, put.revision, _item(put, index.schema, vector)))
            except ValueError as error:
                failed[put.key] = str(error)
        changes += [(removal.key, removal.revision, None) for removal in deletes]
        with self._lock:
            written = sum(index.change(*change) for change in changes)
        return WriteReport(written=written, skipped=len(changes) - written, failed=failed)

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        index = self._index(name)
        query = check_query(query, index.schema)
        with self._lock:
            items = dict(index.items)
        passing = {
            key: item
            for key, item in items.items()
            if key not in query.exclude
            and (query.only is None or key in query.only)
            and _passes_all(item, query.filters)
            and not any(_passes_all(item, group) for group in query.unless)
            and all(item.holds(phrase) for phrase in query.phrases)
            and not any(item.holds(phrase) for phrase in query.without)
        }
        if query.text is None and query.vector is None:
            return _listing(passing, query)
        text = [] if query.text is None else _text_leg(items, passing, query.text)
        vector = [] if query.vector is None else _vector_leg(passing, query.vector, query.floor)
        legs = [sorted(leg, key=_best_first)[: query.limit] for leg in (text, vector)]
        candidates = {hit.key for leg in legs for hit in leg}
        return EngineResult(
            text=legs[0],
            vector=legs[1],
            total=len(candidates),
            facets=_facets([items[key] for key in candidates], query.facets),
            values={
                name: {key: items[key].filters[name] for key in candidates if name in items[key].filters}
                for name in query.values
            },
            spelling=_spelling(items, query.spelling) if query.spelling else {},
        )

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        index = self._index(name)
        with self._lock:
            items = dict(index.items)
        wanted = [start for start in starts if start.split() == [start]]
        near: dict[str, set[str]] = {start: set() for start in wanted}
        if fuzzy:
            known = Counter(start for item in items.values() for start in set(item.starts))
            near = {start: set(near_words(start, known, limit=len(known))) for start in wanted}
        found = [
            (len(item.starts), key)
            for key, item in items.items()
            if all(any(own.startswith(one) or own in near[one] for own in item.starts) for one in wanted)
        ]
        return [key for _, key in sorted(found)][:limit] if wanted else []

    def count(self, name: str) -> int:
        return len(self._index(name).items)

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        index = self._index(name)
        with self._lock:
            return iter([(key, item.digest) for key, item in index.items.items()])

    def vectors(self, name: str, keys: Sequence[str]) -> dict[str, Vector]:
        index = self._index(name)
        with self._lock:
            return {key: index.items[key].vector for key in keys if key in index.items}

    def refresh(self, name: str) -> None:
        self._index(name)

    def check(self) -> None:
        """Memory is always there."""

    def _index(self, name: str) -> _Index:
        check_name(name)
        with self._lock:
            if name not in self._indexes:
                raise NotFound(f"There is no index {name!r} in memory.")
            return self._indexes[name]


def _item(put: IndexedItem, schema: IndexSchema, vector: Vector) -> _Item:
    filters = check_item(put, schema)
    counts = {name: Counter(terms.split()) for name, terms in put.terms.items()}
    return _Item(
        digest=put.digest,
        counts=counts,
        terms={name: f" {' '.join(terms.split())} " for name, terms in put.terms.items()},
        filters=filters,
        vector=vector,
        exact={name: tuple(terms.split()) for name, terms in put.exact.items()},
        starts=tuple(put.starts.split()),
    )


def _passes_all(item: _Item, filters: Sequence[Filter]) -> bool:
    return all(_passes(item, one) for one in filters)


def _passes(item: _Item, one: Filter) -> bool:
    values = item.filters.get(one.field, ())
    if isinstance(one, Terms):
        return not set(values).isdisjoint(one.values)
    return any(
        (one.gte is None or value >= one.gte)
        and (one.gt is None or value > one.gt)
        and (one.lte is None or value <= one.lte)
        and (one.lt is None or value < one.lt)
        for value in values
        if not isinstance(value, str)
    )


def _text_leg(items: Mapping[str, _Item], passing: Mapping[str, _Item], text: TextQuery) -> list[Hit]:
    """BM25 over the weighted sum of a term's occurrences in the fields, as Robertson's BM25F has it."""
    terms = dict.fromkeys(term for word in text.words for term in word)
    average = sum(item.length for item in items.values()) / len(items) if items else 0.0
    importance = {term: _inverse_frequency(term, items) for term in terms}
    hits = []
    for key, item in passing.items():
        score = 0.0
        norm = _K1 * (1 - _B + _B * item.length / average) if average else _K1
        for term in terms:
            found = sum(text.weights.get(name, 0.0) * item.occurrences(term, name) for name in item.counts)
            score += importance[term] * found * (_K1 + 1) / (found + norm)
        if score > 0 and (not text.every or _holds_every(item, text)):
            hits.append(Hit(key, score))
    return hits


def _holds_every(item: _Item, text: TextQuery) -> bool:
    names = [name for name in item.counts if text.weights.get(name, 0.0) > 0]
    return all(any(item.occurrences(term, name) for term in word for name in names) for word in text.words)


def _spelling(items: Mapping[str, _Item], asked: Sequence[Spelled]) -> dict[str, tuple[str, ...]]:
    held = {term for item in items.values() for counts in item.counts.values() for term in counts}
    written = Counter(
        term
        for item in items.values()
        for term in {term for terms in item.exact.values() for term in terms}
        if len(term) >= SHORTEST - 1
    )
    return {word.exact: near_words(word.exact, written) for word in asked if held.isdisjoint(word.terms)}


def _inverse_frequency(term: str, items: Mapping[str, _Item]) -> float:
    holding = sum(any(item.occurrences(term, name) for name in item.counts) for item in items.values())
    return math.log(1 + (len(items) - holding + 0.5) / (holding + 0.5))


def _vector_leg(passing: Mapping[str, _Item], vector: Vector, floor: float | None) -> list[Hit]:
    if not passing:
        return []
    cosines = np.clip(np.stack([item.vector for item in passing.values()]) @ vector, -1.0, 1.0)
    hits = [Hit(key, round(cosine, _DECIMALS)) for key, cosine in zip(passing, cosines.tolist(), strict=True)]
    return [hit for hit in hits if floor is None or hit.score >= floor]


def _best_first(hit: Hit) -> tuple[float, str]:
    return -hit.score, hit.key


def _listing(passing: Mapping[str, _Item], query: EngineQuery) -> EngineResult:
    name = query.sort.removeprefix("-")
    sign = -1 if query.sort.startswith("-") else 1

    def place(key: str) -> tuple[bool, float, str]:
        values = [sign * float(value) for value in passing[key].filters.get(name, ())]
        return not values, min(values, default=0.0), key

    keys = sorted(passing, key=place)[: query.limit]
    return EngineResult(
        listing=[Hit(key, float(-rank)) for rank, key in enumerate(keys)],
        total=len(passing),
        facets=_facets(list(passing.values()), query.facets),
    )


def _facets(items: Sequence[_Item], names: Sequence[str]) -> dict[str, dict[Scalar, int]]:
    return {
        name: dict(Counter(value for item in items for value in item.filters.get(name, ())).most_common())
        for name in names
    }
