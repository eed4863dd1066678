"""What visitors asked for, were shown and did with it over the last days, as the console sums it up.

All of it is counted by the database from lists and events of those who did not refuse. Texts of queries are
told only where several people typed them, for a rare one may say who they were.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from llmrec_plugin import moments
from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Impression
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.reporting import daily_statistics
from llmrec_plugin.services.reporting.daily_statistics import DaySums, ListSums
from llmrec_plugin.services.serving import evidence

SEARCH = "search"
CACHE_SECONDS = 300
PERIODS = (1, 7, 28, 90)
"""Days."""
QUERIES = 20
SEARCHES_READ = 100_000
"""Of the latest ones, for the texts that are searched for most."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """A frozen record that tells of one day of the period."""

    date: date
    searches: int = 0
    empty: int = 0
    clicked: int = 0


@dataclass(frozen=True, kw_only=True)
class PlacementRow:
    """A frozen record that sums up all lists of one placement."""

    name: str
    lists: int
    clicked: int
    """Lists that led to a click."""
    bought: int
    """Of these, lists whose item the visitor bought or enrolled in within a week."""
    empty: int
    milliseconds: int
    """Median."""
    slow: int
    """Milliseconds that one list of twenty takes longer than."""

    @property
    def click_rate(self) -> float:
        return self.clicked / self.lists if self.lists else math.nan

    @property
    def conversion(self) -> float:
        return self.bought / self.lists if self.lists else math.nan

    @property
    def empty_rate(self) -> float:
        return self.empty / self.lists if self.lists else math.nan


@dataclass(frozen=True, kw_only=True)
class PositionRow:
    """A frozen record that tells of one place of the lists of a placement, from 1."""

    position: int
    shown: int
    clicked: int
    bought: int

    @property
    def click_rate(self) -> float:
        return self.clicked / self.shown if self.shown else math.nan

    @property
    def conversion(self) -> float:
        return self.bought / self.shown if self.shown else math.nan


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """A frozen record that tells of one text, whatever its capitals."""

    text: str
    searches: int
    people: int
    found: int
    """The fewest results it had."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A frozen record that holds the sums of one document and period."""

    document: str
    days: Sequence[Day] = ()
    placements: Sequence[PlacementRow] = ()
    """The most shown first."""
    before: PlacementRow | None = None
    """Searches in as many days before."""
    positions: Mapping[str, Sequence[PositionRow]] = field(default_factory=dict)
    """By placement."""
    queries: Sequence[QueryRow] = ()
    """The most frequent ones."""
    unanswered: Sequence[QueryRow] = ()
    """The most frequent ones without a result."""
    counted_at: datetime | None = None

    @property
    def search(self) -> PlacementRow:
        for row in self.placements:
            if row.name == SEARCH:
                return row
        return PlacementRow(name=SEARCH, lists=0, clicked=0, bought=0, empty=0, milliseconds=0, slow=0)


def collect(document: str, *, days: int, now: datetime | None = None) -> Dashboard:
    """Return the last `days` days up to now, and as many before, remembered for some minutes.

    Six queries, however much there is, and one more where the sums of a day are kept for good.
    """
    key = caches.cache_key("dashboard", document, str(days))
    return caches.remembered(
        key, lambda: _count(document, days, now or timezone.now()), seconds=CACHE_SECONDS
    )


def _count(document: str, days: int, now: datetime) -> Dashboard:
    counted = daily_statistics.by_day(document, 2 * days, now=now)
    dates = list(counted)
    period = _sum(counted[day] for day in dates[days:])
    before = _sum(counted[day] for day in dates[:days])
    midnight = moments.local(now).replace(hour=0, minute=0, second=0, microsecond=0)
    searches = _latest_searches(document, midnight - timedelta(days=days - 1), now)
    return Dashboard(
        document=document,
        days=[_day(day, counted[day].get(SEARCH, ListSums())) for day in dates[days:]],
        placements=_placements(period),
        before=_row(SEARCH, before.get(SEARCH, ListSums())),
        positions={name: _positions(sums) for name, sums in period.items()},
        queries=_queries(searches, Q()),
        unanswered=_queries(searches, Q(total=0)),
        counted_at=now,
    )


def _sum(days: Iterable[DaySums]) -> DaySums:
    total: DaySums = defaultdict(ListSums)
    for day in days:
        for name, sums in day.items():
            total[name].add(sums)
    return total


def _day(day: date, sums: ListSums) -> Day:
    return Day(date=day, searches=sums.lists, empty=sums.empty, clicked=sums.clicked)


def _placements(sums: DaySums) -> list[PlacementRow]:
    rows = [_row(name, one) for name, one in sums.items()]
    return sorted((row for row in rows if row.lists), key=lambda row: (-row.lists, row.name))


def _row(name: str, sums: ListSums) -> PlacementRow:
    histogram = sorted(sums.times.items())
    return PlacementRow(
        name=name,
        lists=sums.lists,
        clicked=sums.clicked,
        bought=sums.bought,
        empty=sums.empty,
        milliseconds=_quantile(histogram, 0.5),
        slow=_quantile(histogram, 0.95),
    )


def _quantile(histogram: Sequence[tuple[int, int]], share: float) -> int:
    """Return the value that this share of all does not exceed; values ascend."""
    wanted = share * sum(count for _, count in histogram)
    passed = 0
    for value, count in histogram:
        passed += count
        if passed >= wanted:
            return value
    return 0


def _positions(sums: ListSums) -> list[PositionRow]:
    return [
        PositionRow(position=position, shown=shown, clicked=clicked, bought=bought)
        for position, (shown, clicked, bought) in enumerate(
            zip(sums.shown_at, sums.clicked_at, sums.bought_at, strict=True), start=1
        )
        if shown
    ]


def _latest_searches(document: str, since: datetime, now: datetime) -> QuerySet[Impression]:
    """Return the searches of the period, but no more than suffice to tell what is searched for."""
    searches = consent.consented(
        Impression.objects.filter(document=document, placement=SEARCH, at__gte=since, at__lte=now)
    ).order_by()
    oldest = searches.order_by("-at").values_list("at", flat=True)[SEARCHES_READ : SEARCHES_READ + 1]
    return searches.filter(at__gt=oldest[0]) if oldest else searches


def _queries(searches: QuerySet[Impression], which: Q) -> list[QueryRow]:
    """Return the texts that enough people typed; who has no key counts as one person."""
    rows = (
        searches.filter(which)
        .exclude(query="")
        .annotate(text=Lower("query"))
        .values("text")
        .annotate(searches=Count("*"), people=evidence.people(), found=Min("total"))
        .filter(people__gte=get_settings().SUGGEST_MIN_VISITORS)
        .order_by("-searches", "text")
    )
    return [QueryRow(**row) for row in rows[:QUERIES]]
