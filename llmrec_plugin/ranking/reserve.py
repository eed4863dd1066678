"""Keeps a share of the places of a list for new items, which nobody could choose yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmrec_plugin.ranking.items import add
from llmrec_plugin.types import RankedItem

ROUNDING = 1e-9


def reserve(items: Sequence[RankedItem], new: Sequence[RankedItem], share: float) -> list[RankedItem]:
    """The list, best first, in which among the first n items there are at least n * `share` new ones.

    New items of the list come before others, in its order. One that is lifted has the score of the item
    above it, by its contribution `reserve`; where new items are many on their own, nothing moves.
    """
    if share <= 0 or not new:
        return list(items)
    fresh = {item.key for item in new}
    known = {item.key for item in items}
    waiting = iter([item for item in items if item.key in fresh] + [i for i in new if i.key not in known])
    result: list[RankedItem] = []
    placed: set[str] = set()
    count = 0
    for item in items:
        due = item.key in fresh and item.key not in placed
        while count + due < int((len(result) + 1) * share + ROUNDING):
            lifted = _next(waiting, placed)
            if lifted is None:
                break
            score = result[-1].score if result else max(lifted.score, items[0].score)
            result.append(add(lifted, {"reserve": score - lifted.score}))
            placed.add(lifted.key)
            count += 1
        if item.key not in placed:
            result.append(item)
            placed.add(item.key)
            count += item.key in fresh
    return result


def _next(waiting: Iterator[RankedItem], placed: set[str]) -> RankedItem | None:
    return next((item for item in waiting if item.key not in placed), None)
