"""What lists led to, day by day: counted anew while it may still change, then once and kept.

A day is kept once nothing can come of its lists any more. What is kept are sums that name nobody, so that
erasure and refusal, which take effect on later counts, leave them as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, ExpressionWrapper, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.fields import DateTimeField
from django.utils import timezone

from llmrec_plugin import moments
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import click_kinds, taking_kinds
from llmrec_plugin.models import DailyLists, Impression, Interaction
from llmrec_plugin.services.privacy import consent

ATTRIBUTED = timedelta(days=7)
"""A purchase counts for a click so long before it at most."""
SETTLED = ATTRIBUTED + timedelta(days=1)
"""After its end nothing more can come of a day; the further day is for events that are told late."""
LONGEST = 180
"""Days that are kept before anybody looks: the longest period of the dashboard, and the one before it."""
POSITIONS = 20
CHUNK = 2000


@dataclass(kw_only=True)
class ListSums:
    """Sums up all lists of one placement in some time."""

    lists: int = 0
    empty: int = 0
    clicked: int = 0
    """Lists that led to a click on that day; one that does on two days counts on both."""
    bought: int = 0
    """Of these, lists whose item the visitor bought or enrolled in with it or within ATTRIBUTED."""
    times: Counter[int] = field(default_factory=Counter)
    """Milliseconds, to two digits -> lists that took so long."""
    shown_at: list[int] = field(default_factory=lambda: [0] * POSITIONS)
    clicked_at: list[int] = field(default_factory=lambda: [0] * POSITIONS)
    bought_at: list[int] = field(default_factory=lambda: [0] * POSITIONS)
    """By position, from 0."""

    def add(self, other: ListSums) -> None:
        self.lists += other.lists
        self.empty += other.empty
        self.clicked += other.clicked
        self.bought += other.bought
        self.times += other.times
        self.shown_at = _together(self.shown_at, other.shown_at)
        self.clicked_at = _together(self.clicked_at, other.clicked_at)
        self.bought_at = _together(self.bought_at, other.bought_at)

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "times": sorted(self.times.items())}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> ListSums:
        return cls(**{**kept, "times": Counter(dict(kept["times"]))})


DaySums = dict[str, ListSums]
"""By placement."""


def _together(ours: Sequence[int], theirs: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(ours, theirs, strict=True)]


def by_day(document: str, days: int, *, now: datetime) -> dict[date, DaySums]:
    """Return the sums of each of the last `days` days, in the site's time zone, today up to now, the oldest
    first.

    Three queries, and one more to keep what is settled and was not kept before.
    """
    midnight = moments.local(now).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [midnight - timedelta(days=number) for number in reversed(range(days))]
    ends = [*starts[1:], now + timedelta(microseconds=1)]
    known = _kept(document, starts)
    missing = [span for span in zip(starts, ends, strict=True) if span[0].date() not in known]
    counted = dict(zip((start.date() for start, _ in missing), _counted(document, missing), strict=True))
    _keep(document, {day: counted[day] for day in _settled(missing, now)})
    known |= counted
    return {start.date(): known[start.date()] for start in starts}


def keep_all(*, now: datetime | None = None) -> None:
    """Keep the sums of all days that are settled, so that nobody who looks at them has to wait."""
    kept_for = get_settings().EVENT_RETENTION_DAYS
    for label in registry.labels():
        by_day(label, min(LONGEST, kept_for), now=now or timezone.now())


def _kept(document: str, starts: Sequence[datetime]) -> dict[date, DaySums]:
    if get_settings().CONSENT == "off":
        return {}
    rows = DailyLists.objects.filter(document=document, day__gte=starts[0].date(), day__lte=starts[-1].date())
    return {
        day: {name: ListSums.from_json(kept) for name, kept in sums.items()}
        for day, sums in rows.values_list("day", "sums")
    }


def _settled(spans: Sequence[tuple[datetime, datetime]], now: datetime) -> list[date]:
    return [start.date() for start, end in spans if end <= now - SETTLED]


def _keep(document: str, settled: Mapping[date, DaySums]) -> None:
    if not settled or get_settings().CONSENT == "off":
        return
    DailyLists.objects.bulk_create(
        [
            DailyLists(document=document, day=day, sums={name: one.as_json() for name, one in sums.items()})
            for day, sums in settled.items()
        ],
        ignore_conflicts=True,
    )


def _counted(document: str, spans: Sequence[tuple[datetime, datetime]]) -> list[DaySums]:
    """Return the sums for each of the times, which follow each other but may leave some out."""
    found: list[DaySums] = [defaultdict(ListSums) for _ in spans]
    if not spans:
        return found
    _count_lists(document, spans, found)
    _count_events(document, spans, found)
    return found


def _count_lists(document: str, spans: Sequence[tuple[datetime, datetime]], found: Sequence[DaySums]) -> None:
    """Count the lists of one range of the index per day, in one query: faster than to ask each row for its
    day."""
    parts = [
        consent.consented(Impression.objects.filter(document=document, at__gte=start, at__lt=end))
        .order_by()
        .annotate(number=Value(number, IntegerField()))
        .values_list("number", "placement", "shown", "took_ms")
        .annotate(lists=Count("*"), empty=Count("total", filter=Q(total=0)))
        for number, (start, end) in enumerate(spans)
    ]
    # A union takes up the model's own order again, by a column that these sums do not have.
    rows = parts[0].union(*parts[1:], all=True).order_by() if len(parts) > 1 else parts[0]
    for number, placement, shown, took_ms, lists, empty in rows.iterator(CHUNK):
        sums = found[number][placement]
        sums.lists += lists
        sums.empty += empty
        sums.times[_two_digits(took_ms)] += lists
        for position in range(min(shown, POSITIONS)):
            sums.shown_at[position] += lists


def _two_digits(milliseconds: int) -> int:
    return milliseconds if milliseconds < 100 else int(float(f"{milliseconds:.1e}"))


def _count_events(
    document: str, spans: Sequence[tuple[datetime, datetime]], found: Sequence[DaySums]
) -> None:
    """Count what came of the lists: a click, and the purchase of what was clicked; one query."""
    starts = [start for start, _ in spans]
    clicked: dict[tuple[int, str, int | None], set[UUID]] = defaultdict(set)
    bought: dict[tuple[int, str, int | None], set[UUID]] = defaultdict(set)
    for request_id, placement, position, at, was_bought in _events(document, spans).iterator(CHUNK):
        if placement is None or request_id is None:
            continue
        number = bisect_right(starts, at) - 1
        places = [None] if position is None or position >= POSITIONS else [None, position]
        for place in places:
            clicked[number, placement, place].add(request_id)
            if was_bought:
                bought[number, placement, place].add(request_id)
    for (number, placement, place), lists in clicked.items():
        sums, of_these = found[number][placement], len(bought.get((number, placement, place), ()))
        if place is None:
            sums.clicked, sums.bought = len(lists), of_these
        else:
            sums.clicked_at[place], sums.bought_at[place] = len(lists), of_these


def _events(document: str, spans: Sequence[tuple[datetime, datetime]]) -> Any:
    """Return (list, its placement, position, time, whether it was bought) of the clicks in these times."""
    within = Q()
    for start, end in _runs(spans):
        within |= Q(at__gte=start, at__lt=end)
    events = consent.consented(
        Interaction.objects.filter(
            within, document=document, request_id__isnull=False, kind__in=click_kinds()
        )
    )
    shown = Impression.objects.filter(pk=OuterRef("request_id"), document=document)
    taken = Interaction.objects.filter(
        user_key=OuterRef("user_key"),
        document=document,
        item_id=OuterRef("item_id"),
        kind__in=taking_kinds(),
        at__gte=OuterRef("at"),
        at__lte=ExpressionWrapper(OuterRef("at") + ATTRIBUTED, output_field=DateTimeField()),
    )
    return (
        events.order_by()
        .annotate(placement=Subquery(shown.values("placement")[:1]), bought=Exists(taken))
        .values_list("request_id", "placement", "position", "at", "bought")
    )


def _runs(spans: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return the times, with those that follow at once joined."""
    breaks = [number for number, (one, other) in enumerate(pairwise(spans), start=1) if one[1] != other[0]]
    edges = [0, *breaks, len(spans)]
    return [(spans[first][0], spans[after - 1][1]) for first, after in pairwise(edges)]
