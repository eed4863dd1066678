"""What editors decided about a list: items hidden, boosted, buried or pinned to a place; the last to speak.

Which decisions hold for a request is found in `services.serving.rule_application`; here they are carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Literal, TypeAlias

from llmrec_plugin.ranking.items import add
from llmrec_plugin.types import RankedItem

Action: TypeAlias = Literal["pin", "boost", "bury", "hide"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A frozen record of one rule, with the items that it is about."""

    name: str
    """Of its contribution, `rule:<id>`."""
    action: Action
    keys: tuple[str, ...]
    place: int = 1
    """Pin: where the first of the items stands, counted from 1; the others follow it."""
    strength: float = 0.0
    """Boost, bury: 0..1, as a share of the distance between the best and the worst score of the list, so that
    1 lifts the last item to the first."""


def arrange(items: Sequence[RankedItem], decisions: Sequence[Decision]) -> list[RankedItem]:
    """Return the list, best first, as the decisions want it; without any it stays as it is.

    Each effect is a contribution, and scores fall along the list or stay equal if they did before. A pinned
    item has the score of the item above it, the first one that of the item below unless its own is higher;
    it joins the list if it was not in it, and stands at the end of one that is too short. Of two decisions
    that pin one item, or want one place, the earlier has it; the other's item takes the next free place.
    """
    if not decisions:
        return list(items)
    hidden = {key for decision in decisions if decision.action == "hide" for key in decision.keys}
    kept = _weighed([item for item in items if item.key not in hidden], decisions)
    places = _places(decisions, hidden)
    if not places:
        return kept
    pinned = {key for key, _ in places.values()}
    found = {item.key: item for item in kept if item.key in pinned}
    free = [item for item in kept if item.key not in pinned]
    return _placed(free, places, found)


def _weighed(items: list[RankedItem], decisions: Sequence[Decision]) -> list[RankedItem]:
    """Return the items with boosts and burials; items of equal score keep their order."""
    given: dict[str, dict[str, float]] = {}
    spread = _spread(items)
    for decision in decisions:
        if decision.action in ("boost", "bury"):
            amount = decision.strength * spread * (1 if decision.action == "boost" else -1)
            for key in decision.keys:
                given.setdefault(key, {})[decision.name] = amount
    if not given:
        return items
    weighed = [add(item, given.get(item.key, {})) for item in items]
    return sorted(weighed, key=attrgetter("score"), reverse=True)


def _spread(items: Sequence[RankedItem]) -> float:
    """Return the distance from the best score to the worst; 1 where all are equal, so that a boost counts
    there, too."""
    scores = [item.score for item in items]
    return max(scores) - min(scores) if len(set(scores)) > 1 else 1.0


def _places(decisions: Sequence[Decision], hidden: set[str]) -> dict[int, tuple[str, str]]:
    """Return place -> (key, name of the decision)."""
    places: dict[int, tuple[str, str]] = {}
    known = set(hidden)
    for decision in decisions:
        if decision.action != "pin":
            continue
        place = decision.place
        for key in decision.keys:
            if key in known:
                continue
            known.add(key)
            while place in places:
                place += 1
            places[place] = (key, decision.name)
    return places


def _placed(
    free: Sequence[RankedItem], places: Mapping[int, tuple[str, str]], found: Mapping[str, RankedItem]
) -> list[RankedItem]:
    result: list[RankedItem] = []
    others = iter(free)
    for place in sorted(places):
        result += islice(others, max(0, place - 1 - len(result)))
        key, name = places[place]
        item = found.get(key, RankedItem(key=key, score=0.0, contributions={}))
        score = result[-1].score if result else max([item.score, *(below.score for below in free[:1])])
        result.append(add(item, {name: score - item.score}))
    return [*result, *others]
