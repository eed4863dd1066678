"""Why an item is shown, as sentences for the visitor: made of what ranked it and of nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from django.utils.text import Truncator

from llmrec_plugin.contributions import contributions, reason_names
from llmrec_plugin.event_kinds import event_kinds
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.ranking.explanation import Reason, explain, personal_points
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.types import ContributionCode, RankedItem
from llmrec_plugin.wording import NOTHING, Text, fill, has_places

TITLE_LENGTH = 60

TASTE_EVIDENCE = ("taste", "neighbours", "text_neighbours")
"""Names of the contributions whose past items are what a taste may be laid to."""
MIN_COUNT = 5
"""Times in a week that an item was chosen; fewer do not impress."""


@dataclass(frozen=True, kw_only=True)
class ReasonContext:
    """A frozen record of what the sentences of one list need to know beside its contributions."""

    anchor: str = ""
    """Key of the item that the list is about."""
    anchor_kind: str = ""
    """What the user did with it; empty: it is the item of the page they look at."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Past item -> what the user did with it; those that they did not want are not here."""
    has_declared_taste: bool = False
    """The taste is what the user says about themselves."""
    neighbours_kind: str = ""
    """The kind of event that neighbours were mostly learned from: what other people did."""
    pointwise: Mapping[str, float] | None = None
    """What makes a probability of an item's personal contributions: log-odds per point; None: not known."""
    min_popularity: float = 0.0
    """Least contribution of popularity that is worth telling."""
    uses_recent_popularity: bool = False
    """Popularity is that of the latest events alone."""
    min_text_neighbours: float = 0.0
    """Least contribution of a past item's likeness that is worth telling."""
    min_freshness: float = 0.0
    min_trending: float = 0.0
    weekly_counts: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Item of a trend -> what happened to it in the last week and how often: see `popularity.counted`."""

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold and `ReasonContext(**…)` takes back."""
        return {
            "anchor": self.anchor,
            "anchor_kind": self.anchor_kind,
            "sources": dict(self.sources),
            "has_declared_taste": self.has_declared_taste,
            "neighbours_kind": self.neighbours_kind,
            "pointwise": self.pointwise,
            "min_popularity": self.min_popularity,
            "uses_recent_popularity": self.uses_recent_popularity,
            "min_text_neighbours": self.min_text_neighbours,
            "min_freshness": self.min_freshness,
            "min_trending": self.min_trending,
            "weekly_counts": {key: list(counted) for key, counted in self.weekly_counts.items()},
        }


def context_of(
    items: Sequence[RankedItem],
    *,
    sources: Mapping[str, str] | None = None,
    anchor: str = "",
    anchor_kind: str = "",
    has_declared_taste: bool = False,
    neighbours_kind: str = "",
    pointwise: Pointwise | None = None,
) -> ReasonContext:
    """Return the context of a list; an item counts as popular, new or alike with half of what the first in
    that has."""
    named = _named_sources(items) if sources else ()
    return ReasonContext(
        anchor=anchor,
        anchor_kind=anchor_kind,
        sources={key: kind for key, kind in (sources or {}).items() if key in named},
        has_declared_taste=has_declared_taste,
        neighbours_kind=neighbours_kind,
        pointwise=None if pointwise is None else asdict(pointwise),
        min_popularity=_half_of_largest(items, "popularity"),
        min_text_neighbours=_half_of_largest_of(items, "text_neighbours"),
        min_freshness=_half_of_largest(items, "freshness"),
        min_trending=_half_of_largest(items, "trending"),
    )


def check_contributions(items: Sequence[RankedItem]) -> None:
    """Raise ConfigurationError, naming the nearest, where a score has a part that nobody declared."""
    for name in {ContributionCode.parse(text).name for item in items for text in item.contributions}:
        contributions.get(name)


def _named_sources(items: Sequence[RankedItem]) -> set[str]:
    """Return the past items that some contribution of a taste goes back to."""
    codes = map(ContributionCode.parse, set().union(*(item.contributions for item in items)))
    return {code.source for code in codes if code.source and code.name in TASTE_EVIDENCE}


def _half_of_largest(items: Sequence[RankedItem], text: str) -> float:
    return max((item.contributions.get(text, 0.0) for item in items), default=0.0) / 2


def _half_of_largest_of(items: Sequence[RankedItem], name: str) -> float:
    """Return half of the largest contribution of that name, whatever it goes back to."""
    parts = (part for item in items for part in item.contributions.items())
    return max((value for text, value in parts if ContributionCode.parse(text).name == name), default=0.0) / 2


def probability(item: RankedItem, context: ReasonContext) -> float | None:
    """Return the probability that the user takes the item, and not one drawn at random; None where it is not
    known."""
    points = personal_points(item)
    if context.pointwise is None or points is None:
        return None
    return float(Pointwise(**context.pointwise)([points])[0])


def causes(item: RankedItem, context: ReasonContext, *, told: Collection[str] | None = None) -> list[Reason]:
    """Return the causes that can truthfully be given, strongest first.

    `told` are the names of the contributions that visitors are told of; None: of all that are declared so.
    """
    told = reason_names() if told is None else told
    found = [reason for reason in explain(item, told) if _is_true(reason, item, context)]
    names = {reason.code.name for reason in found}
    counted = ContributionCode("trending", item.key)
    return [
        replace(reason, code=counted)
        if reason.code.name == "trending" and _is_counted(item, context)
        else reason
        for reason in found
        if reason.code.name != "earlier" or "trending" not in names
    ]


def _is_counted(item: RankedItem, context: ReasonContext) -> bool:
    """Return whether it is worth saying how often the item was chosen of late."""
    return context.weekly_counts.get(item.key, ("", 0))[1] >= MIN_COUNT


def _is_true(reason: Reason, item: RankedItem, context: ReasonContext) -> bool:
    name, source = reason.code
    value = item.contributions[str(reason.code)]
    if name == "popularity":
        return value >= context.min_popularity
    if name == "freshness":
        return value >= context.min_freshness
    if name == "trending":
        return _is_counted(item, context) or value >= context.min_trending
    if name == "text_neighbours":
        return value >= context.min_text_neighbours
    if name == "taste":
        liked = source in context.sources if source else context.sources
        return context.has_declared_taste or bool(liked)
    return True


def sources_of(reasons: Sequence[Reason], context: ReasonContext) -> set[str]:
    """Return the keys of the items whose titles the sentences name."""
    keys = {
        reason.code.source
        for reason in reasons
        if reason.code.source and contributions.get(reason.code.name).source == "item"
    }
    if context.anchor and any(reason.code.name == "vector" for reason in reasons):
        keys.add(context.anchor)
    return keys


def sentences(
    reasons: Sequence[Sequence[Reason]], context: ReasonContext, titles: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Return for each item one sentence per cause in the active language, none twice; `titles` lacks items
    that are gone. Most items of a list have their causes in common, each of which is put into words once."""
    worded: dict[ContributionCode, str] = {}
    for reason in chain.from_iterable(reasons):
        if reason.code not in worded:
            worded[reason.code] = site_code.call(
                part_of(reason.code.name),
                partial(_sentence, reason.code, context, titles),
                otherwise="",
                lacks="reasons",
            )
    found = ([worded[reason.code] for reason in causes] for causes in reasons)
    return [tuple(dict.fromkeys(filter(None, sentences))) for sentences in found]


def part_of(name: str) -> str:
    """Return what the sentences of a contribution are called where they fail."""
    return f"reason {name}"


def _sentence(code: ContributionCode, context: ReasonContext, titles: Mapping[str, str]) -> str:
    title = titles.get(code.source)
    if code.name == "vector" and context.anchor:
        return _about_anchor(context, titles)
    if code.name == "trending" and code.source:
        return _counted(code, context)
    if code.name == "taste" and title is not None:
        return _because(context.sources.get(code.source, ""), title)
    if code.name == "neighbours" and title is not None:
        return _others(context.neighbours_kind, title)
    if code.name == "popularity" and context.uses_recent_popularity:
        return str(contributions.get("earlier").sentence)
    return _declared_sentence(code, title)


def _declared_sentence(code: ContributionCode, title: str | None) -> str:
    contribution = contributions.get(code.name)
    if not has_places(contribution.sentence):
        return str(contribution.sentence)
    if title is None:
        return fill(contribution.untitled_sentence, NOTHING)
    return _titled(contribution.sentence, title)


def _about_anchor(context: ReasonContext, titles: Mapping[str, str]) -> str:
    title = titles.get(context.anchor)
    if title is None:
        return ""
    if context.anchor_kind:
        return _because(context.anchor_kind, title)
    return _declared_sentence(ContributionCode("text_neighbours", context.anchor), title)


def _counted(code: ContributionCode, context: ReasonContext) -> str:
    kind, count = context.weekly_counts[code.source]
    told = fill(event_kinds.get(kind).weekly, {"count": count}) if kind in event_kinds else ""
    return told or str(contributions.get(code.name).sentence)


def _because(kind: str, title: str) -> str:
    told = _titled(event_kinds.get(kind).because, title) if kind in event_kinds else ""
    return told or str(contributions.get("taste").sentence)


def _others(kind: str, title: str) -> str:
    told = _titled(event_kinds.get(kind).others, title) if kind in event_kinds else ""
    return told or _titled(contributions.get("neighbours").sentence, title)


def _titled(sentence: Text, title: str) -> str:
    """Return the sentence with the title in it, cut where it is long."""
    return fill(sentence, {"title": Truncator(title).chars(TITLE_LENGTH)})
