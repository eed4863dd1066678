"""Why an item is shown, as sentences for the visitor: made of what ranked it and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.ranking.explanation import Reason, explain, personal_points
from llmrec_plugin.ranking.history import PERSONAL
from llmrec_plugin.types import RankedItem

TITLE_LENGTH = 60

_PLAIN = {
    "text": _("Matches your words"),
    "vector": _("Close in meaning to your search"),
    "rerank": _("A good answer to your search"),
    "popularity": _("Popular with everybody"),
    "trending": _("Popular this week"),
    "earlier": _("Popular lately"),
    "freshness": _("New here"),
    "reserve": _("New here"),
    "rule": _("Our pick"),
}
_BECAUSE = {
    "view": _("Because you viewed “%(title)s”"),
    "click": _("Because you viewed “%(title)s”"),
    "cart": _("Because you put “%(title)s” in the basket"),
    "purchase": _("Because you bought “%(title)s”"),
    "enrol": _("Because you enrolled in “%(title)s”"),
    "rating": _("Because you rated “%(title)s”"),
}
_ALSO = {
    "view": _("People who viewed “%(title)s” also viewed this"),
    "click": _("People who viewed “%(title)s” also viewed this"),
    "purchase": _("People who bought “%(title)s” also bought this"),
    "enrol": _("People who enrolled in “%(title)s” also enrolled in this"),
}
_TIMES = {
    "purchase": ngettext_lazy("Bought %(count)d time this week", "Bought %(count)d times this week", "count"),
    "enrol": ngettext_lazy("%(count)d enrolment this week", "%(count)d enrolments this week", "count"),
    "cart": ngettext_lazy(
        "Put in the basket %(count)d time this week", "Put in the basket %(count)d times this week", "count"
    ),
    "view": ngettext_lazy("Viewed %(count)d time this week", "Viewed %(count)d times this week", "count"),
}
MIN_TOLD = 5
"""Times; fewer do not impress."""
_SIMILAR = _("Similar to “%(title)s”")
_OTHER = _("People who chose “%(title)s” also chose this")
_NEXT = _("Follows on from “%(title)s”")
_INTERESTS = _("Matches your interests")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the sentences of one list need to know beside its contributions."""

    anchor: str = ""
    """Key of the item that the list is about."""
    anchor_kind: str = ""
    """What the user did with it; empty: it is the item of the page he looks at."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Past item -> what the user did with it; those that he did not want are not here."""
    stated: bool = False
    """The taste is what the user says about himself."""
    also_kind: str = ""
    """What other people mostly did."""
    pointwise: Mapping[str, float] | None = None
    """What makes a probability of an item's personal contributions: log-odds per point; None: not known."""
    popular_from: float = 0.0
    """Least contribution of popularity that is worth telling."""
    lately: bool = False
    """Popularity is that of the latest events alone."""
    alike_from: float = 0.0
    """Least contribution of a past item's likeness that is worth telling."""
    fresh_from: float = 0.0
    trending_from: float = 0.0
    times: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Item of a trend -> what happened to it in the last week and how often: see `popularity.counted`."""

    def as_json(self) -> dict[str, Any]:
        return {
            "anchor": self.anchor,
            "anchor_kind": self.anchor_kind,
            "sources": dict(self.sources),
            "stated": self.stated,
            "also_kind": self.also_kind,
            "pointwise": self.pointwise,
            "popular_from": self.popular_from,
            "lately": self.lately,
            "alike_from": self.alike_from,
            "fresh_from": self.fresh_from,
            "trending_from": self.trending_from,
            "times": {key: list(told) for key, told in self.times.items()},
        }


def context_of(
    items: Sequence[RankedItem],
    *,
    sources: Mapping[str, str] | None = None,
    anchor: str = "",
    anchor_kind: str = "",
    stated: bool = False,
    also_kind: str = "",
    pointwise: Pointwise | None = None,
) -> Context:
    """The context of a list; an item counts as popular, new or alike with half of what the first in that
    has."""
    named = _named_sources(items) if sources else ()
    return Context(
        anchor=anchor,
        anchor_kind=anchor_kind,
        sources={key: kind for key, kind in (sources or {}).items() if key in named},
        stated=stated,
        also_kind=also_kind,
        pointwise=None if pointwise is None else asdict(pointwise),
        popular_from=_half_of_largest(items, "popularity"),
        alike_from=_half_of_most_alike(items),
        fresh_from=_half_of_largest(items, "freshness"),
        trending_from=_half_of_largest(items, "trending"),
    )


def _named_sources(items: Sequence[RankedItem]) -> set[str]:
    """Past items that some contribution goes back to."""
    names = set().union(*(item.contributions for item in items))
    return {name.partition(":")[2] for name in names if name.startswith(("taste:", "also:", "alike:"))}


def _half_of_largest(items: Sequence[RankedItem], name: str) -> float:
    return max((item.contributions.get(name, 0.0) for item in items), default=0.0) / 2


def _half_of_most_alike(items: Sequence[RankedItem]) -> float:
    parts = (part for item in items for part in item.contributions.items())
    return max((value for name, value in parts if name.startswith("alike:")), default=0.0) / 2


def probability(item: RankedItem, context: Context) -> float | None:
    """That the user takes the item, and not one drawn at random; None where it is not known."""
    points = personal_points(item)
    if context.pointwise is None or points is None:
        return None
    return float(Pointwise(**context.pointwise)([points])[0])


def causes(item: RankedItem, context: Context) -> list[Reason]:
    """The causes that can truthfully be told, strongest first."""
    found = [reason for reason in explain(item) if _is_true(reason, item, context)]
    codes = {reason.code for reason in found}
    return [
        replace(reason, source=item.key) if reason.code == "trending" and _is_told(item, context) else reason
        for reason in found
        if reason.code != "earlier" or "trending" not in codes
    ]


def _is_told(item: RankedItem, context: Context) -> bool:
    """Whether it is worth saying how often it was chosen of late."""
    return context.times.get(item.key, ("", 0))[1] >= MIN_TOLD


def _is_true(reason: Reason, item: RankedItem, context: Context) -> bool:
    if reason.code == "popularity":
        return item.contributions["popularity"] >= context.popular_from
    if reason.code == "freshness":
        return item.contributions["freshness"] >= context.fresh_from
    if reason.code == "trending":
        return _is_told(item, context) or item.contributions["trending"] >= context.trending_from
    if reason.code == "alike":
        return item.contributions[f"alike:{reason.source}"] >= context.alike_from
    if reason.code == "taste":
        liked = context.sources if reason.source is None else reason.source in context.sources
        return context.stated or bool(liked)
    return True


def sources_of(reasons: Sequence[Reason], context: Context) -> set[str]:
    """Keys of the items whose titles the sentences name."""
    keys = {reason.source for reason in reasons if reason.source is not None and reason.code in PERSONAL}
    if context.anchor and any(reason.code == "vector" for reason in reasons):
        keys.add(context.anchor)
    return keys


def sentences(
    reasons: Sequence[Sequence[Reason]], context: Context, titles: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """For each item one sentence per cause in the active language, none twice; `titles` lacks items that are
    gone. Most items of a list have their causes in common, each of which is put into words once."""
    told: dict[tuple[str, str | None], str] = {}
    for reason in chain.from_iterable(reasons):
        if (reason.code, reason.source) not in told:
            told[reason.code, reason.source] = _sentence(reason, context, titles)
    found = ([told[reason.code, reason.source] for reason in causes] for causes in reasons)
    return [tuple(dict.fromkeys(filter(None, sentences))) for sentences in found]


def _sentence(reason: Reason, context: Context, titles: Mapping[str, str]) -> str:
    if reason.code == "vector" and context.anchor:
        return _about_anchor(context, titles)
    if reason.code == "trending" and reason.source is not None:
        kind, count = context.times[reason.source]
        return str(_TIMES[kind] % {"count": count})
    if reason.code in PERSONAL:
        return _about_source(reason, context, titles)
    if reason.code == "popularity" and context.lately:
        return str(_PLAIN["earlier"])
    return str(_PLAIN[reason.code])


def _about_anchor(context: Context, titles: Mapping[str, str]) -> str:
    title = titles.get(context.anchor)
    if title is None:
        return ""
    if context.anchor_kind:
        return _because(context.anchor_kind, title)
    return str(_SIMILAR) % {"title": _short(title)}


def _about_source(reason: Reason, context: Context, titles: Mapping[str, str]) -> str:
    title = titles.get(reason.source or "")
    if reason.code == "next":
        return "" if title is None else str(_NEXT) % {"title": _short(title)}
    if reason.code == "also":
        return "" if title is None else _also(context.also_kind, title)
    if title is None:
        return str(_INTERESTS)
    if reason.code == "alike":
        return str(_SIMILAR) % {"title": _short(title)}
    return _because(context.sources[reason.source or ""], title)


def _because(kind: str, title: str) -> str:
    return str(_BECAUSE.get(kind, _INTERESTS)) % {"title": _short(title)}


def _also(kind: str, title: str) -> str:
    return str(_ALSO.get(kind, _OTHER)) % {"title": _short(title)}


def _short(title: str) -> str:
    return str(Truncator(title).chars(TITLE_LENGTH))
