"""What each item of a user's past put into a score: sums of contributions, nothing is computed anew.

Contributions are additive, so these shares sum to all that is personal in the score (ADR 20).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmrec_plugin.ranking.stages import NAMED_PARTS
from llmrec_plugin.types import PastItem, RankedItem

PERSONAL = ("taste", "also", "alike", "next")
"""Codes of the contributions that go back to what the user did, or said about himself."""


def by_past_item(contributions: Mapping[str, float]) -> dict[str, float]:
    """Past item -> how much it moved the item, up or down, what moved it most first.

    "" stands for what is laid to no single one: what the user says about himself, and past items that
    are not named. Empty for an item that nothing personal moved.
    """
    parts: dict[str, list[float]] = {}
    for name, value in contributions.items():
        code, _, source = name.partition(":")
        if code in PERSONAL:
            parts.setdefault(source, []).append(value)
    sums = {source: math.fsum(values) for source, values in parts.items()}
    return dict(sorted(sums.items(), key=lambda entry: (-abs(entry[1]), entry[0])))


def shortened(history: Sequence[PastItem], count: int) -> list[PastItem]:
    """The `count` past items that moved an item most, and last what is left as one without an id; for people
    to read."""
    named = [past for past in history if past.item_id][:count]
    rest = [past.value for past in history if past not in named]
    return [*named, PastItem(item_id="", title="", value=math.fsum(rest))] if rest else named


def folded(item: RankedItem) -> RankedItem:
    """The item as a visitor's list names its causes: of taste the largest parts, the others as `taste`."""
    tastes = [name for name in item.contributions if name.startswith("taste:")]
    if len(tastes) <= NAMED_PARTS:
        return item
    tastes.sort(key=lambda name: (-item.contributions[name], name))
    rest = frozenset((*tastes[NAMED_PARTS:], "taste"))
    kept = {name: value for name, value in item.contributions.items() if name not in rest}
    kept["taste"] = math.fsum(item.contributions.get(name, 0.0) for name in rest)
    return item._replace(contributions=kept)
