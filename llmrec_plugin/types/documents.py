"""Items as they are prepared, indexed and removed, and the index that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

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


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedItem:
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
class IndexedItem:
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
    """Terms that what somebody types may begin, if they want this item."""
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
    """As of `IndexedItem`."""


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
