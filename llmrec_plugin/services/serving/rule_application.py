"""Which rules hold for a request, and what they do to its list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmrec_plugin.analysis.text import fold
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Configuration, IndexVersion, Interaction, Rule
from llmrec_plugin.ranking.rules import Decision, arrange
from llmrec_plugin.services.curation.phrases import contains
from llmrec_plugin.services.curation.rules import KnownRule, rules_in_effect
from llmrec_plugin.services.items import filter_matching, filters
from llmrec_plugin.services.items.preparation import prepared_if_it_can_be
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.types import ANONYMOUS, Filter, Phrase, PreparedItem, RankedItem, Scalar, Terms

SLACK = 10
"""So many items beyond the last pinned place are looked up with it, in case that some have vanished."""


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """A frozen record that says of a list what rules are compared with, before it is made."""

    document: SearchDocument[Any]
    version: IndexVersion | None
    """None: no index is live."""
    placement: str
    user: UserContext
    now: datetime
    text: str = ""
    filters: tuple[Filter, ...] = ()
    """What the list is confined to."""
    phrases: tuple[Phrase, ...] = ()
    """What the visitor asks for in quotes."""
    without: tuple[Phrase, ...] = ()
    """What they do not want."""
    hidden: frozenset[str] = frozenset()
    """Items that the user does not see here, pinned or not."""
    allowed: Callable[[Collection[str]], Collection[str]] | None = None
    """Those of the items that this user may be shown here; None: all."""
    ordered: bool = False
    """The visitor chose an order: then only what is hidden counts."""


@dataclass(frozen=True, kw_only=True)
class ActiveRules:
    """The rules that hold for one list stand here in the order of their priority."""

    context: RuleContext
    rules: tuple[KnownRule, ...] = ()

    @property
    def hidden(self) -> frozenset[str]:
        """Return the items that must not be found."""
        return frozenset(key for rule in self.rules if rule.action == "hide" for key in rule.items)

    @property
    def unless(self) -> tuple[tuple[Filter, ...], ...]:
        """Return what all items have that must not be found, as `EngineQuery.unless` takes it."""
        return tuple(rule.item_filters for rule in self.rules if rule.action == "hide" and rule.item_filters)

    @property
    def arranging(self) -> tuple[KnownRule, ...]:
        """Return the rules that move items of the list; hidden ones were not found to begin with."""
        return tuple(rule for rule in self.rules if rule.action != "hide")

    def apply(self, items: Sequence[RankedItem]) -> RuleResult:
        """Return the list as the rules want it; no query unless one pins, or names items by filters."""
        if not self.arranging:
            return RuleResult(items=items)
        pins = _resolved_pins(self, [item.key for item in items])
        shown = [item for item in items if item.key not in pins.missing]
        return RuleResult(
            items=arrange(shown, _decisions(self, [item.key for item in items], pins)),
            added=pins.joining,
            gone=len(items) - len(shown),
        )


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """A frozen record that tells what became of a list by the rules."""

    items: Sequence[RankedItem]
    added: tuple[PreparedItem, ...] = ()
    """Pinned items that were not in it."""
    gone: int = 0
    """How many were left out since they are not there any more."""

    def counted(self, facets: Mapping[str, Mapping[Scalar, int]]) -> Mapping[str, Mapping[Scalar, int]]:
        """Return the counts with what was added."""
        if not self.added:
            return facets
        result = {name: dict(counts) for name, counts in facets.items()}
        for document in self.added:
            for name, counts in result.items():
                for value in filters.values_of(document.filters.get(name)):
                    counts[value] = counts.get(value, 0) + 1
        return result


def active_rules(context: RuleContext, configuration: Configuration) -> ActiveRules:
    """Return the rules that hold now for this list; one query at most, and that only after a change.

    A rule for those of whom nothing is known takes a second one where the user's events were not read.
    """
    candidates = rules_in_effect(configuration).get(context.document.label, ())
    if not candidates:
        return ActiveRules(context=context)
    text = fold(context.text)
    holding = [rule for rule in candidates if _holds(rule, context, text)]
    if any(rule.audience == Rule.Audience.NEW for rule in holding) and not _is_new(context):
        holding = [rule for rule in holding if rule.audience != Rule.Audience.NEW]
    return ActiveRules(context=context, rules=tuple(holding))


def _holds(rule: KnownRule, context: RuleContext, text: str) -> bool:
    """Return whether the rule holds, as far as that is known without asking the database."""
    return (
        (not context.ordered or rule.action == "hide")
        and (not rule.placements or context.placement in rule.placements)
        and (rule.starts_at is None or rule.starts_at <= context.now)
        and (rule.ends_at is None or context.now < rule.ends_at)
        and _is_of_audience(rule.audience, context.user)
        and _is_asked_for(rule, text)
        and all(_is_confined(context.filters, wanted) for wanted in rule.list_filters)
        and _is_indexed(rule, context.version)
    )


def _is_of_audience(audience: str, user: UserContext) -> bool:
    """Return whether the rule is for this user; NEW is looked at later, as it may take a query."""
    logged_in = bool(user.key) and not user.key.startswith(ANONYMOUS)
    if audience == Rule.Audience.ANONYMOUS:
        return not logged_in
    return audience != Rule.Audience.KNOWN or logged_in


def _is_new(context: RuleContext) -> bool:
    """Return whether nothing is known of the user: without their consent nothing may be."""
    user = context.user
    if not user.consented or user.events:
        return not user.consented
    return not Interaction.objects.filter(user_key=user.key, document=context.document.label).exists()


def _is_asked_for(rule: KnownRule, text: str) -> bool:
    if rule.match == Rule.Match.EXACT:
        return text in rule.phrases
    return rule.match == Rule.Match.ANY or any(contains(text, phrase) for phrase in rule.phrases)


def _is_confined(given: Iterable[Filter], wanted: Filter) -> bool:
    """Return whether one of the filters of the list lets nothing through but what the rule speaks of."""
    for item in given:
        if item == wanted:
            return True
        if isinstance(item, Terms) and isinstance(wanted, Terms) and item.field == wanted.field:
            return bool(item.values) and set(item.values) <= set(wanted.values)
    return False


def _is_indexed(rule: KnownRule, version: IndexVersion | None) -> bool:
    """Return False while the live index does not hold what the rule filters by."""
    if version is None:
        return True
    return all(item.field in filters.kinds_of(version) for item in rule.item_filters)


@dataclass(frozen=True, kw_only=True)
class _ResolvedPins:
    """A frozen record that tells what became of the pinned items, and of those that a place is counted
    among."""

    missing: frozenset[str] = frozenset()
    """Keys of what cannot be shown."""
    joining: tuple[PreparedItem, ...] = ()
    """Pinned items that were not found, and may be shown all the same."""


def _resolved_pins(active: ActiveRules, keys: Sequence[str]) -> _ResolvedPins:
    """Look up the pins and the first places of the list, in one query; none without pins.

    A place is counted among what the visitor sees, so items that have vanished since they were indexed must
    not count before a pin.
    """
    pinning = [rule for rule in active.rules if rule.action == "pin"]
    if not pinning:
        return _ResolvedPins()
    last = max(rule.place + len(rule.items) for rule in pinning)
    pins = [key for rule in pinning for key in rule.items]
    looked_up = dict.fromkeys([*pins, *keys[: last + SLACK]])
    rows = active.context.document.in_bulk(list(looked_up))
    found = set(keys)
    prepared = _prepared(active.context.document, {key: row for key, row in rows.items() if key not in found})
    joining = {key: prepared[key] for key in _allowed(prepared.keys(), active, prepared)}
    missing = (key for key in looked_up if key not in rows or (key not in found and key not in joining))
    return _ResolvedPins(
        missing=frozenset(missing), joining=tuple(joining[key] for key in looked_up if key in joining)
    )


def _prepared(document: SearchDocument[Any], rows: Mapping[str, Any]) -> dict[str, PreparedItem]:
    """Return the rows that can be found, as an index would have them."""
    found = {key: prepared_if_it_can_be(document, row) for key, row in rows.items()}
    return {key: item for key, item in found.items() if item is not None}


def _allowed(keys: Collection[str], active: ActiveRules, prepared: Mapping[str, PreparedItem]) -> list[str]:
    """Return those of the keys that this user may be shown here, and that the list is about."""
    allowed = active.context.allowed
    shown = keys if allowed is None or not keys else set(keys) & set(allowed(keys))
    return [key for key in shown if _fits(prepared[key], active)]


def _fits(document: PreparedItem, active: ActiveRules) -> bool:
    """Return whether an item, though pinned, is what the visitor asked for, and not hidden."""
    return (
        document.key not in active.hidden | active.context.hidden
        and filters.matches(active.context.filters, document.filters)
        and not any(filters.matches(group, document.filters) for group in active.unless)
        and _has_words(document, active.context)
    )


def _has_words(document: PreparedItem, context: RuleContext) -> bool:
    """Return whether the item has the phrases that were asked for, and none that is not wanted."""
    return all(filter_matching.holds(document, phrase) for phrase in context.phrases) and not any(
        filter_matching.holds(document, phrase) for phrase in context.without
    )


def _decisions(active: ActiveRules, keys: Sequence[str], pins: _ResolvedPins) -> list[Decision]:
    """Return each rule with the items that it is about; a query for each that names them by filters."""
    return [
        Decision(
            name=rule.name,
            action=rule.action,
            keys=tuple(key for key in _items_of(rule, keys, active.context) if key not in pins.missing),
            place=rule.place,
            strength=rule.strength,
        )
        for rule in active.arranging
    ]


def _items_of(rule: KnownRule, keys: Sequence[str], context: RuleContext) -> Collection[str]:
    if not rule.item_filters:
        return rule.items
    return filter_matching.passing(context.document, keys, wanted=rule.item_filters, version=context.version)
