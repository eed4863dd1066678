"""Named slots of a page: the built-in ones, those of LLMREC["PLACEMENTS"], and the editors' rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.models import Placement as Row
from llmrec_plugin.models.placements import MAX_FRESH
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache
from llmrec_plugin.services.items.filter_parsing import read_filters
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import KINDS, Filter, Kind

TYPES = tuple(Row.Type.values)
ABOUT_AN_ITEM = ("similar", "also")
"""Types of lists that need the item they are about."""
PERSONAL = ("for-you", "because-you-viewed", "basket", "next")
FALLBACKS = ("for-you", "trending", "popular", "latest")
TAKEN: tuple[Kind, ...] = ("purchase", "enrol")
ANCHORS: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "enrol")
MAX_ITEMS = 100
MAX_NAME = 50


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One slot: what kind of list it shows."""

    name: str
    type: str
    """One of TYPES; "similar" and "also" need the item that the page is about."""
    document: str = ""
    """Label; empty: as asked for, or the only one there is."""
    limit: int = 12
    hide: tuple[Kind, ...] = ()
    """Kinds of events whose items the user does not see here; dismissed items never show."""
    anchor: tuple[Kind, ...] = ANCHORS
    """because-you-viewed: kinds of events of which the latest gives the item that the list is about."""
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the list is confined to, as query parameters would say it: {"category": ("garden",)}."""
    diversity: float | None = None
    """None: as configured in for-you, none elsewhere."""
    fresh: float = 0.0
    """Share of the places that is kept for the newest items."""
    fallback: tuple[str, ...] = ()
    """Of FALLBACKS, what fills the list where its own items do not suffice; empty: as its type has it."""


KEYS = tuple(name for name in Placement.__dataclass_fields__ if name != "name")
BUILT_IN = (
    Placement(name="for-you", type="for-you", hide=TAKEN),
    Placement(name="because-you-viewed", type="because-you-viewed", hide=TAKEN),
    Placement(name="basket", type="basket", hide=TAKEN),
    Placement(name="next", type="next", hide=TAKEN),
    Placement(name="trending", type="trending"),
    Placement(name="latest", type="latest"),
    Placement(name="similar", type="similar"),
    Placement(name="also", type="also"),
)


def get_placement(name: str, configuration: Configuration | None = None) -> Placement:
    """Raises NotFound, naming the placements there are, and ConfigurationError for a wrong setting."""
    known = all_placements(configuration)
    if name in known:
        return known[name]
    raise NotFound(f'There is no placement "{name}". {hint(name, sorted(known))}')


def all_placements(configuration: Configuration | None = None) -> dict[str, Placement]:
    """By name; a row replaces a setting, a setting what is built in. No query where the configuration is at
    hand and no row has changed. Raises ConfigurationError naming the setting."""
    return {**declared_placements(), **_rows.get(configuration or Configuration.current())}


def declared_placements() -> dict[str, Placement]:
    """Those that need no database: built in, or in the settings. Raises ConfigurationError."""
    placements = {placement.name: placement for placement in BUILT_IN}
    for name, declared in get_settings().PLACEMENTS.items():
        placements[name] = _declared(name, declared)
    return placements


def check_filters(placement: Placement) -> None:
    """Raises ConfigurationError, naming the nearest filter there is, for one that its document lacks."""
    if placement.document in registry.labels():
        filters_of(placement, registry.get(placement.document))


def filters_of(placement: Placement, document: SearchDocument[Any]) -> tuple[Filter, ...]:
    """What the list is confined to; raises as `check_filters`."""
    try:
        return read_filters(placement.filters, document.filter_kinds())
    except InvalidRequest as error:
        raise ConfigurationError(f'The placement "{placement.name}" cannot be shown: {error}') from error


def names_of_lists() -> list[str]:
    """Every name under which a list is made: search and the placements."""
    return ["search", *all_placements()]


def of_row(row: Row) -> Placement:
    return Placement(
        name=row.name,
        type=row.type,
        document=row.document,
        limit=row.limit,
        hide=tuple(row.hide),
        anchor=tuple(row.anchor) or ANCHORS,
        filters={name: tuple(texts) for name, texts in row.filters.items()},
        diversity=row.diversity,
        fresh=row.fresh,
        fallback=tuple(row.fallback),
    )


def _read() -> Mapping[str, Placement]:
    return {row.name: of_row(row) for row in Row.objects.filter(enabled=True)}


_rows = VersionedCache[Mapping[str, Placement]](_read, empty={})


def _declared(name: str, declared: Mapping[str, Any]) -> Placement:
    where = f'LLMREC["PLACEMENTS"]["{name}"]'
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise ConfigurationError(f"{where}: a name has 1 to {MAX_NAME} characters.")
    if not isinstance(declared, Mapping):
        raise ConfigurationError(f"{where} must be a dict.")
    for key in declared:
        if key not in KEYS:
            raise ConfigurationError(f'{where} has an unknown key "{key}". {hint(key, KEYS)}')
    kind = declared.get("type", name)
    if kind not in TYPES:
        raise ConfigurationError(f'{where}["type"] is {kind!r}; it must be one of {", ".join(TYPES)}.')
    limit = declared.get("limit", 12)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_ITEMS:
        raise ConfigurationError(f'{where}["limit"] is {limit!r}; it must be a number from 1 to {MAX_ITEMS}.')
    document = declared.get("document", "")
    if not isinstance(document, str):
        raise ConfigurationError(f'{where}["document"] must be the label of a document.')
    fallback = declared.get("fallback", ())
    if isinstance(fallback, str) or not all(other in FALLBACKS for other in fallback):
        raise ConfigurationError(f'{where}["fallback"] must be a list of {", ".join(FALLBACKS)}.')
    return Placement(
        name=name,
        type=kind,
        document=document,
        limit=limit,
        hide=_kinds(declared.get("hide", TAKEN if kind in PERSONAL else ()), f'{where}["hide"]'),
        anchor=_kinds(declared.get("anchor", ANCHORS), f'{where}["anchor"]'),
        filters=_filters(declared.get("filters", {}), f'{where}["filters"]'),
        diversity=_number(declared.get("diversity"), f'{where}["diversity"]', most=1.0),
        fresh=_number(declared.get("fresh", 0.0), f'{where}["fresh"]', most=MAX_FRESH) or 0.0,
        fallback=tuple(fallback),
    )


def _kinds(value: Sequence[str], where: str) -> tuple[Kind, ...]:
    if isinstance(value, str) or not all(kind in KINDS for kind in value):
        raise ConfigurationError(f"{where} is {value!r}; it must be a list of {', '.join(KINDS)}.")
    return cast(tuple[Kind, ...], tuple(value))


def _filters(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    """Whether the document has such fields is known once it has: see `filter_texts.read_filters`."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f'{where} is {value!r}; it must be a dict such as {{"category": ["garden"]}}.'
        )
    given = {
        name: [texts] if isinstance(texts, str | int | float) else texts for name, texts in value.items()
    }
    return {
        str(name): tuple(str(text).lower() if isinstance(text, bool) else str(text) for text in texts)
        for name, texts in given.items()
    }


def _number(value: Any, where: str, *, most: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigurationError(f"{where} is {value!r}; it must be a number from 0 to {most:g}.")
    return float(value) if math.isfinite(value) else None
