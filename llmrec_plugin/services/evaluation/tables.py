"""A report as people read it, on a terminal and in the admin: tables with titles in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

METHODS = {
    "popularity": gettext_lazy("popularity"),
    "recent popularity": gettext_lazy("recent popularity"),
    "item-knn": gettext_lazy("taken by the same people (item-kNN)"),
    "ease": gettext_lazy("taken by the same people (EASE)"),
    "tf-idf": gettext_lazy("likeness by words (TF-IDF)"),
    "text-frozen": gettext_lazy("likeness by the encoder"),
    "text-head": gettext_lazy("likeness by the encoder, turned by the events"),
    "text-ease": gettext_lazy("what goes together, or is alike"),
    "served": gettext_lazy("what is served"),
    "bm25s": gettext_lazy("words (another BM25)"),
    "bm25": gettext_lazy("words (BM25)"),
    "vector": gettext_lazy("meaning"),
    "rrf": gettext_lazy("both, reciprocal ranks"),
    "linear": gettext_lazy("both, weighted sum"),
    "constant": gettext_lazy("the same for all"),
    "means": gettext_lazy("means of user and item"),
    "fused": gettext_lazy("everything together"),
}
"""What each method of a report is called where an editor reads it."""
SLICES = {
    "cold items": gettext_lazy("Items without events"),
    "cold users": gettext_lazy("Users without events"),
    "tail": gettext_lazy("Items with few events"),
    "cold items among cold items": gettext_lazy("Items without events, among themselves"),
}
LARGE = 10.0


@dataclass(frozen=True, kw_only=True)
class Table:
    """Holds one part of a report; the first column says what a row is about."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Yield all parts that the report has, the most telling first."""
    recommendation, search = report.get("recommendation"), report.get("search")
    if recommendation:
        yield from _recommendation(recommendation)
    if search:
        queries, judgements = search["queries"], search["judgments"]
        asked = ngettext("%(count)d query", "%(count)d queries", queries) % {"count": queries}
        judged = ngettext("%(count)d judgement", "%(count)d judgements", judgements) % {"count": judgements}
        found = {"queries": asked, "judgements": judged}
        yield _methods(_("Search: %(queries)s, %(judgements)s") % found, search["methods"])
        yield _paired(_("Search: differences"), search["paired"])
    yield from _pointwise(report.get("pointwise", {}))
    if "encoders" in report:
        yield _encoders(report)
    for task, title in (
        ("recommendation", _("Encoders: recommendation as served")),
        ("search", _("Encoders: search as served")),
    ):
        compared = [row for row in report.get("comparison", ()) if row["task"] == task]
        if compared:
            yield _paired(title, compared)


def _encoders(report: Mapping[str, Any]) -> Table:
    """Return what each encoder came to by itself, and its costs; what was not measured with any has no
    column."""
    columns = {
        _("served, NDCG@10"): ("recommendation", "methods", "served", "NDCG@10"),
        _("by texts alone, NDCG@10"): ("recommendation", "methods", "text-frozen", "NDCG@10"),
        _("search, NDCG@10"): ("search", "methods", "served", "NDCG@10"),
        _("search, condensed NDCG@10"): ("search", "methods", "served", "condensed NDCG@10"),
        _("items per second"): ("items_per_second",),
        _("memory, MB"): ("peak_mb",),
    }
    found = {
        name: {title: _at(encoder, path) for title, path in columns.items()}
        for name, encoder in report["encoders"].items()
    }
    shown = [title for title in columns if any(values[title] is not None for values in found.values())]
    return Table(
        title=_("Encoders: each by itself; the tables above are of %(encoder)s")
        % {"encoder": report["choice"]["encoder"]},
        header=[_("encoder"), *shown],
        rows=[[name, *(_number(values[title]) for title in shown)] for name, values in found.items()],
    )


def _at(value: Any, path: Sequence[str]) -> float | None:
    """Return what stands there; None where the way does not lead anywhere."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def learning(recommendation: Mapping[str, Any]) -> str:
    """Return what training came to in the evaluation, in one sentence."""
    ladder = recommendation["ladder"]
    gate = ladder.get("gate")
    if gate is None:
        return _("Too few events to choose settings by: the configured weights were served.")
    said = {"step": ladder["step"], "seconds": recommendation["fit_seconds"]}
    if gate["taken"]:
        return _("Training took %(seconds).1f s, and its highest step “%(step)s” was served.") % said
    return _("Training took %(seconds).1f s; no step was proven better than the configured weights.") % said


def _recommendation(part: Mapping[str, Any]) -> Iterator[Table]:
    cases = part["cases"]
    found = {"cases": cases["all"], "events": part["events"], "items": part["items"], "users": part["users"]}
    by_time = _(
        "Recommendation, the latest events: %(cases)d of %(events)d foreseen, %(items)d items, "
        "%(users)d users"
    )
    last_out = _(
        "Recommendation, the last event of each user: %(cases)d of %(events)d foreseen, %(items)d items, "
        "%(users)d users"
    )
    yield _methods((by_time if part["protocol"] == "temporal" else last_out) % found, part["methods"])
    yield _paired(_("Recommendation: differences"), part["paired"])
    for name, methods in part["slices"].items():
        if cases[name]:
            title = _("%(slice)s: %(cases)d events") % {"slice": SLICES[name], "cases": cases[name]}
            yield _methods(title, methods)


def _pointwise(part: Mapping[str, Any]) -> Iterator[Table]:
    if "methods" in part:
        found = {"task": part["task"], "cases": part["cases"]}
        title = _("%(task)s: %(cases)d ratings foreseen")
        if part.get("one_class"):
            title = _("%(task)s: all %(cases)d ratings foreseen are on one side, nothing to tell apart")
        yield _methods(title % found, part["methods"])
    for kind, methods in part.get("sampled", {}).items():
        title = (
            _("What was taken against one item drawn evenly")
            if kind == "uniform"
            else _("What was taken against one item drawn by popularity")
        )
        yield _methods(title, methods)


def _methods(title: str, methods: Mapping[str, Mapping[str, float | None]]) -> Table:
    metrics = list(next(iter(methods.values())))
    rows = [[name, *(_number(values[metric]) for metric in metrics)] for name, values in methods.items()]
    return Table(title=title, header=[_("method"), *metrics], rows=rows)


def _paired(title: str, paired: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            f"{row['method']} - {row['baseline']}",
            _measured(row),
            _number(row["difference"], signed=True),
            f"{_number(row['low'], signed=True)}\u00a0…\u00a0{_number(row['high'], signed=True)}",
            _number(row["ratio"]),
        ]
        for row in paired
    ]
    header = ["", _("metric"), _("difference"), _("interval (95 %)"), _("ratio")]
    return Table(title=title, header=header, rows=rows)


def _measured(row: Mapping[str, Any]) -> str:
    """Return the metric of a difference and, where it is not all of the events, what of."""
    part = row.get("slice")
    return f"{row['metric']} ({SLICES[part]})" if part else str(row["metric"])


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    if signed:
        return f"{value:+.4f}"
    return f"{value:.1f}" if value >= LARGE else f"{value:.4f}"
