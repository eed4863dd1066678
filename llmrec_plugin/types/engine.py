"""What an engine is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from llmrec_plugin.types.documents import Scalar, Vector
from llmrec_plugin.types.filters import Filter


@dataclass(frozen=True, kw_only=True, slots=True)
class TextQuery:
    """An analysed query: words joined by OR, ranked by BM25 over weighted fields."""

    words: tuple[tuple[str, ...], ...]
    """One tuple per word, holding its alternative terms (its stem in each language, its synonyms); of an
    alternative with blanks the terms must stand side by side in one field. It comes as analysed and as
    written: an engine looks in `IndexedItem.terms` or in `exact`, whichever keeps the order."""
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
    """As in `IndexedItem.exact`; none: nothing is asked for."""
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
