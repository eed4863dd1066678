"""Rules that cannot both have their way: said to editors, while serving follows the priority."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmrec_plugin.analysis.text import fold
from llmrec_plugin.documents import registry
from llmrec_plugin.models import Rule
from llmrec_plugin.services.curation import phrases
from llmrec_plugin.services.items import filter_matching
from llmrec_plugin.services.items.filter_parsing import read_filters

Kind: TypeAlias = Literal["place", "hidden", "pinned twice", "both ways"]

_OPPOSITE = {Rule.Action.BOOST: Rule.Action.BURY, Rule.Action.BURY: Rule.Action.BOOST}


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A frozen record that tells what the rule and another one both want where both hold."""

    kind: Kind
    other: Rule
    wins: bool
    """Whether the rule that was asked about has its way."""
    place: int = 0
    """For "place": the one that both want."""
    items: tuple[str, ...] = ()
    """Keys of the items at stake."""


def conflicts_of(rule: Rule, others: Iterable[Rule]) -> list[Conflict]:
    """Return the conflicts with the rules among `others` that are in effect and may meet it; one query at
    most for each.

    Raises NotFound and InvalidRequest where the rule does not fit its document.
    """
    found: list[Conflict] = []
    for other in others:
        if other.pk != rule.pk and other.enabled and may_meet(rule, other):
            found += _between(rule, other)
    return found


def may_meet(one: Rule, other: Rule) -> bool:
    """Return whether there can be a list that both rules hold for."""
    return (
        one.document == other.document
        and (not one.placements or not other.placements or bool({*one.placements} & {*other.placements}))
        and {one.audience, other.audience} != {Rule.Audience.ANONYMOUS, Rule.Audience.KNOWN}
        and _dates_meet(one, other)
        and _phrases_meet(one, other)
        and all(
            bool({*values} & {*other.list_filters[name]})
            for name, values in one.list_filters.items()
            if name in other.list_filters
        )
    )


def _dates_meet(one: Rule, other: Rule) -> bool:
    starts = [rule.starts_at for rule in (one, other) if rule.starts_at]
    ends = [rule.ends_at for rule in (one, other) if rule.ends_at]
    return not starts or not ends or max(starts) < min(ends)


def _phrases_meet(one: Rule, other: Rule) -> bool:
    """Return whether both may be asked for at once; two rules for parts of a query always may, in a longer
    one."""
    exact = [rule for rule in (one, other) if rule.match == Rule.Match.EXACT]
    if len(exact) == 2:
        return bool({*_folded(one)} & {*_folded(other)})
    if len(exact) == 1:
        rest = other if exact[0] is one else one
        return rest.match == Rule.Match.ANY or any(
            phrases.contains(query, phrase) for query in _folded(exact[0]) for phrase in _folded(rest)
        )
    return True


def _folded(rule: Rule) -> list[str]:
    return [" ".join(fold(phrase).split()) for phrase in rule.phrases]


def _between(rule: Rule, other: Rule) -> Iterator[Conflict]:
    wins = (rule.priority, rule.pk or float("inf")) < (other.priority, other.pk or float("inf"))
    actions = {rule.action, other.action}
    if Rule.Action.HIDE in actions and rule.action != other.action:
        items = _both(rule, other)
        if items:
            yield Conflict(kind="hidden", other=other, wins=rule.action == Rule.Action.HIDE, items=items)
    elif actions == {Rule.Action.PIN}:
        for place in sorted({*_places(rule)} & {*_places(other)}):
            yield Conflict(kind="place", other=other, wins=wins, place=place)
        items = _both(rule, other)
        if items:
            yield Conflict(kind="pinned twice", other=other, wins=wins, items=items)
    elif _OPPOSITE.get(Rule.Action(rule.action)) == other.action:
        items = _both(rule, other)
        if items:
            yield Conflict(kind="both ways", other=other, wins=wins, items=items)


def _places(rule: Rule) -> range:
    return range(rule.place, rule.place + len(rule.items))


def _both(one: Rule, other: Rule) -> tuple[str, ...]:
    """Return the items that both speak of; of two rules without single items none are looked for."""
    if one.items and other.items:
        return tuple(key for key in one.items if key in other.items)
    named, filtering = (one, other) if one.items else (other, one)
    if not named.items:
        return ()
    document = registry.get(one.document)
    wanted = read_filters(filtering.item_filters, document.filter_kinds())
    passing = filter_matching.passing_rows(document, named.items, wanted=wanted)
    return tuple(key for key in named.items if key in passing)
