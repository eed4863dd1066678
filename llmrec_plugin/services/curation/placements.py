"""Knows the named lists of pages: one of each type, those of LLMREC["PLACEMENTS"], and the editors' rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.event_kinds import click_kinds, kind_names
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.models import Placement as Row
from llmrec_plugin.models.placements import MAX_FRESH
from llmrec_plugin.options import OneOfNames, Rule, between, keys_of, read_options
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache
from llmrec_plugin.services.curation.list_types import ListType, cannot_fill, fillers, find_type, list_types
from llmrec_plugin.services.items.filter_parsing import read_filters
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import Filter

KindName: TypeAlias = Annotated[str, OneOfNames(kind_names)]
"""The name of a registered kind of event."""
MAX_ITEMS = 100
MAX_NAME = 50


def _are_filters(value: Mapping[object, object]) -> bool:
    return all(isinstance(texts, str | int | float | list | tuple) for texts in value.values())


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """A frozen record of what a page shows under one name, as LLMREC["PLACEMENTS"] says it."""

    type: str
    """The name of a registered list type."""
    document: Annotated[str, "the label of a document"] = ""
    """Label; empty: as asked for, or the only one there is."""
    limit: Annotated[int, between(1, MAX_ITEMS)] = 12
    hide: tuple[KindName, ...] = ()
    """Kinds of events whose items the user does not see here; dismissed items never show."""
    anchor: tuple[KindName, ...] = ()
    """because-you-viewed: kinds of events of which the latest gives the item that the list is about; empty:
    all that speak for an item."""
    filters: Annotated[
        Mapping[str, tuple[str, ...]], Rule(_are_filters, ""), 'a dict such as {"category": ["garden"]}'
    ] = field(default_factory=dict)
    """What the list is confined to, as query parameters would say it: {"category": ("garden",)}."""
    diversity: Annotated[float, between(0, 1)] | None = None
    """None: as configured in for-you, none elsewhere."""
    fresh: Annotated[float, between(0, MAX_FRESH)] = 0.0
    """Share of the places that is kept for the newest items."""
    fallback: tuple[Annotated[str, OneOfNames(fillers, cannot_fill)], ...] = ()
    """Types that fill the list where its own items do not suffice; empty: as its type has it."""

    def anchor_kinds(self) -> tuple[str, ...]:
        """Return the kinds of events whose latest item a list may be about."""
        return self.anchor or click_kinds()


@dataclass(frozen=True, kw_only=True)
class Placement(PlacementOptions):
    """A frozen record of what a page shows under one name, and of which type it is."""

    name: str


def get_placement(name: str, configuration: Configuration | None = None) -> Placement:
    """Return the placement; raises NotFound, naming the placements there are, and ConfigurationError for a
    wrong setting."""
    known = all_placements(configuration)
    if name in known:
        return known[name]
    raise NotFound(f'There is no placement "{name}". {hint(name, sorted(known))}')


def all_placements(configuration: Configuration | None = None) -> dict[str, Placement]:
    """Return all by name; a row replaces a setting, a setting what is built in. No query where the
    configuration is at hand and no row has changed. Raises ConfigurationError naming the setting."""
    return {**declared_placements(), **_rows.get(configuration or Configuration.current())}


def declared_placements() -> dict[str, Placement]:
    """Return those that need no database: one of each list type, and those in the settings.

    Raises ConfigurationError.
    """
    placements = {
        one.name: Placement(name=one.name, type=one.name, hide=one.hidden_kinds()) for one in list_types
    }
    for name, declared in get_settings().PLACEMENTS.items():
        placements[name] = _declared(name, declared)
    return placements


def type_of(placement: Placement) -> ListType:
    """Return what is known of its type; raises ConfigurationError where that is not registered any more."""
    return find_type(placement.type, where=f'The type of the placement "{placement.name}"')


def check_filters(placement: Placement) -> None:
    """Raises ConfigurationError, naming the nearest filter there is, for one that its document lacks."""
    if placement.document in registry.labels():
        filters_of(placement, registry.get(placement.document))


def filters_of(placement: Placement, document: SearchDocument[Any]) -> tuple[Filter, ...]:
    """Return what the list is confined to; raises as `check_filters`."""
    try:
        return read_filters(placement.filters, document.filter_kinds())
    except InvalidRequest as error:
        raise ConfigurationError(f'The placement "{placement.name}" cannot be shown: {error}') from error


def names_of_lists() -> list[str]:
    """Return every name under which a list is made: search and the placements."""
    return ["search", *all_placements()]


def of_row(row: Row) -> Placement:
    return Placement(
        name=row.name,
        type=row.type,
        document=row.document,
        limit=row.limit,
        hide=tuple(row.hide),
        anchor=tuple(row.anchor),
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
        raise ConfigurationError(f"{where} is {declared!r}; it must be a dict.")
    options = read_options(PlacementOptions, {"type": name, **declared}, keys_of(where))
    list_type = find_type(options.type, where=f'{where}["type"]')
    hide = options.hide if "hide" in declared else list_type.hidden_kinds()
    return Placement(**{**vars(options), "filters": _texts(options.filters), "hide": hide}, name=name)


def _texts(filters: Mapping[Any, Any]) -> dict[str, tuple[str, ...]]:
    """Return the values as texts; whether the document has such fields tells
    `filter_parsing.read_filters`."""
    given = {
        name: [texts] if isinstance(texts, str | int | float) else texts for name, texts in filters.items()
    }
    return {
        str(name): tuple(str(text).lower() if isinstance(text, bool) else str(text) for text in texts)
        for name, texts in given.items()
    }
