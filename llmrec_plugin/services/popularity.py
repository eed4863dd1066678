"""Lists that are the same for everybody: popular, trending and latest items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import Count, F
from django.db.models.functions import TruncDay
from django.utils import timezone

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Configuration, Interaction
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.services import caching, privacy
from llmrec_plugin.services.training import Collaborative
from llmrec_plugin.types import RankedItem

CACHE_SECONDS = 60
WEEK = timedelta(days=7)
WINDOW_IN_HALF_LIVES = 6
"""An event counts less than 2 % beyond, so trending reads no further back."""
COUNTED_ITEMS = 1000
FRESH_PLACES = 24
"""In the list of the latest items a score halves every so many places."""


def popular(
    label: str,
    learned: Collaborative,
    configuration: Configuration,
    *,
    limit: int,
    hidden: Collection[str] = frozenset(),
) -> list[RankedItem]:
    """What most users chose, as the model learned it or, without one, as the events of the site say."""
    ranked = learned.popular or _counted(label, configuration)
    rows = islice((row for row in ranked if row[0] not in hidden), limit)
    return [RankedItem(key=key, score=value, contributions={"popularity": value}) for key, value in rows]


def _counted(label: str, configuration: Configuration) -> tuple[tuple[str, float], ...]:
    """(key, share of the most popular item's users); one query, cached."""

    def count() -> tuple[tuple[str, float], ...]:
        rows = list(
            privacy.consented(
                Interaction.objects.filter(document=label, kind__in=_positive_kinds(configuration))
            )
            .order_by()
            .values("object_id")
            .annotate(users=Count("user_key", distinct=True))
            .order_by("-users", "object_id")[:COUNTED_ITEMS]
        )
        return tuple((row["object_id"], row["users"] / rows[0]["users"]) for row in rows)

    key = caching.cache_key("popular", label, ",".join(sorted(_positive_kinds(configuration))))
    return caching.remembered(key, count, seconds=CACHE_SECONDS)


def trending(
    label: str,
    configuration: Configuration,
    *,
    limit: int,
    hidden: Collection[str] = frozenset(),
    now: datetime | None = None,
) -> list[RankedItem]:
    """What users choose now: each user and day counts its kind's weight, halved once per half-life.

    The part that comes from the last seven days is `trending`, older parts are `popularity`.
    """
    present = timezone.now()
    moment = now or present
    past = "" if abs(present - moment) < timedelta(seconds=CACHE_SECONDS) else moment.isoformat()
    rows = caching.remembered(
        caching.cache_key("trending", label, _trend_of(configuration), past),
        lambda: _decayed(label, configuration, now=moment),
        seconds=CACHE_SECONDS,
    )
    items = best_first(
        RankedItem(
            key=key,
            score=recent + older,
            contributions={
                name: value for name, value in (("trending", recent), ("popularity", older)) if value
            },
        )
        for key, recent, older in rows
        if key not in hidden
    )
    return items[:limit]


def _trend_of(configuration: Configuration) -> str:
    """What of the configuration the trend depends on; arms of an experiment may differ in it."""
    return f"{configuration.trending_half_life_days} {sorted(_positive_kinds(configuration).items())}"


def _decayed(label: str, configuration: Configuration, *, now: datetime) -> list[tuple[str, float, float]]:
    """(key, weight of the last week, weight before), scaled so that the largest sum is 1; one query."""
    half_life = timedelta(days=configuration.trending_half_life_days)
    weights = _positive_kinds(configuration)
    since = now - max(WINDOW_IN_HALF_LIVES * half_life, WEEK)
    days = (
        privacy.consented(
            Interaction.objects.filter(document=label, kind__in=weights, at__gt=since, at__lte=now)
        )
        .order_by()
        .annotate(day=TruncDay("at"))
        .values("object_id", "kind", "day")
        .annotate(users=Count("user_key", distinct=True))
    )
    sums: dict[str, list[float]] = {}
    for row in days:
        age = max(now - row["day"] - timedelta(hours=12), timedelta(0))
        amount = row["users"] * weights[row["kind"]] * 0.5 ** (age / half_life)
        recent_or_older = sums.setdefault(row["object_id"], [0.0, 0.0])
        recent_or_older[0 if now - row["day"] < WEEK else 1] += amount
    largest = max((sum(parts) for parts in sums.values()), default=1.0)
    best = sorted(sums.items(), key=lambda entry: (-sum(entry[1]), entry[0]))[:COUNTED_ITEMS]
    return [(key, recent / largest, older / largest) for key, (recent, older) in best]


def latest(
    document: SearchDocument[Any], *, limit: int, hidden: Collection[str] = frozenset()
) -> list[RankedItem]:
    """The newest items by the document's `date_field`, else by primary key; one query, no engine."""
    keys = newest_keys(document, start=0, count=limit + len(hidden))
    visible = list(islice((key for key in keys if key not in hidden), limit))
    scores = [0.5 ** (place / FRESH_PLACES) for place in range(len(visible))]
    return [
        RankedItem(key=key, score=score, contributions={"freshness": score})
        for key, score in zip(visible, scores, strict=True)
    ]


def newest_keys(document: SearchDocument[Any], *, start: int, count: int) -> list[str]:
    """Keys of all items, the newest first; one query."""
    newest = document.get_queryset().select_related(None).prefetch_related(None)
    if document.date_field:
        newest = newest.order_by(F(document.date_field).desc(nulls_last=True), "-pk")
    else:
        newest = newest.order_by("-pk")
    pks = newest.values_list("pk", flat=True)[start : start + count]
    return list(dict.fromkeys(map(str, pks)))


def chain(
    first: Sequence[RankedItem], *others: Callable[[], Sequence[RankedItem]], limit: int
) -> list[RankedItem]:
    """The first list, made longer by the others, asked for in turn, as long as it is too short.

    So that scores never rise along the whole, what is added gets a `tail` contribution, never positive.
    """
    result = list(first[:limit])
    for further in others:
        if len(result) == limit:
            break
        have = {item.key for item in result}
        added = [item for item in further() if item.key not in have][: limit - len(result)]
        top = max((item.score for item in added), default=0.0)
        tail = min(0.0, result[-1].score - top) if result else 0.0
        result += [add(item, {"tail": tail}) for item in added] if tail else added
    return result


def _positive_kinds(configuration: Configuration) -> dict[str, float]:
    return {kind: weight for kind, weight in configuration.kind_weights.items() if weight > 0}
