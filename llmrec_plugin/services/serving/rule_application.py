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
from llmrec_plugin.services.curation.rules import KnownRule, _rules, _tried
from llmrec_plugin.services.interactions.recording import ANONYMOUS
from llmrec_plugin.services.items import filter_matching, filters
from llmrec_plugin.services.items.preparation import prepared_items
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.types import Filter, Phrase, PreparedItem, RankedItem, Scalar, Terms

SLACK = 10
"""So many items beyond the last pinned place are looked up with it, in case that some have vanished."""


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """A list that is about to be made."""

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
    """What he does not want."""
    hidden: frozenset[str] = frozenset()
    """Items that the user does not see here, pinned or not."""
    allowed: Callable[[Collection[str]], Collection[str]] | None = None
    """Those of the items that this user may be shown here; None: all."""
    ordered: bool = False
    """The visitor chose an order himself: then only what is hidden counts."""


@dataclass(frozen=True, kw_only=True)
class ActiveRules:
    """The rules that hold for one list, in the order of their priority."""

    occasion: RuleContext
    rules: tuple[KnownRule, ...] = ()

    @property
    def hidden(self) -> frozenset[str]:
        """Items that must not be found."""
        return frozenset(key for rule in self.rules if rule.action == "hide" for key in rule.items)

    @property
    def unless(self) -> tuple[tuple[Filter, ...], ...]:
        """As `EngineQuery.unless`: what all items have that must not be found."""
        return tuple(rule.item_filters for rule in self.rules if rule.action == "hide" and rule.item_filters)

    def apply(self, items: Sequence[RankedItem]) -> RuleResult:
        """The list as the rules want it; no query unless one of them pins, or names no single items."""
        active = [rule for rule in self.rules if rule.action != "hide"]
        if not active:
            return RuleResult(items=items)
        keys = [item.key for item in items]
        pins = [key for rule in active if rule.action == "pin" for key in rule.items]
        gone: frozenset[str] = frozenset()
        added: dict[str, PreparedItem] = {}
        if pins:
            last = max(rule.place + len(rule.items) for rule in active if rule.action == "pin")
            gone, added = self._looked_up(keys, pins, last + SLACK)
        decisions = [
            Decision(
                name=rule.name,
                action=rule.action,
                keys=tuple(key for key in self._keys_of(rule, keys) if key not in gone),
                place=rule.place,
                strength=rule.strength,
            )
            for rule in active
        ]
        kept = [item for item in items if item.key not in gone]
        return RuleResult(
            items=arrange(kept, decisions), added=tuple(added.values()), gone=len(items) - len(kept)
        )

    def _keys_of(self, rule: KnownRule, keys: Sequence[str]) -> Collection[str]:
        if not rule.item_filters:
            return rule.items
        return filter_matching.passing(
            self.occasion.document, keys, wanted=rule.item_filters, version=self.occasion.version
        )

    def _looked_up(
        self, keys: Sequence[str], pins: Sequence[str], places: int
    ) -> tuple[frozenset[str], dict[str, PreparedItem]]:
        """What of the pins and of the first places cannot be shown, and pinned items that join the list.

        One query. A place is counted among what the visitor sees, so items that have vanished since they
        were indexed must not count before a pin.
        """
        wanted = dict.fromkeys([*pins, *keys[:places]])
        prepared = prepared_items(self.occasion.document, list(wanted))
        found = set(keys)
        joining = {key for key in pins if key in prepared and key not in found}
        if joining and self.occasion.allowed is not None:
            joining &= set(self.occasion.allowed(joining))
        added = {
            key: document
            for key in dict.fromkeys(pins)
            if key in joining and self._fits(document := prepared[key])
        }
        gone = frozenset(
            key for key in wanted if key not in prepared or (key not in found and key not in added)
        )
        return gone, added

    def _fits(self, document: PreparedItem) -> bool:
        """Pinned items, too, are what the visitor asked for, and not hidden."""
        return (
            document.key not in self.hidden | self.occasion.hidden
            and filters.matches(self.occasion.filters, document.filters)
            and not any(filters.matches(group, document.filters) for group in self.unless)
            and all(filter_matching.holds(document, phrase) for phrase in self.occasion.phrases)
            and not any(filter_matching.holds(document, phrase) for phrase in self.occasion.without)
        )


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """A list after the rules."""

    items: Sequence[RankedItem]
    added: tuple[PreparedItem, ...] = ()
    """Pinned items that were not in it."""
    gone: int = 0
    """How many were left out since they are not there any more."""

    def counted(self, facets: Mapping[str, Mapping[Scalar, int]]) -> Mapping[str, Mapping[Scalar, int]]:
        """The counts with what was added."""
        if not self.added:
            return facets
        result = {name: dict(counts) for name, counts in facets.items()}
        for document in self.added:
            for name, counts in result.items():
                for value in filters.values_of(document.filters.get(name)):
                    counts[value] = counts.get(value, 0) + 1
        return result


def active_rules(occasion: RuleContext, configuration: Configuration) -> ActiveRules:
    """The rules that hold now for this list; one query at most, and that only after a change.

    A rule for those of whom nothing is known takes a second one where the user's events were not read.
    """
    tried = _tried.get()
    by_document = _rules.get(configuration) if tried is None else tried
    candidates = by_document.get(occasion.document.label, ())
    if not candidates:
        return ActiveRules(occasion=occasion)
    text = fold(occasion.text)
    holding = [rule for rule in candidates if _holds(rule, occasion, text)]
    if any(rule.audience == Rule.Audience.NEW for rule in holding) and not _is_new(occasion):
        holding = [rule for rule in holding if rule.audience != Rule.Audience.NEW]
    return ActiveRules(occasion=occasion, rules=tuple(holding))


def _holds(rule: KnownRule, occasion: RuleContext, text: str) -> bool:
    """All that can be told without asking the database."""
    return (
        (not occasion.ordered or rule.action == "hide")
        and (not rule.placements or occasion.placement in rule.placements)
        and (rule.starts_at is None or rule.starts_at <= occasion.now)
        and (rule.ends_at is None or occasion.now < rule.ends_at)
        and _is_of_audience(rule.audience, occasion.user)
        and _is_asked_for(rule, text)
        and all(_is_confined(occasion.filters, wanted) for wanted in rule.list_filters)
        and _is_indexed(rule, occasion.version)
    )


def _is_of_audience(audience: str, user: UserContext) -> bool:
    """NEW is looked at later: it may take a query."""
    logged_in = bool(user.key) and not user.key.startswith(ANONYMOUS)
    if audience == Rule.Audience.ANONYMOUS:
        return not logged_in
    return audience != Rule.Audience.KNOWN or logged_in


def _is_new(occasion: RuleContext) -> bool:
    """Without consent nothing may be known of him."""
    user = occasion.user
    if not user.consented or user.events:
        return not user.consented
    return not Interaction.objects.filter(user_key=user.key, document=occasion.document.label).exists()


def _is_asked_for(rule: KnownRule, text: str) -> bool:
    if rule.match == Rule.Match.EXACT:
        return text in rule.phrases
    return rule.match == Rule.Match.ANY or any(contains(text, phrase) for phrase in rule.phrases)


def _is_confined(given: Iterable[Filter], wanted: Filter) -> bool:
    """Whether one of the filters of the list lets nothing through but what the rule speaks of."""
    for item in given:
        if item == wanted:
            return True
        if isinstance(item, Terms) and isinstance(wanted, Terms) and item.field == wanted.field:
            return bool(item.values) and set(item.values) <= set(wanted.values)
    return False


def _is_indexed(rule: KnownRule, version: IndexVersion | None) -> bool:
    """False while the live index does not hold what the rule filters by."""
    if version is None:
        return True
    return all(item.field in filters.kinds_of(version) for item in rule.item_filters)
