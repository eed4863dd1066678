"""Why an item is where it is, as structured causes; services turn them into sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast, get_args

from llmrec_plugin.types import RankedItem

Code: TypeAlias = Literal[
    "text",
    "vector",
    "rerank",
    "taste",
    "also",
    "alike",
    "next",
    "popularity",
    "trending",
    "earlier",
    "freshness",
    "reserve",
    "rule",
]

MIN_SHARE = 0.15
MAX_REASONS = 2
_CODES = frozenset(get_args(Code))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One cause of an item's place."""

    code: Code
    source: str | None
    """Key of the past item that the cause goes back to, of a rule its number."""
    share: float
    """Of all that speaks for the item, 0..1."""


SOURCES = (("taste",), ("also", "alike"), ("popularity", "average"))
"""Codes of the contributions that the order of a user's own list is learned from."""


def personal_points(item: RankedItem) -> tuple[float, ...] | None:
    """What his taste, other people and popularity contribute, in this order; None where he has no taste."""
    parts = [(name.partition(":")[0], value) for name, value in item.contributions.items()]
    if not any(code == "taste" for code, _ in parts):
        return None
    return tuple(math.fsum(value for code, value in parts if code in codes) for codes in SOURCES)


def explain(item: RankedItem) -> list[Reason]:
    """The strongest causes that speak for the item, strongest first; empty when nothing stands out.

    At most two, each with at least 15 % of the sum of the positive contributions: less would be
    true but no reason that anyone recognises. Causes of one code that only together weigh that much,
    such as many past items with a little of it each, are told by the strongest of them.
    """
    positive = {name: value for name, value in item.contributions.items() if value > 0}
    mass = sum(positive.values())
    reasons: list[Reason] = []
    small: dict[str, list[Reason]] = {}
    for name in sorted(positive, key=lambda name: (-positive[name], name)):
        code, _, source = name.partition(":")
        if code not in _CODES:
            continue
        reason = Reason(code=cast(Code, code), source=source or None, share=positive[name] / mass)
        if reason.share >= MIN_SHARE:
            reasons.append(reason)
        else:
            small.setdefault(code, []).append(reason)
    told = {reason.code for reason in reasons}
    for code, parts in small.items():
        together = sum(part.share for part in parts)
        if code not in told and together >= MIN_SHARE:
            reasons.append(replace(parts[0], share=together))
    return sorted(reasons, key=lambda reason: -reason.share)[:MAX_REASONS]
