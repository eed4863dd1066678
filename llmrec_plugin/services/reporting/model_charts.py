"""What the site learned and how it went, as charts with their numbers: for the admin and for files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from llmrec_plugin import moments
from llmrec_plugin.figures import figure
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.models import DriftReport, IndexVersion, ModelVersion
from llmrec_plugin.plots import Axis, Chart, Mark, Picture, Series, Threshold
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.model_registry.training_report import find_report
from llmrec_plugin.services.reporting import embedding_map, transfer_charts, tuning_charts
from llmrec_plugin.services.training import drift

MAX_VERSIONS = 30
MAX_REPORTS = 52
BESIDE = 0.08
"""By how much the second mark of a version stands beside the first."""
STEPS = {
    "popularity": gettext_lazy("popularity alone"),
    "frozen": gettext_lazy("texts as the encoder reads them"),
    "whitening": gettext_lazy("texts, what they share left out"),
    "head": gettext_lazy("texts, turned by the events"),
    "neighbours": gettext_lazy("with what people take together"),
    "prior": gettext_lazy("with popularity, too"),
    "varied": gettext_lazy("the best that shows enough different items"),
}


def pictures(label: str, *, colour: str = "") -> Iterator[Picture]:
    """Return the pictures of the document that there is something to show in; `colour` is the filter field
    that tells the items of the map apart, empty: whether people took them."""
    ways: tuple[Callable[[], Iterable[Picture | None]], ...] = (
        lambda: [versions(label)],
        lambda: [ladder(label)],
        lambda: [calibration(label)],
        lambda: [drift_over_time(label)],
        lambda: [transfer_charts.newest(label)],
        lambda: tuning_charts.newest(label),
        lambda: [embedding_map.draw(label, colour=colour)],
    )
    return (picture for way in ways for picture in way() if picture is not None)


def versions(label: str) -> Picture | None:
    """Draw NDCG@10 of each model version on the events held back from it, beside what was live before."""
    newest = ModelVersion.objects.filter(document=label).order_by("-id")[:MAX_VERSIONS]
    reports = ((version, find_report(version)) for version in reversed(newest))
    measured = [(version, report.gate) for version, report in reports if report and report.gate]
    if not measured:
        return None
    new, before, rows = [], [], []
    for place, (version, gate) in enumerate(measured):
        low, high = gate.interval or (None, None)
        name = f"{version.pk}, {_day(version.created_at)}"
        former = gate.value - gate.gain
        new.append(Mark(x=place, y=gate.value, low=low, high=high, title=f"{name}: {gate.value:.4f}"))
        before.append(Mark(x=place + BESIDE, y=former, title=f"{name}: {former:.4f}"))
        rows.append((name, f"{gate.value:.4f}", _interval(low, high), f"{former:.4f}", f"{gate.gain:+.4f}"))
    chart = Chart(
        name=f"versions-{label}",
        title=_("Quality of each model version: %(document)s") % {"document": label},
        description=_(
            "NDCG@10 on events that nothing was learned from, with its interval. What the training found "
            "goes live only where it beats what was live before."
        ),
        series=(
            Series(name=_("what the training found"), marks=new),
            Series(name=_("what was live before, on the same events"), marks=before),
        ),
        x=Axis(
            name=_("model version"),
            ticks={place: str(version.pk) for place, (version, _gate) in enumerate(measured)},
            low=-0.5,
            high=len(measured) - 0.5,
        ),
        y=Axis(name="NDCG@10"),
    )
    header = (_("model version"), "NDCG@10", _("interval"), _("what was live before"), _("gain"))
    return Picture(chart=chart, header=header, rows=rows)


def ladder(label: str) -> Picture | None:
    """Draw the gain of each step that the live version tried."""
    pair = find_live_pair(label)
    report = find_report(pair.model_version) if pair and pair.model_version else None
    if report is None or not report.steps:
        return None
    steps = report.steps
    marks: dict[bool, list[Mark]] = {True: [], False: []}
    for place, step in enumerate(steps):
        title = f"{step_name(step)}: {step.gain:+.4f}"
        marks[step.taken].append(Mark(x=step.gain, y=-place, low=step.low, high=step.high, title=title))
    chart = Chart(
        name=f"ladder-{label}",
        title=_("Steps of the ladder: %(document)s") % {"document": label},
        description=_(
            "What each step gains in NDCG@10 over the one that stood before it, with its interval."
        ),
        series=(Series(name=_("taken"), marks=marks[True]), Series(name=_("not taken"), marks=marks[False])),
        x=Axis(name=_("gain in NDCG@10")),
        y=Axis(ticks={-place: step_name(step) for place, step in enumerate(steps)}),
        thresholds=(Threshold(at=0, name="", vertical=True),),
        values_along_x=True,
        height=90 + 34 * len(steps),
    )
    rows = [
        (
            step_name(step),
            f"{step.value:.4f}",
            f"{step.gain:+.4f}",
            _interval(step.low, step.high),
            _("taken") if step.taken else _("not taken"),
        )
        for step in steps
    ]
    return Picture(
        chart=chart, header=(_("step"), "NDCG@10", _("gain"), _("interval"), _("result")), rows=rows
    )


def step_name(step: SelectionStep) -> str:
    """Return what a step of the ladder is called."""
    return str(STEPS.get(step.name, step.name))


def calibration(label: str) -> Picture | None:
    """Draw what the newest measurement says of the probabilities that the model gave."""
    measured = DriftReport.objects.filter(document=label).order_by("-id").first()
    found = ((measured.report.get("ranking") or {}).get("promises") if measured else None) or []
    if not found:
        return None
    marks = []
    for promised, share, count in found:
        low, high = wilson(share, count)
        title = f"{promised:.2f} → {share:.2f} ({count})"
        marks.append(Mark(x=promised, y=share, low=low, high=high, title=title))
    chart = Chart(
        name=f"calibration-{label}",
        title=_("Probabilities: %(document)s") % {"document": label},
        description=_(
            "How often an item was taken that the model gave this probability, on events since the training: "
            "of what was taken and as many items drawn at random. On the dashed line it keeps its word."
        ),
        series=(
            Series(name="", marks=(Mark(x=0, y=0), Mark(x=1, y=1)), dashed=True),
            Series(name=_("taken"), marks=marks),
        ),
        x=Axis(name=_("probability given"), low=0.0, high=1.0),
        y=Axis(name=_("share taken"), low=0.0, high=1.0),
        width=420,
        height=380,
    )
    rows = [
        (f"{promised:.2f}", f"{share:.2f}", _interval(*wilson(share, count)), str(count))
        for promised, share, count in found
    ]
    header = (_("probability given"), _("share taken"), _("interval"), _("cases"))
    return Picture(chart=chart, header=header, rows=rows)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share seen in `count` cases (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def drift_over_time(label: str) -> Picture | None:
    """Draw how well new can be told from old, measurement by measurement."""
    reports = list(reversed(DriftReport.objects.filter(document=label).order_by("-id")[:MAX_REPORTS]))
    if not reports:
        return None
    parts = (
        (_("events"), [report.report.get("events", {}).get("auc") for report in reports]),
        (_("queries"), [report.report.get("queries", {}).get("auc") for report in reports]),
        (_("share on unknown items"), [report.report.get("unseen_share") for report in reports]),
    )
    days = [_day(report.at) for report in reports]
    series = [
        Series(
            name=name,
            line=True,
            marks=[
                Mark(x=place, y=value, title=f"{days[place]}: {value:.2f}")
                for place, value in enumerate(values)
                if value is not None
            ],
        )
        for name, values in parts
        if any(value is not None for value in values)
    ]
    chart = Chart(
        name=f"drift-{label}",
        title=_("Drift: %(document)s") % {"document": label},
        description=_(
            "How well what people do now can be told from what the live model learned from: 0.5 is not at "
            "all, 1 is always."
        ),
        series=series,
        x=Axis(ticks=dict(enumerate(days))),
        y=Axis(name=_("AUC, share"), low=0.0, high=1.0),
        thresholds=(
            Threshold(at=drift.WARN, name=_("warning")),
            Threshold(at=drift.RERUN, name=_("learned anew")),
        ),
    )
    rows = [
        (day, *(figure(values[place], ".2f") for _name, values in parts), report.get_level_display())
        for place, (day, report) in enumerate(zip(days, reports, strict=True))
    ]
    header = (_("at"), _("events, AUC"), _("queries, AUC"), _("on unknown items"), _("level"))
    return Picture(chart=chart, header=header, rows=rows)


def floor(version: IndexVersion) -> Picture | None:
    """Draw what the floor of the index was measured on; None: it was not."""
    matches, nonsense = (version.floor_samples.get(name, []) for name in ("matches", "nonsense"))
    named = {
        _("beginnings of titles and their items"): matches,
        _("meaningless words and the nearest item"): nonsense,
    }
    samples = {name: values for name, values in named.items() if values}
    if not samples:
        return None
    if version.floor is None:
        words = _("No cosine tells matches from nonsense here, so nothing is left out.")
    else:
        words = _("%(kept)d %% of the matches are kept, %(refused)d %% of the nonsense is left out.") % {
            "kept": round(100 * sum(value >= version.floor for value in matches) / len(matches)),
            "refused": round(100 * sum(value < version.floor for value in nonsense) / len(nonsense)),
        }
    chart = Chart(
        name=f"floor-{version.pk}",
        title=_("Cosines of matches and of nonsense: %(index)s") % {"index": version.name},
        description=words,
        series=[
            Series(name=name, marks=[Mark(x=value, y=-row, title=f"{value:.3f}") for value in values])
            for row, (name, values) in enumerate(samples.items())
        ],
        x=Axis(name=_("cosine")),
        y=Axis(low=-1.5, high=0.5, shown=False),
        thresholds=() if version.floor is None else (Threshold(at=version.floor, name="", vertical=True),),
        height=190,
    )
    rows = [(name, f"{min(values):.3f}", f"{max(values):.3f}") for name, values in samples.items()]
    return Picture(chart=chart, header=(_("measured on"), _("least"), _("largest")), rows=rows)


def _day(at: Any) -> str:
    return date_format(moments.local(at), "SHORT_DATE_FORMAT")


def _interval(low: float | None, high: float | None) -> str:
    if low is None:
        return "–"
    return f"{low:.4f} …" if high is None else f"{low:.4f} … {high:.4f}"
