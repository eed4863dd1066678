"""Holds all that a list without a query is made from, and makes the plain lists that others are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import BackendUnavailable, ItemNotFound, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.curation.placements import Placement
from llmrec_plugin.services.deployment.engines import asking
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.items import filter_matching
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import LearnedModel, adaptation_of, learned_by
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.recommendations.prerequisites import LearnerProgress
from llmrec_plugin.services.serving import popular_items
from llmrec_plugin.services.serving.rule_application import ActiveRules
from llmrec_plugin.types import EngineQuery, Filter, Hit, RankedItem, Vector

CONFINED = 5
"""A list of which not all items may be shown is looked through so many times as far."""
CHUNK = 1000
DIVERSIFIED_PLACES = 50
FURTHEST = 20_000
"""Items that are looked through at most for a list that is still too short."""


class Anchor(NamedTuple):
    """A frozen value that names the item that a list is about."""

    key: str
    object: Any
    """The site's own row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecommendationContext:
    """A frozen record that holds all that a list is made from."""

    placement: Placement
    document: SearchDocument[Any]
    pair: LivePair | None
    """None: no index is live."""
    configuration: Configuration
    user: UserContext
    hidden: frozenset[str]
    """Items that the user does not see here."""
    active_rules: ActiveRules
    now: datetime
    item_id: str | None = None
    """Of the item that the page is about; for lists that need one."""
    basket: tuple[str, ...] = ()
    """What the user is about to buy."""
    progress: LearnerProgress | None = None
    """How far the user has come; for lists that need a progression."""
    explain: bool = False
    """Name every past item that moved one of the list."""

    @cached_property
    def anchor(self) -> Anchor:
        """Return the item that the list is about; one query. Raises ItemNotFound where there is none."""
        found = self.document.in_bulk([self.item_id or ""])
        if not found:
            raise ItemNotFound(f'"{self.document.label}" has no item "{self.item_id or ""}".')
        return Anchor(*next(iter(found.items())))

    @cached_property
    def model(self) -> LearnedModel:
        return learned_by(self.pair.model_version if self.pair else None)

    @cached_property
    def adaptation(self) -> Adaptation | None:
        return adaptation_of(self.pair, self.configuration) if self.pair else None

    @property
    def limit(self) -> int:
        return self.configuration.candidates

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Return what the list is confined to."""
        return self.active_rules.context.filters

    @property
    def diversity(self) -> float:
        """Return how far for-you is spread out; other types are only where their placement says so."""
        return self.configuration.diversity if self.placement.diversity is None else self.placement.diversity

    def popular(self, hidden: Collection[str] | None = None) -> list[RankedItem]:
        return self.passing(
            popular_items.popular(
                self.document.label,
                self.model,
                self.configuration,
                limit=self.reach,
                hidden=self.hidden if hidden is None else hidden,
            )
        )

    def trending(self, hidden: Collection[str] | None = None) -> list[RankedItem]:
        return self.passing(
            popular_items.trending(
                self.document.label,
                self.configuration,
                limit=self.reach,
                hidden=self.hidden if hidden is None else hidden,
                now=self.now,
            )
        )

    def counted(self) -> Mapping[str, tuple[str, int]]:
        """Return how often each item of the trend was chosen of late."""
        return popular_items.counted(self.document.label, self.configuration, now=self.now)

    def latest(self, hidden: Collection[str] | None = None) -> list[RankedItem]:
        return self.passing(
            popular_items.latest(
                self.document, limit=self.reach, hidden=self.hidden if hidden is None else hidden
            )
        )

    def further(self, known: Collection[str], count: int) -> list[str]:
        """Return the keys of `count` more items that the list may show, as far as there are any at all."""
        found: list[str] = []
        for start in range(0, FURTHEST, CHUNK):
            keys = self._all_keys(start)
            passing = self.passing_keys([key for key in keys if key not in known])
            found += [key for key in keys if key in passing and key not in self.hidden]
            if len(found) >= count or len(keys) < CHUNK:
                break
        return found[:count]

    def _all_keys(self, start: int) -> list[str]:
        """Return CHUNK items from that place on, the newest first.

        They are of those that pass the filters if the engine can say, else of all.
        """
        if self.pair is not None and start == 0 and (self.filters or self.active_rules.unless):
            query = EngineQuery(filters=self.filters, unless=self.active_rules.unless, limit=CHUNK)
            version = self.pair.index_version
            with suppress(BackendUnavailable, NotFound), asking(version) as engine:
                listed = engine.search(version.name, query).listing
                if len(listed) < CHUNK:
                    return [hit.key for hit in listed]
        return popular_items.newest_keys(self.document, start=start, count=CHUNK)

    @property
    def reach(self) -> int:
        """Return how many items to look at for `limit` that may be shown."""
        return self.limit * CONFINED if self._is_confined else self.limit

    @property
    def _is_confined(self) -> bool:
        return bool(self.filters or self.active_rules.unless or self.active_rules.context.allowed)

    def presentable(self, items: Iterable[RankedItem], hidden: Collection[str]) -> list[RankedItem]:
        """Return each item once, without those hidden, as `passing`."""
        unique: dict[str, RankedItem] = {}
        for item in items:
            if item.key not in hidden:
                unique.setdefault(item.key, item)
        return self.passing(list(unique.values()))

    def passing(self, items: list[RankedItem]) -> list[RankedItem]:
        """Return those that the list may show, `limit` at most; a query where the list is confined."""
        if self._is_confined:
            passing = self.passing_keys([item.key for item in items])
            items = [item for item in items if item.key in passing]
        return items[: self.limit]

    def passing_keys(self, keys: Sequence[str]) -> Collection[str]:
        """Return those that pass the filters, are not hidden by a rule and may be shown to this user."""
        version = self.pair.index_version if self.pair else None
        passing = filter_matching.passing(
            self.document, keys, wanted=self.filters, unless=self.active_rules.unless, version=version
        )
        allowed = self.active_rules.context.allowed
        return passing if allowed is None else allowed(passing)

    def nearest(
        self, pair: LivePair, vector: Vector, *, exclude: Collection[str]
    ) -> tuple[list[Hit], tuple[str, ...]]:
        """Return the items nearest to the vector, and what is degraded."""
        query = EngineQuery(
            vector=vector,
            filters=self.filters,
            unless=self.active_rules.unless,
            limit=self.limit,
            exclude=frozenset(exclude),
        )
        try:
            with asking(pair.index_version) as engine:
                return list(engine.search(pair.index_version.name, query).vector), ()
        except (BackendUnavailable, NotFound):
            return [], ("engine",)

    def vectors(self, keys: Iterable[str]) -> dict[str, Vector]:
        return vectors_of(self.pair.index_version, keys) if self.pair else {}
