"""What each item of a user's past put into a score: sums of contributions, nothing is computed anew.

Contributions are additive, so these shares sum to all that is personal in the score (ADR 20).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from llmrec_plugin.ranking.stages import NAMED_PARTS
from llmrec_plugin.types import ContributionCode, PastItem, RankedItem


def by_past_item(contributions: Mapping[str, float], personal: Collection[str]) -> dict[str, float]:
    """Return past item -> how much it moved the item, up or down, what moved it most first.

    `personal` are the names of the contributions that go back to what the user did, or says about
    themselves. "" stands for what is laid to no single past item: what users say about themselves, and past
    items that are not named. Empty for an item that nothing personal moved.
    """
    parts: dict[str, list[float]] = {}
    for text, value in contributions.items():
        code = ContributionCode.parse(text)
        if code.name in personal:
            parts.setdefault(code.source, []).append(value)
    sums = {source: math.fsum(values) for source, values in parts.items()}
    return dict(sorted(sums.items(), key=lambda entry: (-abs(entry[1]), entry[0])))


def shortened(history: Sequence[PastItem], count: int) -> list[PastItem]:
    """Return the `count` past items that moved an item most, and last what is left as one without an id; for
    people to read."""
    named = [past for past in history if past.item_id][:count]
    rest = [past.value for past in history if past not in named]
    return [*named, PastItem(item_id="", title="", value=math.fsum(rest))] if rest else named


def folded(item: RankedItem) -> RankedItem:
    """Return the item as a visitor's list names its causes: of taste the largest parts, the others as
    `taste`."""
    parsed = {text: ContributionCode.parse(text) for text in item.contributions}
    tastes = [text for text, code in parsed.items() if code.name == "taste" and code.source]
    if len(tastes) <= NAMED_PARTS:
        return item
    tastes.sort(key=lambda text: (-item.contributions[text], text))
    rest = frozenset((*tastes[NAMED_PARTS:], "taste"))
    contributions = {text: value for text, value in item.contributions.items() if text not in rest}
    contributions["taste"] = math.fsum(item.contributions.get(text, 0.0) for text in rest)
    return item._replace(contributions=contributions)
