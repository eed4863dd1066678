"""Named slots of a page: the built-in ones and those of LLMREC["PLACEMENTS"]."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import ConfigurationError, NotFound
from llmrec_plugin.types import KINDS, Kind

TYPES = ("for-you", "because-you-viewed", "trending", "popular", "latest", "similar", "also")
TAKEN: tuple[Kind, ...] = ("purchase", "enrol")
ANCHORS: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "enrol")
MOST_ITEMS = 100
KEYS = ("type", "document", "size", "hide", "anchor")
MAX_NAME = 50


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One slot: what kind of list it shows."""

    name: str
    type: str
    """One of TYPES; "similar" and "also" need the item that the page is about."""
    document: str = ""
    """Label; empty: as asked for, or the only one there is."""
    size: int = 12
    hide: tuple[Kind, ...] = ()
    """Kinds of events whose items the user does not see here; dismissed items never show."""
    anchor: tuple[Kind, ...] = ANCHORS
    """because-you-viewed: kinds of events of which the latest gives the item that the list is about."""


BUILT_IN = (
    Placement(name="for-you", type="for-you", hide=TAKEN),
    Placement(name="because-you-viewed", type="because-you-viewed", hide=TAKEN),
    Placement(name="trending", type="trending"),
    Placement(name="latest", type="latest"),
)


def get_placement(name: str) -> Placement:
    """Raises NotFound, naming the placements there are, and ConfigurationError for a wrong setting."""
    known = all_placements()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    advice = f' Did you mean "{near[0]}"?' if near else ""
    raise NotFound(f'There is no placement "{name}".{advice} Known: {", ".join(sorted(known))}.')


def all_placements() -> dict[str, Placement]:
    """By name; a setting of a built-in name replaces it. Raises ConfigurationError naming the setting."""
    placements = {placement.name: placement for placement in BUILT_IN}
    for name, declared in get_settings().PLACEMENTS.items():
        placements[name] = _declared(name, declared)
    return placements


def names_of_lists() -> list[str]:
    """Every name under which a list is made: search, what is about one item, and the placements."""
    return ["search", "similar", "also", *all_placements()]


def _declared(name: str, declared: Mapping[str, Any]) -> Placement:
    where = f'LLMREC["PLACEMENTS"]["{name}"]'
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise ConfigurationError(f"{where}: a name has 1 to {MAX_NAME} characters.")
    if not isinstance(declared, Mapping):
        raise ConfigurationError(f"{where} must be a dict.")
    for key in declared:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1, cutoff=0.0)
            raise ConfigurationError(
                f'{where} has an unknown key "{key}". Did you mean "{near[0]}"? Known: {", ".join(KEYS)}.'
            )
    kind = declared.get("type", name)
    if kind not in TYPES:
        raise ConfigurationError(f'{where}["type"] is {kind!r}; it must be one of {", ".join(TYPES)}.')
    size = declared.get("size", 12)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST_ITEMS:
        raise ConfigurationError(f'{where}["size"] is {size!r}; it must be a number from 1 to {MOST_ITEMS}.')
    document = declared.get("document", "")
    if not isinstance(document, str):
        raise ConfigurationError(f'{where}["document"] must be the label of a document.')
    hidden_by_default = TAKEN if kind in ("for-you", "because-you-viewed") else ()
    return Placement(
        name=name,
        type=kind,
        document=document,
        size=size,
        hide=_kinds(declared.get("hide", hidden_by_default), f'{where}["hide"]'),
        anchor=_kinds(declared.get("anchor", ANCHORS), f'{where}["anchor"]'),
    )


def _kinds(value: Sequence[str], where: str) -> tuple[Kind, ...]:
    if isinstance(value, str) or not all(kind in KINDS for kind in value):
        raise ConfigurationError(f"{where} is {value!r}; it must be a list of {', '.join(KINDS)}.")
    return cast(tuple[Kind, ...], tuple(value))
