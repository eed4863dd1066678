"""How each type of list without a query is made, from the candidates to their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.learning.pointwise import Pointwise
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking.items import best_first
from llmrec_plugin.ranking.personal import rank_for_user
from llmrec_plugin.ranking.profile import Profile, stated_profile
from llmrec_plugin.ranking.stages import Diversity
from llmrec_plugin.services import (
    matching,
    popularity,
    profiles,
    queries,
    reasons,
    stated,
    training,
    weighing,
)
from llmrec_plugin.services.adaptation import Adaptation
from llmrec_plugin.services.live import LivePair, engine_of
from llmrec_plugin.services.placements import Placement
from llmrec_plugin.services.profiles import KnownUser
from llmrec_plugin.services.rules import Ruling
from llmrec_plugin.services.training import Collaborative
from llmrec_plugin.services.vectors import vectors_of
from llmrec_plugin.types import EngineQuery, Filter, Hit, RankedItem, Vector

ABOUT_AN_ITEM = ("similar", "also")
"""Types of lists that need the item they are about."""
ANCHORS_TRIED = 10
"""Latest items of the user that are looked through for one that still exists."""
CONFINED = 5
"""A list of which not all items may be shown is looked through so many times as far."""
POPULAR_CANDIDATES = 50
DIVERSIFIED_PLACES = 50
NEWEST_WEIGHT = 0.5
"""What the newest item counts against the most popular one where nothing is known of the user."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """All that a list is made from."""

    slot: Placement
    document: SearchDocument[Any]
    pair: LivePair | None
    """None: no index is live."""
    configuration: Configuration
    user: KnownUser
    hidden: frozenset[str]
    """Items that the user does not see here."""
    ruling: Ruling
    now: datetime

    @cached_property
    def learned(self) -> Collaborative:
        return training.collaborative(self.pair.model_version if self.pair else None)

    @cached_property
    def adaptation(self) -> Adaptation | None:
        return training.adaptation_of(self.pair, self.configuration) if self.pair else None

    @property
    def limit(self) -> int:
        return self.configuration.candidates

    @property
    def wanted(self) -> tuple[Filter, ...]:
        """What the list is confined to."""
        return self.ruling.occasion.filters

    def popular(self, hidden: Collection[str] | None = None) -> list[RankedItem]:
        return self.passing(
            popularity.popular(
                self.document.label,
                self.learned,
                self.configuration,
                limit=self.reach,
                hidden=self.hidden if hidden is None else hidden,
            )
        )

    def latest(self, hidden: Collection[str] | None = None) -> list[RankedItem]:
        return self.passing(
            popularity.latest(
                self.document, limit=self.reach, hidden=self.hidden if hidden is None else hidden
            )
        )

    def trending(self) -> list[RankedItem]:
        return self.passing(
            popularity.trending(
                self.document.label, self.configuration, limit=self.reach, hidden=self.hidden, now=self.now
            )
        )

    @property
    def reach(self) -> int:
        """How far to look in a list of which not all may pass."""
        return self.limit * CONFINED if self.wanted or self.ruling.unless else self.limit

    def passing(self, items: list[RankedItem]) -> list[RankedItem]:
        """Those that the list may show, `limit` at most."""
        if self.wanted or self.ruling.unless:
            passing = self.passing_keys([item.key for item in items])
            items = [item for item in items if item.key in passing]
        return items[: self.limit]

    def passing_keys(self, keys: Sequence[str]) -> set[str]:
        version = self.pair.index_version if self.pair else None
        return matching.passing(
            self.document, keys, wanted=self.wanted, unless=self.ruling.unless, version=version
        )

    def nearest(
        self, pair: LivePair, vector: Vector, *, exclude: Collection[str]
    ) -> tuple[list[Hit], tuple[str, ...]]:
        """The items nearest to the vector, and what is degraded."""
        query = EngineQuery(
            vector=vector,
            filters=self.wanted,
            unless=self.ruling.unless,
            limit=self.limit,
            exclude=frozenset(exclude),
        )
        try:
            return list(engine_of(pair.index_version).search(pair.index_version.name, query).vector), ()
        except (BackendUnavailable, NotFound):
            return [], ("engine",)

    def vectors(self, keys: Iterable[str]) -> dict[str, Vector]:
        return vectors_of(self.pair.index_version, keys) if self.pair else {}


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A list as it was made."""

    items: Sequence[RankedItem]
    context: reasons.Context
    degraded: tuple[str, ...] = ()


def fill(scene: Scene, *, item: str | None = None) -> Shelf:
    """The list of the scene's placement; raises NotFound for an item that does not exist."""
    if scene.slot.type in ABOUT_AN_ITEM:
        anchor, obj = _existing(scene, item or "")
        return (_similar if scene.slot.type == "similar" else _also)(scene, anchor, obj)
    return _FOR_SLOT[scene.slot.type](scene)


def in_order(scene: Scene, keys: Sequence[str]) -> list[RankedItem]:
    """These items as for-you would rank them, best first."""
    profile, _ = _profile(scene)
    also = scene.learned.also_by_source(_liked(scene))
    ranked, _ = _ranked_for_user(scene, keys, profile, also, scene.popular())
    return ranked


def _existing(scene: Scene, key: str) -> tuple[str, Any]:
    found = scene.document.in_bulk([key])
    if not found:
        raise NotFound(f'"{scene.document.label}" has no item "{key}".')
    return next(iter(found.items()))


def _popular(scene: Scene) -> Shelf:
    items = popularity.chain(scene.popular(), scene.latest, limit=scene.limit)
    return Shelf(items=items, context=reasons.context_of(items))


def _trending(scene: Scene) -> Shelf:
    items = popularity.chain(scene.trending(), scene.popular, scene.latest, limit=scene.limit)
    return Shelf(items=items, context=reasons.context_of(items))


def _latest(scene: Scene) -> Shelf:
    items = scene.latest()
    return Shelf(items=items, context=reasons.context_of(items))


def _for_you(scene: Scene) -> Shelf:
    """Candidates by taste, by other people and by popularity, ranked together and spread out."""
    profile, degraded = _profile(scene)
    liked = _liked(scene)
    if profile is None and not liked:
        return replace(_for_nobody(scene), degraded=degraded)
    # What he looked at lately is known to him: it only fills a list that would be too short.
    hidden = scene.hidden | {event.key for event in scene.user.events}
    near: list[Hit] = []
    if scene.pair is not None and profile is not None and profile.seed is not None:
        near, missing = scene.nearest(scene.pair, profile.seed, exclude=hidden)
        degraded += missing
    also = scene.learned.also_by_source(liked)
    popular = scene.popular(hidden)
    others = _strongest(also, hidden, limit=scene.limit)
    passing = scene.passing_keys(others)
    candidates = [hit.key for hit in near] + [key for key in others if key in passing]
    candidates += [item.key for item in popular[:POPULAR_CANDIDATES]]
    ranked, pointwise = _ranked_for_user(scene, candidates, profile, also, popular)
    items = popularity.chain(ranked, lambda: popular, scene.popular, scene.latest, limit=scene.limit)
    context = reasons.context_of(
        items,
        sources=scene.user.kinds(scene.configuration),
        stated=not scene.user.events,
        also_kind=scene.learned.kind,
        pointwise=pointwise,
    )
    return Shelf(items=items, context=context, degraded=tuple(dict.fromkeys(degraded)))


def _liked(scene: Scene) -> dict[str, float]:
    return profiles.liked(
        scene.user, configuration=scene.configuration, now=scene.now, adaptation=scene.adaptation
    )


def _profile(scene: Scene) -> tuple[Profile | None, tuple[str, ...]]:
    """The taste of his events; before there are any, of what he says about himself."""
    user = scene.user
    if not user.consented or scene.pair is None:
        return None, ()
    version = scene.pair.index_version
    if user.events:
        profile = profiles.cached_taste(
            user, version, configuration=scene.configuration, now=scene.now, adaptation=scene.adaptation
        )
        return profile, ()
    vector, degraded = stated.vector_of(user.key, version=version)
    return (None if vector is None else stated_profile(vector)), degraded


def _strongest(also: Mapping[str, Mapping[str, float]], hidden: Collection[str], *, limit: int) -> list[str]:
    totals = {key: sum(causes.values()) for key, causes in also.items() if key not in hidden}
    return sorted(totals, key=lambda key: (-totals[key], key))[:limit]


def _ranked_for_user(
    scene: Scene,
    candidates: Sequence[str],
    profile: Profile | None,
    also: Mapping[str, Mapping[str, float]],
    popular: Sequence[RankedItem],
) -> tuple[list[RankedItem], Pointwise | None]:
    """In their order, and what makes probabilities of their contributions."""
    vectors = scene.vectors(candidates)
    prior = scene.learned.popularity_of(candidates) or {item.key: item.score for item in popular}
    weights = weighing.weights_of(scene.adaptation, scene.learned, scene.configuration)
    ranked = rank_for_user(
        candidates, profile=profile, vectors=vectors, also=also, prior=prior, weights=weights
    )
    pointwise = weighing.pointwise_of(
        scene.adaptation, ranked, profile=profile, vectors=vectors, also=also, prior=prior, weights=weights
    )
    named = [item if item.key in prior else _without_events(item) for item in ranked]
    return Diversity(vectors, scene.configuration.diversity, DIVERSIFIED_PLACES)(named), pointwise


def _without_events(item: RankedItem) -> RankedItem:
    """An item that nobody chose yet counts as average in popularity, but is not called popular."""
    contributions = {
        "average" if name == "popularity" else name: value for name, value in item.contributions.items()
    }
    return item._replace(contributions=contributions)


def _for_nobody(scene: Scene) -> Shelf:
    """Popular and new items mixed, for one of whom nothing is known."""
    contributions: dict[str, dict[str, float]] = {}
    for item in scene.popular():
        contributions[item.key] = dict(item.contributions)
    for item in scene.latest():
        contributions.setdefault(item.key, {})["freshness"] = NEWEST_WEIGHT * item.score
    items = best_first(
        RankedItem(key=key, score=sum(parts.values()), contributions=parts)
        for key, parts in contributions.items()
    )[: scene.limit]
    return Shelf(items=items, context=reasons.context_of(items))


def _because_you_viewed(scene: Scene) -> Shelf:
    """What goes with the item that the user turned to last; without one, as for-you."""
    kinds: dict[str, str] = {}
    for event in scene.user.events:
        if event.kind in scene.slot.anchor:
            kinds.setdefault(event.key, event.kind)
    tried = list(kinds)[:ANCHORS_TRIED]
    objects = scene.document.in_bulk(tried) if tried else {}
    anchor = next((key for key in tried if key in objects), None)
    if anchor is None:
        return _for_you(scene)
    near, degraded = _near_item(scene, anchor, objects[anchor])
    weight, weight_also = scene.configuration.recommendation_taste, scene.configuration.recommendation_also
    both: dict[str, dict[str, float]] = {}
    for item in near:
        both[item.key] = {"vector": weight * item.score}
    for item in _neighbours(scene, anchor):
        both.setdefault(item.key, {})[f"also:{anchor}"] = weight_also * item.score
    items = best_first(
        RankedItem(key=key, score=sum(parts.values()), contributions=parts) for key, parts in both.items()
    )
    return _about(scene, anchor, items, degraded, anchor_kind=kinds[anchor])


def _similar(scene: Scene, anchor: str, obj: Any) -> Shelf:
    near, degraded = _near_item(scene, anchor, obj)
    return _about(scene, anchor, near, degraded)


def _also(scene: Scene, anchor: str, obj: Any) -> Shelf:
    near, degraded = _near_item(scene, anchor, obj)
    items = popularity.chain(_neighbours(scene, anchor), lambda: near, limit=scene.limit)
    return _about(scene, anchor, items, degraded)


def _about(
    scene: Scene,
    anchor: str,
    items: Sequence[RankedItem],
    degraded: tuple[str, ...],
    *,
    anchor_kind: str = "",
) -> Shelf:
    hidden = scene.hidden | {anchor}
    chained = popularity.chain(
        items, partial(scene.popular, hidden), partial(scene.latest, hidden), limit=scene.limit
    )
    context = reasons.context_of(
        chained, anchor=anchor, anchor_kind=anchor_kind, also_kind=scene.learned.kind
    )
    return Shelf(items=chained, context=context, degraded=degraded)


def _neighbours(scene: Scene, anchor: str) -> list[RankedItem]:
    """What people with the anchor took as well; the strongest counts 1."""
    rows = [row for row in scene.learned.also(anchor) if row[0] not in scene.hidden and row[0] != anchor]
    passing = scene.passing_keys([key for key, _ in rows])
    rows = [row for row in rows if row[0] in passing]
    largest = rows[0][1] if rows else 1.0
    return [
        RankedItem(key=key, score=weight / largest, contributions={f"also:{anchor}": weight / largest})
        for key, weight in rows
    ]


def _near_item(scene: Scene, anchor: str, obj: Any) -> tuple[list[RankedItem], tuple[str, ...]]:
    """Items whose text means something alike, the nearest first, by cosine."""
    if not get_settings().ENABLED:
        return [], ()
    if scene.pair is None:
        return [], ("engine",)
    vector = scene.vectors([anchor]).get(anchor)
    if vector is None:
        vector = _encoded(scene, scene.pair, obj)
        if vector is None:
            return [], ("vector",)
    hits, degraded = scene.nearest(scene.pair, vector, exclude=scene.hidden | {anchor})
    items = [
        RankedItem(key=hit.key, score=hit.score, contributions={"vector": hit.score})
        for hit in hits
        if hit.score > 0
    ]
    return items, degraded


def _encoded(scene: Scene, pair: LivePair, obj: Any) -> Vector | None:
    """The vector of an item that is too new to be in the index."""
    prepared = scene.document.prepare(obj)
    if prepared is None:
        return None
    return queries.encode_document(prepared.passage, version=pair.index_version)


_FOR_SLOT: Mapping[str, Callable[[Scene], Shelf]] = {
    "for-you": _for_you,
    "because-you-viewed": _because_you_viewed,
    "trending": _trending,
    "popular": _popular,
    "latest": _latest,
}
