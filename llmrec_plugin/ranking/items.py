"""How ranked items are ordered and added to; every stage goes through these two functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

from llmrec_plugin.types import RankedItem

HALVING_PLACES = 24


def best_first(items: Iterable[RankedItem]) -> list[RankedItem]:
    """The one order of this package: highest score first, equal scores by key."""
    return sorted(sorted(items, key=attrgetter("key")), key=attrgetter("score"), reverse=True)


def add(item: RankedItem, contributions: Mapping[str, float]) -> RankedItem:
    """The item with these contributions on top of its own; a name it has already is summed up."""
    if not contributions:
        return item
    merged = {**item.contributions, **contributions}
    if len(merged) < len(item.contributions) + len(contributions):
        merged |= {name: value + item.contributions.get(name, 0.0) for name, value in contributions.items()}
    return RankedItem(key=item.key, score=item.score + sum(contributions.values()), contributions=merged)


def falling(keys: Iterable[str], name: str) -> list[RankedItem]:
    """Return items in the order of their keys; the score, all of it one contribution, falls from 1 and halves
    every HALVING_PLACES places."""
    scores = ((key, 0.5 ** (place / HALVING_PLACES)) for place, key in enumerate(keys))
    return [RankedItem(key=key, score=score, contributions={name: score}) for key, score in scores]
