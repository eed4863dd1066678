"""How ranked items are ordered and added to; every stage goes through these two functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmrec_plugin.types import RankedItem


def best_first(items: Iterable[RankedItem]) -> list[RankedItem]:
    """The one order of this package: highest score first, equal scores by key."""
    return sorted(items, key=lambda item: (-item.score, item.key))


def add(item: RankedItem, contributions: Mapping[str, float]) -> RankedItem:
    """The item with these contributions on top of its own; a name it has already is summed up."""
    merged = dict(item.contributions)
    score = item.score
    for name, value in contributions.items():
        merged[name] = merged.get(name, 0.0) + value
        score += value
    return RankedItem(key=item.key, score=score, contributions=merged)
