"""How each type of list without a query is made, from the candidates to their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.ranking.personal import PersonalWeights, rank_for_user
from llmrec_plugin.ranking.profile import Profile, stated_profile
from llmrec_plugin.ranking.reserve import reserve
from llmrec_plugin.ranking.stages import NAMED_PARTS, Diversity
from llmrec_plugin.services.curation.placements import ABOUT_AN_ITEM
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.profiles import declared_interests, taste
from llmrec_plugin.services.recommendations import weights as weighing
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.serving import popular_items, reasons
from llmrec_plugin.types import ContributionCode, Hit, RankedItem, Vector

ANCHORS_TRIED = 10
"""Latest items of the user that are looked through for one that still exists."""
POPULAR_CANDIDATES = 50
DIVERSIFIED_PLACES = 50
NEW_ITEMS = 50
"""So many of the latest items that nobody has chosen are new."""
NEXT_WEIGHT = 0.5
"""What leads on from something taken counts this much more, about as much as what others took next."""
NEWEST_WEIGHT = 0.5
"""What the newest item counts against the most popular one where nothing is known of the user."""


@dataclass(frozen=True, kw_only=True)
class CandidateList:
    """A list as it was made."""

    items: Sequence[RankedItem]
    context: reasons.ReasonContext
    degraded: tuple[str, ...] = ()
    beside: frozenset[str] = frozenset()
    """Items that the list is about, or in the basket: never in it."""


def recommend_items(scene: RecommendationContext, *, item_id: str | None = None) -> CandidateList:
    """The list of the scene's placement; raises NotFound for an item that does not exist."""
    if scene.slot.type in ABOUT_AN_ITEM:
        anchor, obj = _existing(scene, item_id or "")
        shelf = (_similar if scene.slot.type == "similar" else _also)(scene, anchor, obj)
    else:
        shelf = _FOR_SLOT[scene.slot.type](scene)
    items = shelf.items
    if scene.slot.diversity and scene.slot.type != "for-you":
        vectors = scene.vectors(item.key for item in items[:DIVERSIFIED_PLACES])
        items = Diversity(vectors, scene.slot.diversity, DIVERSIFIED_PLACES)(items)
    if scene.slot.fresh:
        items = reserve(items, _new(scene), scene.slot.fresh)
    return replace(shelf, items=items, context=_with_counts(scene, items, shelf.context))


def _with_counts(
    scene: RecommendationContext, items: Sequence[RankedItem], context: reasons.ReasonContext
) -> reasons.ReasonContext:
    """The context, with what popularity counts, and how often what is of the trend was chosen this week."""
    trend = [item.key for item in items if "trending" in item.contributions]
    times = scene.counted() if trend else {}
    return replace(
        context,
        weekly_counts={key: times[key] for key in trend if key in times},
        uses_recent_popularity=scene.learned.uses_recent_popularity,
    )


def _new(scene: RecommendationContext) -> list[RankedItem]:
    """The latest items that nobody has chosen yet."""
    chosen = {item.key for item in scene.popular()}
    return [item for item in scene.latest() if item.key not in chosen][:NEW_ITEMS]


def backfill(
    scene: RecommendationContext, shelf: CandidateList, items: Sequence[RankedItem], count: int
) -> list[RankedItem]:
    """Whatever else the list may show, for one that has turned out too short."""
    score = min(0.0, items[-1].score) if items else 0.0
    keys = scene.further({*shelf.beside, *(item.key for item in items)}, count)
    return [
        RankedItem(key=key, score=score, contributions={"backfill": score} if score else {}) for key in keys
    ]


def _with_fallbacks(
    scene: RecommendationContext,
    items: Sequence[RankedItem],
    *others: Callable[[], Sequence[RankedItem]],
    hidden: Collection[str] | None = None,
    personal: bool = False,
) -> list[RankedItem]:
    """The list made longer by the placement's fallbacks, popular items unless it says so, and by new ones.

    `personal`: it is the list for-you itself.
    """
    lists: dict[str, Callable[[], Sequence[RankedItem]]] = {
        "for-you": lambda: [item for item in _for_you(scene).items if item.key not in (hidden or ())],
        "trending": partial(scene.trending, hidden),
        "popular": partial(scene.popular, hidden),
        "latest": partial(scene.latest, hidden),
    }
    names = dict.fromkeys((*(scene.slot.fallback or ("popular",)), "latest"))
    if personal:
        names.pop("for-you", None)
    return popular_items.concat_unique(items, *others, *(lists[name] for name in names), limit=scene.limit)


def rank_items(scene: RecommendationContext, keys: Sequence[str]) -> list[RankedItem]:
    """These items as for-you would rank them, best first."""
    profile, _ = _profile(scene)
    also = scene.learned.scores_by_history(_liked(scene))
    ranked, _ = _ranked_for_user(scene, keys, profile, also, scene.popular())
    return ranked


def _existing(scene: RecommendationContext, key: str) -> tuple[str, Any]:
    found = scene.document.in_bulk([key])
    if not found:
        raise NotFound(f'"{scene.document.label}" has no item "{key}".')
    return next(iter(found.items()))


def _popular(scene: RecommendationContext) -> CandidateList:
    items = _with_fallbacks(scene, scene.popular())
    return CandidateList(items=items, context=reasons.context_of(items))


def _trending(scene: RecommendationContext) -> CandidateList:
    items = _with_fallbacks(scene, scene.trending())
    return CandidateList(items=items, context=reasons.context_of(items))


def _latest(scene: RecommendationContext) -> CandidateList:
    items = scene.latest()
    return CandidateList(items=items, context=reasons.context_of(items))


def _for_you(scene: RecommendationContext) -> CandidateList:
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
    also = scene.learned.scores_by_history(liked)
    popular = scene.popular(hidden)
    candidates = [hit.key for hit in near] + _strongest(also, hidden, limit=scene.limit)
    passing = scene.passing_keys(candidates)
    candidates = [key for key in candidates if key in passing]
    candidates += [item.key for item in popular[:POPULAR_CANDIDATES]]
    ranked, pointwise = _ranked_for_user(scene, candidates, profile, also, popular)
    items = _with_fallbacks(scene, ranked, lambda: popular, personal=True)
    context = reasons.context_of(
        items,
        sources=scene.user.kinds(scene.configuration),
        has_declared_taste=not scene.user.events,
        neighbours_kind=scene.learned.kind,
        pointwise=pointwise,
    )
    return CandidateList(items=items, context=context, degraded=tuple(dict.fromkeys(degraded)))


def _liked(scene: RecommendationContext) -> dict[str, float]:
    return taste.history_weights(
        scene.user, configuration=scene.configuration, now=scene.now, adaptation=scene.adaptation
    )


def _profile(scene: RecommendationContext) -> tuple[Profile | None, tuple[str, ...]]:
    """The taste of his events; before there are any, of what he says about himself."""
    user = scene.user
    if not user.consented or scene.pair is None:
        return None, ()
    version = scene.pair.index_version
    if user.events:
        profile = taste.cached_taste(
            user, version, configuration=scene.configuration, now=scene.now, adaptation=scene.adaptation
        )
        return profile, ()
    vector, degraded = declared_interests.vector_of(user.key, version=version)
    return (None if vector is None else stated_profile(vector)), degraded


def _strongest(also: Mapping[str, Mapping[str, float]], hidden: Collection[str], *, limit: int) -> list[str]:
    totals = {key: sum(causes.values()) for key, causes in also.items() if key not in hidden}
    return sorted(totals, key=lambda key: (-totals[key], key))[:limit]


def _ranked_for_user(
    scene: RecommendationContext,
    candidates: Sequence[str],
    profile: Profile | None,
    also: Mapping[str, Mapping[str, float]],
    popular: Sequence[RankedItem],
) -> tuple[list[RankedItem], Pointwise | None]:
    """In their order, and what makes probabilities of their contributions."""
    vectors = scene.vectors(candidates)
    prior = scene.learned.popularity_of(candidates) or {item.key: item.score for item in popular}
    weights = weighing.weights_of(scene.adaptation, scene.learned, scene.configuration)
    sources = {source for causes in also.values() for source in causes}
    ranked = rank_for_user(
        candidates,
        profile=profile,
        vectors=vectors,
        also=also,
        alike={source: scene.learned.text_neighbours(source) for source in sources},
        prior=prior,
        weights=weights,
        named=None if scene.explain else NAMED_PARTS,
    )
    pointwise = weighing.pointwise_of(
        scene.adaptation, ranked, profile=profile, vectors=vectors, prior=prior, weights=weights
    )
    named = [item if item.key in prior else _without_events(item) for item in ranked]
    return Diversity(vectors, scene.diversity, DIVERSIFIED_PLACES)(named), pointwise


def _without_events(item: RankedItem) -> RankedItem:
    """An item that nobody chose yet counts as average in popularity, but is not called popular."""
    contributions = {
        "average" if name == "popularity" else name: value for name, value in item.contributions.items()
    }
    return item._replace(contributions=contributions)


def _for_nobody(scene: RecommendationContext) -> CandidateList:
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
    return CandidateList(items=items, context=reasons.context_of(items))


def _because_you_viewed(scene: RecommendationContext) -> CandidateList:
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
        both.setdefault(item.key, {})[str(ContributionCode("neighbours", anchor))] = weight_also * item.score
    items = best_first(
        RankedItem(key=key, score=sum(parts.values()), contributions=parts) for key, parts in both.items()
    )
    return _about(scene, anchor, items, degraded, anchor_kind=kinds[anchor])


def _basket(scene: RecommendationContext) -> CandidateList:
    """What people took along with what is in the basket; without a basket, as for-you."""
    hidden = scene.hidden | set(scene.basket)
    also = scene.learned.scores_by_history(dict.fromkeys(scene.basket, 1.0), together=True)
    passing = scene.passing_keys(_strongest(also, hidden, limit=scene.limit))
    items = rank_for_user(
        [key for key in also if key in passing],
        profile=None,
        vectors={},
        also=also,
        prior={},
        weights=PersonalWeights(taste=0.0, also=1.0, popularity=0.0),
    )
    personal = _for_you(scene)
    if not items and not scene.basket:
        return personal
    rest = [item for item in personal.items if item.key not in hidden]
    items = _with_fallbacks(scene, items, lambda: rest, hidden=hidden)
    context = reasons.context_of(
        items, sources=scene.user.kinds(scene.configuration), neighbours_kind=scene.learned.kind
    )
    return CandidateList(
        items=items, context=context, degraded=personal.degraded, beside=frozenset(scene.basket)
    )


def _next(scene: RecommendationContext) -> CandidateList:
    """As for-you among what the user may take next; what leads on from what he has taken comes first."""
    standing = scene.standing
    assert standing is not None  # noqa: S101  (recommendations asks for it)
    shelf = _for_you(scene)
    follow_ups = standing.follow_ups()
    passing = scene.passing_keys([key for key in follow_ups if key not in scene.hidden])
    items = {item.key: item for item in shelf.items}
    for key in passing:
        causes = follow_ups[key]
        item = items.get(key, RankedItem(key=key, score=0.0, contributions={}))
        items[key] = add(
            item, {str(ContributionCode("next", cause)): NEXT_WEIGHT / len(causes) for cause in causes}
        )
    return replace(shelf, items=best_first(items.values()))


def _similar(scene: RecommendationContext, anchor: str, obj: Any) -> CandidateList:
    near, degraded = _near_item(scene, anchor, obj)
    return _about(scene, anchor, near, degraded)


def _also(scene: RecommendationContext, anchor: str, obj: Any) -> CandidateList:
    near, degraded = _near_item(scene, anchor, obj)
    items = popular_items.concat_unique(_neighbours(scene, anchor), lambda: near, limit=scene.limit)
    return _about(scene, anchor, items, degraded)


def _about(
    scene: RecommendationContext,
    anchor: str,
    items: Sequence[RankedItem],
    degraded: tuple[str, ...],
    *,
    anchor_kind: str = "",
) -> CandidateList:
    hidden = scene.hidden | {anchor}
    chained = _with_fallbacks(scene, items, hidden=hidden)
    context = reasons.context_of(
        chained, anchor=anchor, anchor_kind=anchor_kind, neighbours_kind=scene.learned.kind
    )
    return CandidateList(items=chained, context=context, degraded=degraded, beside=frozenset({anchor}))


def _neighbours(scene: RecommendationContext, anchor: str) -> list[RankedItem]:
    """What people with the anchor took as well; the strongest counts 1."""
    rows = [
        row for row in scene.learned.co_interacted(anchor) if row[0] not in scene.hidden and row[0] != anchor
    ]
    passing = scene.passing_keys([key for key, _ in rows])
    rows = [row for row in rows if row[0] in passing]
    largest = rows[0][1] if rows else 1.0
    return [
        RankedItem(
            key=key,
            score=weight / largest,
            contributions={str(ContributionCode("neighbours", anchor)): weight / largest},
        )
        for key, weight in rows
    ]


def _near_item(
    scene: RecommendationContext, anchor: str, obj: Any
) -> tuple[list[RankedItem], tuple[str, ...]]:
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


def _encoded(scene: RecommendationContext, pair: LivePair, obj: Any) -> Vector | None:
    """The vector of an item that is too new to be in the index."""
    prepared = scene.document.prepare(obj)
    if prepared is None:
        return None
    return query_embeddings.encode_document(prepared.passage, version=pair.index_version)


_FOR_SLOT: Mapping[str, Callable[[RecommendationContext], CandidateList]] = {
    "for-you": _for_you,
    "because-you-viewed": _because_you_viewed,
    "basket": _basket,
    "next": _next,
    "trending": _trending,
    "popular": _popular,
    "latest": _latest,
}
