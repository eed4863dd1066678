"""Lists that are the same for everybody: popular, trending and latest items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import F
from django.db.models.functions import TruncDay
from django.utils import timezone

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.event_kinds import weekly_kinds
from llmrec_plugin.models import Configuration, Interaction
from llmrec_plugin.ranking.items import add, best_first, falling
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.model_registry.artefacts import LearnedModel
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.serving import evidence
from llmrec_plugin.types import RankedItem

CACHE_SECONDS = 60
WEEK = timedelta(days=7)
WINDOW_IN_HALF_LIVES = 6
"""An event counts less than 2 % beyond, so trending reads no further back."""
COUNTED_ITEMS = 1000


def popular(
    label: str,
    learned: LearnedModel,
    configuration: Configuration,
    *,
    limit: int,
    hidden: Collection[str] = frozenset(),
) -> list[RankedItem]:
    """Return what most users chose, as the model learned it or, without one, as the events of the site
    say."""
    ranked = learned.popular or _counted(label, configuration)
    rows = islice((row for row in ranked if row[0] not in hidden), limit)
    return [RankedItem(key=key, score=value, contributions={"popularity": value}) for key, value in rows]


def _counted(label: str, configuration: Configuration) -> tuple[tuple[str, float], ...]:
    """Return (key, share of the most popular item's people); one query, cached. Who rated an item badly
    counts against it."""

    def count() -> tuple[tuple[str, float], ...]:
        rows = list(
            consent.consented(
                Interaction.objects.filter(document=label, kind__in=_positive_kinds(configuration))
            )
            .order_by()
            .values("item_id")
            .annotate(liked=evidence.people(evidence.in_favour()) - evidence.people(evidence.against()))
            .filter(liked__gt=0)
            .order_by("-liked", "item_id")[:COUNTED_ITEMS]
        )
        return tuple((row["item_id"], row["liked"] / rows[0]["liked"]) for row in rows)

    key = caches.cache_key("popular", label, ",".join(sorted(_positive_kinds(configuration))))
    return caches.remembered(key, count, seconds=CACHE_SECONDS)


def trending(
    label: str,
    configuration: Configuration,
    *,
    limit: int,
    hidden: Collection[str] = frozenset(),
    now: datetime | None = None,
) -> list[RankedItem]:
    """Return what people choose now: each person and day counts its kind's weight, of a rating as much of it
    as its value says, for the item or against it; halved once per half-life.

    The part that comes from the last seven days is `trending`, older parts are `earlier`.
    """
    items = best_first(
        RankedItem(
            key=row.key,
            score=row.recent + row.older,
            contributions={
                name: value for name, value in (("trending", row.recent), ("earlier", row.older)) if value
            },
        )
        for row in _trend(label, configuration, now)
        if row.key not in hidden
    )
    return items[:limit]


def counted(
    label: str, configuration: Configuration, *, now: datetime | None = None
) -> dict[str, tuple[str, int]]:
    """Return what happened most strongly to each item of the trend in the last seven days, and how often,
    each person counting once a day."""
    return {row.key: (row.kind, row.times) for row in _trend(label, configuration, now) if row.times}


class _Trend(NamedTuple):
    key: str
    recent: float
    """Of the last week; together with `older`, the largest sum of all is 1."""
    older: float
    kind: str
    """Of `weekly_kinds`; empty where nothing of it happened in the last week."""
    times: int


def _trend(label: str, configuration: Configuration, now: datetime | None) -> list[_Trend]:
    """Return the trend, which is one query, remembered for a minute."""
    present = timezone.now()
    moment = now or present
    past = "" if abs(present - moment) < timedelta(seconds=CACHE_SECONDS) else moment.isoformat()
    return caches.remembered(
        caches.cache_key("trend", label, _trend_of(configuration), past),
        lambda: _decayed(label, configuration, now=moment),
        seconds=CACHE_SECONDS,
    )


def _trend_of(configuration: Configuration) -> str:
    """Return what of the configuration the trend depends on; arms of an experiment may differ in it."""
    return f"{configuration.trending_half_life_days} {sorted(_positive_kinds(configuration).items())}"


def _decayed(label: str, configuration: Configuration, *, now: datetime) -> list[_Trend]:
    half_life = timedelta(days=configuration.trending_half_life_days)
    weights = _positive_kinds(configuration)
    since = now - max(WINDOW_IN_HALF_LIVES * half_life, WEEK)
    days = (
        consent.consented(
            Interaction.objects.filter(document=label, kind__in=weights, at__gt=since, at__lte=now)
        )
        .order_by()
        .annotate(day=TruncDay("at"))
        .values("item_id", "kind", "day")
        .annotate(
            people=evidence.people(),
            liked_by=evidence.people(evidence.in_favour()),
            liking=evidence.liking(),
        )
    )
    sums: dict[str, list[float]] = {}
    times: dict[str, dict[str, int]] = {}
    for row in days:
        key, kind = row["item_id"], row["kind"]
        age = max(now - row["day"] - timedelta(hours=12), timedelta(0))
        is_recent = now - row["day"] < WEEK
        recent_or_older = sums.setdefault(key, [0.0, 0.0])
        recent_or_older[0 if is_recent else 1] += (
            row["people"] * row["liking"] * weights[kind] * 0.5 ** (age / half_life)
        )
        if is_recent:
            of_kinds = times.setdefault(key, {})
            of_kinds[kind] = of_kinds.get(kind, 0) + row["liked_by"]
    sums = {key: parts for key, parts in sums.items() if sum(parts) > 0}
    largest = max((sum(parts) for parts in sums.values()), default=1.0)
    best = sorted(sums.items(), key=lambda entry: (-sum(entry[1]), entry[0]))[:COUNTED_ITEMS]
    return [
        _Trend(key, recent / largest, older / largest, *_strongest_kind(times.get(key, {})))
        for key, (recent, older) in best
    ]


def _strongest_kind(times: Mapping[str, int]) -> tuple[str, int]:
    """Return the strongest kind that happened, and how often; a click and the view it leads to are one."""
    names = weekly_kinds()
    for kind, name in names.items():
        if kind in times:
            return name, max(count for other, count in times.items() if names.get(other) == name)
    return "", 0


def latest(
    document: SearchDocument[Any], *, limit: int, hidden: Collection[str] = frozenset()
) -> list[RankedItem]:
    """Return the newest items by the document's `date_field`, else by primary key; one query, no engine."""
    keys = newest_keys(document, start=0, count=limit + len(hidden))
    return falling(islice((key for key in keys if key not in hidden), limit), "freshness")


def newest_keys(document: SearchDocument[Any], *, start: int, count: int) -> list[str]:
    """Return the keys of all items, the newest first; one query."""
    newest = document.get_queryset().select_related(None).prefetch_related(None)
    if document.date_field:
        newest = newest.order_by(F(document.date_field).desc(nulls_last=True), "-pk")
    else:
        newest = newest.order_by("-pk")
    pks = newest.values_list("pk", flat=True)[start : start + count]
    return list(dict.fromkeys(map(str, pks)))


def concat_unique(
    first: Sequence[RankedItem], *others: Callable[[], Sequence[RankedItem]], limit: int
) -> list[RankedItem]:
    """Return the first list, made longer by the others, asked for in turn, as long as it is too short.

    So that scores never rise along the whole, what is added gets a `backfill` contribution, never positive.
    """
    result = list(first[:limit])
    for further in others:
        if len(result) == limit:
            break
        have = {item.key for item in result}
        added = [item for item in further() if item.key not in have][: limit - len(result)]
        top = max((item.score for item in added), default=0.0)
        backfill = min(0.0, result[-1].score - top) if result else 0.0
        result += [add(item, {"backfill": backfill}) for item in added] if backfill else added
    return result


def _positive_kinds(configuration: Configuration) -> dict[str, float]:
    return {kind: weight for kind, weight in configuration.kind_weights.items() if weight > 0}
