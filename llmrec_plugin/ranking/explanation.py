"""Why an item is where it is, as structured causes; services turn them into sentences."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from llmrec_plugin.types import ContributionCode, RankedItem

MIN_SHARE = 0.15
MAX_REASONS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A frozen record of one cause of an item's place."""

    code: ContributionCode
    """What gave it, and the past item or the rule that it goes back to."""
    share: float
    """Of all that speaks for the item, 0..1."""


SOURCES = (("taste",), ("neighbours", "text_neighbours"), ("popularity", "average"))
"""Names of the contributions that the order of a user's own list is learned from."""


def personal_points(item: RankedItem) -> tuple[float, ...] | None:
    """Return what taste, other people and popularity contribute, in this order; None without a taste."""
    parts = [(ContributionCode.parse(text).name, value) for text, value in item.contributions.items()]
    if not any(name == "taste" for name, _ in parts):
        return None
    return tuple(math.fsum(value for name, value in parts if name in names) for names in SOURCES)


def explain(item: RankedItem, names: Collection[str]) -> list[Reason]:
    """Return the strongest causes that speak for the item, strongest first; empty when nothing stands out.

    `names` are those of the contributions that may be a reason. At most two are returned, each with at
    least 15 % of the sum of the positive contributions: less would be true but no reason that anyone
    recognises. Causes of one name that only together weigh that much, such as many past items with a little
    of it each, are represented by the strongest of them.
    """
    positive = {text: value for text, value in item.contributions.items() if value > 0}
    total = sum(positive.values())
    reasons: list[Reason] = []
    small: dict[str, list[Reason]] = {}
    for text in sorted(positive, key=lambda text: (-positive[text], text)):
        code = ContributionCode.parse(text)
        if code.name not in names:
            continue
        reason = Reason(code=code, share=positive[text] / total)
        if reason.share >= MIN_SHARE:
            reasons.append(reason)
        else:
            small.setdefault(code.name, []).append(reason)
    found = {reason.code.name for reason in reasons}
    for name, parts in small.items():
        together = sum(part.share for part in parts)
        if name not in found and together >= MIN_SHARE:
            reasons.append(replace(parts[0], share=together))
    return sorted(reasons, key=lambda reason: -reason.share)[:MAX_REASONS]
