"""What an experiment has shown so far: who did what in which arm, and what of it is more than luck."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from llmrec_plugin.event_kinds import click_kinds, dismissal_kinds, taking_kinds
from llmrec_plugin.experiments.analysis import (
    CONFIDENCE,
    MIN_VISITORS,
    Comparison,
    Preference,
    Sample,
    compare,
    preference,
    uneven_split,
)
from llmrec_plugin.models import Arm, Experiment, Impression, Interaction
from llmrec_plugin.services.privacy import consent

BEFORE = timedelta(days=28)
"""How far back it is looked for what visitors did before, and for what to expect."""
USUAL_RATE = 0.05
"""Expected where nothing is known of a list yet."""
CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Of a list as it is live: the rate of the metric, and its variance by visitor."""

    rate: float
    variance: float
    visitors: int
    """Who were shown it in the time looked at."""
    choosing: float = USUAL_RATE
    """Share of them who did what the metric counts at least once."""
    measured: bool = True
    """False: too little is known, and a usual rate is assumed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Visitor:
    """What one visitor was shown and did."""

    lists: int
    clicked: int
    dismissed: int
    empty: int
    milliseconds: int
    bought: bool
    before: float
    """Logarithm of the events before the experiment."""


@dataclass(frozen=True, kw_only=True)
class ArmReport:
    """One arm beside the control."""

    pk: int
    name: str
    is_control: bool
    visitors: int
    lists: int
    comparison: Comparison | None = None
    """Of the metric that decides; None: this is the control, or the lists were interleaved."""
    guards: Mapping[str, Comparison] = field(default_factory=dict)
    """"empty", "milliseconds" and "dismissed", per list: of each, more is worse."""
    failures: Sequence[tuple[str, int]] = ()
    """Why the control answered in its place, and how often."""

    @property
    def harmed(self) -> list[str]:
        """Names of the guards that are proven to be worse than the control's."""
        return [name for name, guard in self.guards.items() if guard.better]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of one experiment."""

    arms: Sequence[ArmReport]
    """The control first."""
    crossed: int = 0
    """Visitors who saw several arms, and count for none."""
    uneven: float = 1.0
    """See `analysis.uneven_split`."""
    preference: Preference | None = None
    """Interleaving only."""

    @property
    def trustworthy(self) -> bool:
        return self.uneven >= 0.001


def confidence(arms: int) -> float:
    """For each comparison with the control, so that all of them together err at the stated rate."""
    return 1 - (1 - CONFIDENCE) / max(arms - 1, 1)


def expected(experiment: Experiment, *, now: datetime | None = None) -> Expected:
    """What the last weeks let expect of the list; a usual rate where too little is known."""
    now = now or timezone.now()
    shown = Impression.objects.filter(
        document=experiment.document, placement=experiment.placement, at__gte=now - BEFORE, at__lte=now
    ).exclude(user_key="")
    shown = consent.consented(shown)
    sample = _sample(_visitors(shown, experiment, since=now - BEFORE, until=now), experiment)
    if sample.visitors < MIN_VISITORS or not sample.rate > 0:
        usual = USUAL_RATE * (1 - USUAL_RATE)
        return Expected(rate=USUAL_RATE, variance=usual, visitors=sample.visitors, measured=False)
    return Expected(
        rate=sample.rate,
        variance=float(sample.deviations().var()),
        visitors=sample.visitors,
        choosing=float((sample.events > 0).mean()),
    )


def report(experiment: Experiment, *, now: datetime | None = None) -> Report:
    """The state of an experiment that was started; some queries per arm, none per visitor."""
    now = experiment.stopped_at or now or timezone.now()
    arms = sorted(experiment.arms.all(), key=lambda arm: (not arm.is_control, arm.pk))
    shown = consent.consented(Impression.objects.filter(arm__in=arms))
    failures = _failures(shown)
    if experiment.method == Experiment.Method.INTERLEAVING:
        return _interleaved(experiment, arms, failures)
    since = experiment.started_at or now
    crossed = _crossed(shown)
    seen = {
        arm.pk: _visitors(shown.filter(arm=arm), experiment, since=since, until=now, leave_out=crossed)
        for arm in arms
    }
    control, planned = seen[arms[0].pk], experiment.planned_visitors or 1
    level = confidence(len(arms))
    return Report(
        arms=[
            ArmReport(
                pk=arm.pk,
                name=arm.name,
                is_control=arm.is_control,
                visitors=len(seen[arm.pk]),
                lists=sum(one.lists for one in seen[arm.pk]),
                comparison=None if arm.is_control else _compared(control, seen[arm.pk], experiment, level),
                guards={} if arm.is_control else _guards(control, seen[arm.pk], planned, level),
                failures=failures.get(arm.pk, ()),
            )
            for arm in arms
        ],
        crossed=len(crossed),
        uneven=uneven_split([len(seen[arm.pk]) for arm in arms], [arm.share for arm in arms]),
    )


def _crossed(shown: QuerySet[Impression]) -> set[str]:
    """Users who saw several arms, as by logging in on a second device."""
    rows = shown.order_by().values("user_key").annotate(arms=Count("arm", distinct=True)).filter(arms__gt=1)
    return set(rows.values_list("user_key", flat=True))


def _failures(shown: QuerySet[Impression]) -> dict[int, list[tuple[str, int]]]:
    rows = (
        shown.exclude(arm_error="")
        .order_by()
        .values_list("arm", "arm_error")
        .annotate(lists=Count("pk"))
        .order_by("-lists")
    )
    failures: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for arm, why, lists in rows:
        failures[arm].append((why, lists))
    return failures


def _visitors(
    shown: QuerySet[Impression],
    experiment: Experiment,
    *,
    since: datetime,
    until: datetime,
    leave_out: Iterable[str] = (),
) -> list[Visitor]:
    """One entry per user of these lists; three queries."""
    about = Interaction.objects.filter(request_id=OuterRef("pk"))
    rows = (
        shown.filter(at__lte=until)
        .order_by()
        .annotate(
            clicked=Exists(about.filter(kind__in=click_kinds())),
            dismissed=Exists(about.filter(kind__in=dismissal_kinds())),
        )
        .values("user_key")
        .annotate(
            lists=Count("pk"),
            clicks=Count("pk", filter=Q(clicked=True)),
            dismissals=Count("pk", filter=Q(dismissed=True)),
            empty=Count("pk", filter=Q(total=0)),
            milliseconds=Sum("took_ms"),
            first=Min("at"),
        )
    )
    events = Interaction.objects.filter(document=experiment.document).order_by().values_list("user_key")
    bought = events.filter(kind__in=taking_kinds(), at__gte=since, at__lte=until)
    last_bought = dict(bought.annotate(last=Max("at")))
    earlier = dict(events.filter(at__gte=since - BEFORE, at__lt=since).annotate(events=Count("pk")))
    left_out = set(leave_out)
    return [
        Visitor(
            lists=row["lists"],
            clicked=row["clicks"],
            dismissed=row["dismissals"],
            empty=row["empty"],
            milliseconds=row["milliseconds"],
            bought=row["user_key"] in last_bought and last_bought[row["user_key"]] >= row["first"],
            before=float(np.log1p(earlier.get(row["user_key"], 0))),
        )
        for row in rows.iterator(CHUNK)
        if row["user_key"] not in left_out
    ]


def _sample(visitors: Sequence[Visitor], experiment: Experiment) -> Sample:
    """The metric that decides."""
    if experiment.metric == Experiment.Metric.CONVERSION:
        bought = [float(one.bought) for one in visitors]
        return _of(bought, [1] * len(visitors), before=[one.before for one in visitors])
    return _of(
        [one.clicked for one in visitors],
        [one.lists for one in visitors],
        before=[one.before for one in visitors],
    )


def _of(
    events: Sequence[float], chances: Sequence[float], *, before: Sequence[float] | None = None
) -> Sample:
    return Sample(
        events=np.asarray(events, dtype=np.float64),
        chances=np.asarray(chances, dtype=np.float64),
        before=None if before is None else np.asarray(before, dtype=np.float64),
    )


def _compared(
    control: Sequence[Visitor], arm: Sequence[Visitor], experiment: Experiment, level: float
) -> Comparison:
    return compare(
        _sample(control, experiment),
        _sample(arm, experiment),
        planned=experiment.planned_visitors or 1,
        confidence=level,
    )


def _guards(
    control: Sequence[Visitor], arm: Sequence[Visitor], planned: int, level: float
) -> dict[str, Comparison]:
    def per_list(visitors: Sequence[Visitor], name: str) -> Sample:
        return _of([getattr(one, name) for one in visitors], [one.lists for one in visitors])

    return {
        name: compare(per_list(control, name), per_list(arm, name), planned=planned, confidence=level)
        for name in ("empty", "milliseconds", "dismissed")
    }


def _interleaved(
    experiment: Experiment, arms: Sequence[Arm], failures: Mapping[int, Sequence[tuple[str, int]]]
) -> Report:
    shown = consent.consented(Impression.objects.filter(arm=arms[1]))
    lists = shown.aggregate(
        lists=Count("pk"), visitors=Count("user_key", distinct=True, filter=~Q(user_key=""))
    )
    balances = _balances(shown.exclude(teams=""), experiment)
    return Report(
        arms=[
            ArmReport(
                pk=arm.pk,
                name=arm.name,
                is_control=arm.is_control,
                visitors=lists["visitors"],
                lists=lists["lists"],
                failures=failures.get(arm.pk, ()),
            )
            for arm in arms
        ],
        preference=preference(
            sum(balance > 0 for balance in balances), sum(balance < 0 for balance in balances)
        ),
    )


def _balances(shown: QuerySet[Impression], experiment: Experiment) -> list[int]:
    """Per visitor, items of the arm that they chose less those of the control."""
    kinds = taking_kinds() if experiment.metric == Experiment.Metric.CONVERSION else click_kinds()
    events = Interaction.objects.filter(kind__in=kinds, request_id=OuterRef("pk"))
    balances: dict[str, int] = defaultdict(int)
    rows = shown.filter(Exists(events)).order_by("pk").values_list("pk", "ranking", "teams")
    chunk: list[tuple[Any, Any, str]] = []
    for row in rows.iterator(CHUNK):
        chunk.append(row)
        if len(chunk) == CHUNK:
            _add_balances(chunk, kinds, balances)
            chunk = []
    _add_balances(chunk, kinds, balances)
    return list(balances.values())


def _add_balances(
    chunk: Sequence[tuple[Any, Any, str]], kinds: Sequence[str], balances: dict[str, int]
) -> None:
    teams = {
        pk: {key: team for (key, _), team in zip(ranking or (), text, strict=False)}
        for pk, ranking, text in chunk
    }
    events = Interaction.objects.filter(request_id__in=list(teams), kind__in=kinds)
    chosen = events.order_by().values_list("user_key", "request_id", "item_id").distinct()
    for user_key, request_id, key in chosen:
        team = teams[request_id].get(key)
        if team is not None:
            balances[user_key] += 1 if team == "1" else -1
