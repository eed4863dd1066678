"""What a list shows: ranked items, pages, and the events that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from llmrec_plugin.types.documents import Scalar
from llmrec_plugin.types.filters import Filter


class RankedItem(NamedTuple):
    """A frozen item of a list with what its score is made of.

    `score == sum(contributions.values())` up to rounding, always. Each contribution bears the text of a
    `ContributionCode`; the names there are, and what each means, are those of `llmrec_plugin.contributions`.
    """

    key: str
    score: float
    contributions: Mapping[str, float]


ANONYMOUS = "anon:"
"""Prefix of the keys of visitors who have not logged in."""
NETWORK_SIGN = "."
"""In such a key, before the hash of the network that the visitor came from first."""
NETWORK_DIGITS = 5
"""Hexadecimal digits of that hash: a million of them, too few to tell an address by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing a user did with one item."""

    key: str
    kind: str
    """The name of a registered kind of event."""
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
    limit: int = 20
    personalize: float | None = None
    """0..1, factor on the configured strength; None: 1."""
    sort: str = ""
    """A number or date filter field, `-` in front for descending; empty: by relevance, or by key without a
    text."""
    explain: bool = False
    """Name every past item of the user that moved an item, not only the strongest."""
    ignoring: frozenset[str] = frozenset()
    """Past items of the user that count as if they had never turned to them."""


class PastItem(NamedTuple):
    """What one item of the user's past put into a score."""

    item_id: str
    """Empty: what is laid to no single item."""
    title: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultItem:
    """One item of a list, as it is shown."""

    document: str
    """Label of its SearchDocument."""
    item_id: str
    """The primary key as text."""
    title: str
    score: float
    """Higher is better; comparable within one list only."""
    reasons: tuple[str, ...] = ()
    """Sentences for the visitor in the active language, strongest first."""
    highlights: Mapping[str, str] = field(default_factory=dict)
    """Escaped HTML by field, matches in <mark>; made when it is first looked at."""
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
    """Of the list, to be sent along with what is done with its items; empty: it could not be kept."""
    facets: Mapping[str, Sequence[tuple[Scalar, int]]] = field(default_factory=dict)
    """By field, values with their counts over the items that `total` counts, most frequent first."""
    degraded: tuple[str, ...] = ()
    """What was left out: "vector" (encoder down), "engine", "profile", "rerank", "signals", "strategy" or
    "reasons" (the site's own code failed), "impression" (the database takes no rows: no `request_id`, no
    `next`)."""
    next: str | None = None
    """Cursor of the next page."""
    did_you_mean: str | None = None
    """A better spelling, where the index holds none of a word."""
    relaxed: str = ""
    """What was given up so that anything was found: "words" (that each occurs), "phrases" (the quotes),
    "spelling" (it: these are for `did_you_mean`), "vector" (words at all: these are merely near in meaning);
    empty: nothing."""
    language: str = ""
    """Of the query, one of LLMREC["LANGUAGES"]; empty: it cannot be told."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was typed -> what was looked for as well, as editors say."""
