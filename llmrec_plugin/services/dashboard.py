"""What visitors asked for, were shown and did with it over the last days, as the console sums it up.

All of it is counted by the database from lists and events of those who did not refuse. Texts of queries are
told only where several people typed them, for a rare one may say who he was.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Lower
from django.utils import timezone

from llmrec_plugin.models import Impression, Interaction
from llmrec_plugin.services import caching, privacy
from llmrec_plugin.services.experiment_report import CLICKS
from llmrec_plugin.services.placements import TAKEN

SEARCH = "search"
CACHE_SECONDS = 300
PERIODS = (1, 7, 28, 90)
"""Days."""
PEOPLE = 5
"""Who must have typed a query before its text is told; who has no key counts as one person."""
QUERIES = 20
POSITIONS = 20
CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of the period."""

    date: date
    searches: int = 0
    empty: int = 0
    clicked: int = 0


@dataclass(frozen=True, kw_only=True)
class PlacementRow:
    """All lists of one placement."""

    name: str
    lists: int
    clicked: int
    """Lists that led to a click."""
    bought: int
    """Of these, lists whose item the visitor bought or enrolled in afterwards."""
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
    """One place of the lists of a placement, from 1."""

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
    """One text, whatever its capitals."""

    text: str
    searches: int
    people: int
    found: int
    """The fewest results it had."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """The sums of one document and period."""

    document: str
    days: Sequence[Day] = ()
    placements: Sequence[PlacementRow] = ()
    """The most shown first."""
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
    """The last `days` days up to now, remembered for some minutes; six queries, however much there is."""
    key = caching.cache_key("dashboard", document, str(days))
    return caching.remembered(
        key, lambda: _count(document, days, now or timezone.now()), seconds=CACHE_SECONDS
    )


def _count(document: str, days: int, now: datetime) -> Dashboard:
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [midnight - timedelta(days=number) for number in reversed(range(days))]
    lists = privacy.consented(
        Impression.objects.filter(document=document, at__gte=starts[0], at__lte=now)
    ).order_by()
    acted = _acted(document, starts[0], now)
    return Dashboard(
        document=document,
        days=_days(lists, acted, starts),
        placements=_placements(lists, acted),
        positions=_positions(lists, acted),
        queries=_queries(lists, Q()),
        unanswered=_queries(lists, Q(total=0)),
        counted_at=now,
    )


class _Acted:
    """Lists that led to something, as sets of their ids: one list counts once wherever it is summed up."""

    def __init__(self) -> None:
        self.clicked: dict[Any, set[UUID]] = defaultdict(set)
        """By placement, by (placement, position), and searches by day."""
        self.bought: dict[Any, set[UUID]] = defaultdict(set)

    def add(self, request_id: UUID, keys: Iterable[Any], *, bought: bool) -> None:
        for key in keys:
            self.clicked[key].add(request_id)
            if bought:
                self.bought[key].add(request_id)

    def counts(self, key: Any) -> tuple[int, int]:
        return len(self.clicked.get(key, ())), len(self.bought.get(key, ()))


def _acted(document: str, since: datetime, until: datetime) -> _Acted:
    """What came of the lists: a click, and the purchase of what was clicked, then or later; one query."""
    events = privacy.consented(
        Interaction.objects.filter(
            document=document, at__gte=since, at__lte=until, request_id__isnull=False, kind__in=CLICKS
        )
    )
    shown = Impression.objects.filter(pk=OuterRef("request_id"), document=document)
    bought = Interaction.objects.filter(
        user_key=OuterRef("user_key"),
        document=document,
        object_id=OuterRef("object_id"),
        kind__in=TAKEN,
        at__gte=OuterRef("at"),
    )
    rows = (
        events.order_by()
        .annotate(placement=Subquery(shown.values("placement")[:1]), bought=Exists(bought))
        .values_list("request_id", "placement", "position", "at", "bought")
    )
    acted = _Acted()
    for request_id, placement, position, at, was_bought in rows.iterator(CHUNK):
        if placement is not None and request_id is not None:
            keys: list[Any] = [placement, (placement, position)]
            if placement == SEARCH:
                keys.append(timezone.localdate(at))
            acted.add(request_id, keys, bought=was_bought)
    return acted


def _days(lists: QuerySet[Impression], acted: _Acted, starts: Sequence[datetime]) -> list[Day]:
    """One range of the index per day, in one query: faster than to ask each row for its day."""
    searches = lists.filter(placement=SEARCH)
    ends = [*starts[1:], starts[-1] + timedelta(days=2)]
    parts = [
        searches.filter(at__gte=start, at__lt=end)
        .annotate(number=Value(number, IntegerField()))
        .values("number")
        .annotate(searches=Count("*"), empty=Count("total", filter=Q(total=0)))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    rows = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    found = {row["number"]: row for row in rows}
    return [
        Day(
            date=start.date(),
            searches=found[number]["searches"] if number in found else 0,
            empty=found[number]["empty"] if number in found else 0,
            clicked=acted.counts(start.date())[0],
        )
        for number, start in enumerate(starts)
    ]


def _placements(lists: QuerySet[Impression], acted: _Acted) -> list[PlacementRow]:
    times: dict[str, list[tuple[int, int]]] = defaultdict(list)
    empty: dict[str, int] = defaultdict(int)
    rows = lists.values_list("placement", "took_ms").annotate(
        lists=Count("*"), empty=Count("total", filter=Q(total=0))
    )
    for placement, milliseconds, count, without in rows.order_by("took_ms"):
        times[placement].append((milliseconds, count))
        empty[placement] += without
    found = [
        PlacementRow(
            name=name,
            lists=sum(count for _, count in histogram),
            clicked=acted.counts(name)[0],
            bought=acted.counts(name)[1],
            empty=empty[name],
            milliseconds=_quantile(histogram, 0.5),
            slow=_quantile(histogram, 0.95),
        )
        for name, histogram in times.items()
    ]
    return sorted(found, key=lambda row: (-row.lists, row.name))


def _quantile(histogram: Sequence[tuple[int, int]], share: float) -> int:
    """The value that this share of all does not exceed; values ascend."""
    wanted = share * sum(count for _, count in histogram)
    passed = 0
    for value, count in histogram:
        passed += count
        if passed >= wanted:
            return value
    return 0


def _positions(lists: QuerySet[Impression], acted: _Acted) -> dict[str, list[PositionRow]]:
    shown: dict[str, list[int]] = defaultdict(lambda: [0] * POSITIONS)
    for placement, reached, count in lists.values_list("placement", "shown").annotate(lists=Count("*")):
        for position in range(min(reached, POSITIONS)):
            shown[placement][position] += count
    return {
        placement: [
            PositionRow(
                position=position + 1,
                shown=count,
                clicked=acted.counts((placement, position))[0],
                bought=acted.counts((placement, position))[1],
            )
            for position, count in enumerate(counts)
            if count
        ]
        for placement, counts in shown.items()
    }


def _queries(lists: QuerySet[Impression], which: Q) -> list[QueryRow]:
    rows = (
        lists.filter(which, placement=SEARCH)
        .exclude(query="")
        .annotate(text=Lower("query"))
        .values("text")
        .annotate(searches=Count("*"), people=Count("user_key", distinct=True), found=Min("total"))
        .filter(people__gte=PEOPLE)
        .order_by("-searches", "text")
    )
    return [QueryRow(**row) for row in rows[:QUERIES]]
