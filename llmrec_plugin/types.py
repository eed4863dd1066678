"""The frozen values that travel between layers; no behaviour beyond validation and hashing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]
"""Shape (dimensions,), unit length."""
Matrix: TypeAlias = NDArray[np.float32]
"""Shape (n, dimensions), unit rows."""

FilterKind: TypeAlias = Literal["keyword", "number", "boolean", "date"]
Scalar: TypeAlias = str | float | bool
FilterValue: TypeAlias = Scalar | tuple[Scalar, ...] | None
"""Dates are epoch seconds (float). None and () mean: the item has no value, so no filter matches it."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total) while something long goes on."""


def _digest(*parts: object) -> str:
    canonical = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


# -- what is indexed --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One item as the site means it to be found, before any analysis."""

    key: str
    """The primary key as text."""
    text: Mapping[str, str]
    """Plain text (markup removed) by declared field; the first field is the title."""
    passage: str
    """What the encoder reads."""
    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    language: str = ""
    """ISO 639-1; empty: unknown, every configured language is tried."""

    @property
    def title(self) -> str:
        return next(iter(self.text.values()), "")

    @property
    def fingerprint(self) -> str:
        """Hash of what is embedded: as long as it stays, the vector is never computed again."""
        return _digest(self.passage)

    @property
    def digest(self) -> str:
        """Hash of all that an index holds of the item; `audit` compares it."""
        return _digest(dict(self.text), self.passage, dict(self.filters), self.language)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedDocument:
    """One item as an engine stores it."""

    key: str
    terms: Mapping[str, str]
    """Analysed text by field: terms joined by one space, to be split at white space only."""
    filters: Mapping[str, FilterValue]
    vector: Vector
    digest: str
    revision: int
    """Drawn after the change was seen; an engine refuses a write that is not newer."""
    exact: Mapping[str, str] = field(default_factory=dict)
    """By field the words as they are written, one term per position: for phrases and spelling."""
    starts: str = ""
    """Terms that what somebody types may begin, if he wants this item."""
    seen: Seen | None = None
    """Attached indexes: the site's document before the row was read; None: there was none."""


@dataclass(frozen=True)
class Failure:
    """Why an item has to wait."""

    message: str
    outage: bool = False
    """The engine or the encoder failed as a whole; the item is not to blame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A delete, guarded by its revision like any other write."""

    key: str
    revision: int
    seen: Seen | None = None
    """As of `IndexedDocument`."""


class Seen(NamedTuple):
    """A document of the site's own index at one moment: a write holds only if nobody wrote it since."""

    physical: str
    """Name of the index itself; aliases move."""
    seq_no: int
    primary_term: int
    digest: str = ""
    """Of what the index version holds of it; empty: nothing."""


def _same(value: str) -> str:
    return value


@dataclass(frozen=True, slots=True)
class AttachedIndex:
    """An Elasticsearch index that the site makes, fills and owns; it gains vectors, and nothing else changes.

    attached = AttachedIndex(
        "products", text_fields=["title^3", "description"], filters={"brand": "brand.id"}
    )
    """

    index: str
    """Its name or alias."""
    text_fields: Sequence[str] = ()
    """What words are looked for in, by the analysers of the index, each with its weight as in "title^3";
    empty: fields called as the document's text fields, with their weights."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Filter field of the document -> field of the index, where they are not called the same."""
    key: Callable[[str], str | None] = _same
    """From the `_id` in the index to the primary key as text; None: it is no item of this document."""
    id: Callable[[str], str] = _same
    """From the primary key as text to the `_id`."""

    def field_of(self, name: str) -> str:
        return self.filters.get(name, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSchema:
    """What an index of one document type holds."""

    text_fields: tuple[str, ...]
    filters: Mapping[str, FilterKind]
    dimensions: int
    encoder_id: str
    analysis_id: str
    attached: AttachedIndex | None = None
    """The site's index that the vectors live in; None: an index of our own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteReport:
    written: int
    skipped: int
    """Refused because the index holds the same or a newer revision."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """key -> why; all other items of the call are in."""
    overtaken: frozenset[str] = field(default=frozenset(), compare=False)
    """Which ones were skipped, where the engine tells."""
    absent: frozenset[str] = field(default=frozenset(), compare=False)
    """Attached indexes: items that the site has not put into its index, so far."""
    seen: Mapping[str, Seen] = field(default_factory=dict, compare=False)
    """Attached indexes: the documents as the call left them."""


# -- what is asked ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The field holds at least one of the values."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The number or date (epoch seconds) lies within the given bounds."""

    field: str
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Filter: TypeAlias = Terms | Range
"""Several filters are joined by AND."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextQuery:
    """An analysed query: words joined by OR, ranked by BM25 over weighted fields."""

    words: tuple[tuple[str, ...], ...]
    """One tuple per word, holding its alternative terms (its stem in each language, its synonyms); of an
    alternative with blanks the terms must stand side by side, as in one of `IndexedDocument.exact` or of
    `terms`."""
    weights: Mapping[str, float]
    """By text field; every text field of the schema is named."""
    text: str = ""
    """As it was typed, for an index whose own analysers read it."""
    every: bool = False
    """Each of the words must occur, instead of any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """Words that stand side by side in one text field."""

    terms: tuple[str, ...]
    """As in `IndexedDocument.exact`; none: nothing is asked for."""
    text: str = ""
    """As it was typed, for an index whose own analysers read it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelled:
    """A word whose spelling is to be looked up, should no item hold it."""

    exact: str
    """As written, folded."""
    terms: tuple[str, ...]
    """What the text fields may hold of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineQuery:
    """One round trip: either leg, both, or, with neither, a listing of what passes the filters."""

    text: TextQuery | None = None
    vector: Vector | None = None
    filters: tuple[Filter, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    """Every item found holds each of them, whichever leg found it."""
    without: tuple[Phrase, ...] = ()
    """No item found holds any of them."""
    limit: int = 200
    """Hits per leg."""
    exclude: frozenset[str] = frozenset()
    unless: tuple[tuple[Filter, ...], ...] = ()
    """An item that passes every filter of one of these groups is left out; an empty group leaves out none."""
    only: frozenset[str] | None = None
    """Nothing but these items is looked at; None: all."""
    floor: float | None = None
    """Least cosine of the vector leg."""
    facets: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    """Filter fields whose values are wanted of each candidate; not for a listing."""
    spelling: tuple[Spelled, ...] = ()
    sort: str = ""
    """Listing only: a number or date filter field, `-` in front for descending; empty: by key."""


class Hit(NamedTuple):
    """One item that a leg found; a tuple, for hundreds are made per search."""

    key: str
    score: float
    """Finite; higher is better. BM25 in the text leg, cosine in the vector leg."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineResult:
    """Hits by leg, best first, ties by key."""

    text: Sequence[Hit] = ()
    vector: Sequence[Hit] = ()
    cosines: Mapping[str, float] = field(default_factory=dict)
    """Of hits of the text leg, key -> cosine, as far as the engine has them at hand; the floor does not
    matter here."""
    listing: Sequence[Hit] = ()
    total: int = 0
    """Distinct candidates: the union of the legs, or all that pass the filters in a listing."""
    facets: Mapping[str, Mapping[Scalar, int]] = field(default_factory=dict)
    """Counts over exactly the candidates that `total` counts."""
    values: Mapping[str, Mapping[str, tuple[Scalar, ...]]] = field(default_factory=dict)
    """Filter field -> key -> its values, of candidates that have any."""
    spelling: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the words asked about that no item holds: exact -> words of the index that are spelt nearly so,
    the nearest first, then the more frequent."""


class RankedItem(NamedTuple):
    """`score == sum(contributions.values())` up to rounding, always.

    Contribution names: text, vector, rerank, taste:<key> (the part a past item of the user has in it),
    taste (the rest), also:<key> (people who took that item took this one too), next:<key> (it leads on
    from that item), popularity, average (of what nobody chose yet), trending (chosen in the last week),
    earlier (the older part of a trend), freshness, reserve (a place kept for new items), diversity and tail
    (never positive; what is added to a list that is too short), rule:<id> (what an editor decided).
    """

    key: str
    score: float
    contributions: Mapping[str, float]


Kind: TypeAlias = Literal["view", "click", "cart", "purchase", "enrol", "rating", "dismiss"]
KINDS: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "enrol", "rating", "dismiss")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing a user did with one item."""

    key: str
    kind: Kind
    at: datetime
    """Aware."""
    value: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchRequest:
    document: str
    text: str = ""
    """Empty: browse by filters."""
    user_key: str | None = None
    filters: tuple[Filter, ...] = ()
    facets: tuple[str, ...] = ()
    page_size: int = 20
    personalize: float | None = None
    """0..1, factor on the configured strength; None: 1."""
    sort: str = ""
    """A number or date filter field, `-` in front for descending; empty: by relevance, or by key without a
    text."""
    explain: bool = False
    """Name every past item of the user that moved an item, not only the strongest."""
    ignoring: frozenset[str] = frozenset()
    """Past items of the user that count as if he had never turned to them."""


class PastItem(NamedTuple):
    """What one item of the user's past put into a score."""

    id: str
    """Empty: what is laid to no single item."""
    title: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultItem:
    """One item of a list, as it is shown."""

    document: str
    """Label of its SearchDocument."""
    id: str
    """The primary key as text."""
    title: str
    score: float
    """Higher is better; comparable within one list only."""
    reasons: tuple[str, ...] = ()
    """Sentences for the visitor in the active language, strongest first."""
    highlights: Mapping[str, str] = field(default_factory=dict)
    """Escaped HTML by field, matches in <mark>."""
    contributions: Mapping[str, float] = field(default_factory=dict)
    """What the score is made of; they sum to it."""
    history: tuple[PastItem, ...] = ()
    """Where it was asked for: what of the user's past moved the item, most first; they sum to all that is
    personal in the score."""
    probability: float | None = None
    """That the user takes it, and not an item drawn at random; None: not known."""
    object: Any = None
    """The host's model instance, fetched through its own queryset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultPage:
    """One page of a ranked list."""

    results: tuple[ResultItem, ...]
    total: int
    """Distinct items found by words or by meaning; without a text, all that pass the filters."""
    request_id: str
    """Of the list, to be sent along with what is done with its items."""
    facets: Mapping[str, Sequence[tuple[Scalar, int]]] = field(default_factory=dict)
    """By field, values with their counts over the items that `total` counts, most frequent first."""
    degraded: tuple[str, ...] = ()
    """What was left out: "vector" (encoder down), "engine", "profile", "rerank"."""
    next: str | None = None
    """Cursor of the next page."""
    did_you_mean: str | None = None
    """A better spelling, where the index holds none of a word."""
    rescued: str = ""
    """What was given up so that anything was found: "words" (that each occurs), "phrases" (the quotes),
    "spelling" (it: these are for `did_you_mean`), "vector" (words at all: these are merely near in meaning);
    empty: nothing."""
    language: str = ""
    """Of the query, one of LLMREC["LANGUAGES"]; empty: it cannot be told."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was typed -> what was looked for as well, as editors say."""
