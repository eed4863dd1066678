"""Shows what a list would be for somebody and under other settings, side by side; nothing is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from llmrec_plugin.contributions import contributions
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Configuration, Rule
from llmrec_plugin.ranking.history import folded, shortened
from llmrec_plugin.services.curation import rules
from llmrec_plugin.services.curation.placements import Placement, get_placement
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.recommendations import pipeline as recommendations
from llmrec_plugin.services.recommendations.pipeline import RecommendationMaker, RecommendationRequest
from llmrec_plugin.services.search import pipeline as search
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT
from llmrec_plugin.services.serving import result_pages
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.services.serving.variants import Variant
from llmrec_plugin.types import ContributionCode, RankedItem, ResultItem, SearchRequest

SHOWN = 10
PAST_ITEMS = 10
"""Named per place; those that moved it less are told together."""
REACH = 100
"""An item that is not shown on the other side is looked for among so many."""


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """A frozen record of a query or a placement, and of who asks."""

    document: str
    list: str = SEARCH_PLACEMENT
    """"search" or the name of a placement."""
    text: str = ""
    user_key: str | None = None
    item: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServingOverrides:
    """A frozen record of what answers: as it is live, but for what is said here."""

    configuration: Configuration
    index_version: int | None = None
    model_version: int | None = None
    placement: Placement | None = None
    """A placement that is not saved yet."""
    rules: Sequence[Rule] | None = None
    """Instead of the rules in effect."""
    as_stranger: bool = False
    """As somebody of whom nothing is known."""
    ignoring: frozenset[str] = frozenset()
    """As if the user had never turned to these items."""


@dataclass(frozen=True, kw_only=True)
class ContributionRow:
    """A frozen record of one contribution, or of what one past item put into a score."""

    name: str
    """Of a registered contribution; in a history the key of the past item."""
    source: str = ""
    """What a contribution goes back to: the key of an item, the number of a rule; empty: no single one."""
    title: str
    """Of the item or rule that it goes back to; empty: it names none."""
    value: float
    share: float
    """Of the largest contribution, up or down, of the whole list: 0..1."""


@dataclass(frozen=True, kw_only=True)
class RankedPosition:
    """A frozen record of one item of a list."""

    item: ResultItem
    number: int
    """From 1."""
    other: int | None = None
    """Its place in the other list; None: it is not among the first ones there."""
    contributions: tuple[ContributionRow, ...] = ()
    history: tuple[ContributionRow, ...] = ()
    """What of the user's past moved the item, most first: a part for each past item, called by its key, and
    one without a name for the others; none where no single one is named."""

    @property
    def moved(self) -> int:
        """Return the places up against the other list; 0 where it is not there."""
        return 0 if self.other is None else self.other - self.number


@dataclass(frozen=True, kw_only=True)
class ListPreview:
    """A frozen record of one list."""

    positions: tuple[RankedPosition, ...] = ()
    total: int = 0
    degraded: tuple[str, ...] = ()
    error: str = ""
    """Why there is no list."""
    keys: tuple[str, ...] = ()
    """Of the items that the list goes on with, too."""


def preview(query: ListQuery, overrides: ServingOverrides, *, limit: int = SHOWN) -> ListPreview:
    """Return the list as `overrides` have it; what cannot be answered is said in `error`."""
    try:
        with _rules_of(overrides):
            ranked = _ranked(query, overrides)
            items = result_pages.glance(ranked, limit=limit)
    except LlmrecError as error:
        return ListPreview(error=str(error))
    largest = max((abs(value) for item in items for value in item.contributions.values()), default=0.0) or 1.0
    contributions = _contribution_rows(query.document, items, overrides.rules or (), largest)
    return ListPreview(
        positions=tuple(
            RankedPosition(
                item=item,
                number=number,
                contributions=contributions[item.item_id],
                history=_history(item, largest),
            )
            for number, item in enumerate(items, start=1)
        ),
        total=len(ranked.items) if ranked.total is None else ranked.total,
        degraded=ranked.degraded,
        keys=tuple(item.key for item in ranked.items[:REACH]),
    )


def compare(
    query: ListQuery, before: ServingOverrides, after: ServingOverrides, *, limit: int = SHOWN
) -> tuple[ListPreview, ListPreview]:
    """Return both lists, each item with its place in the other one."""
    old, new = preview(query, before, limit=limit), preview(query, after, limit=limit)
    return _against(old, new), _against(new, old)


def past_items(label: str, user_key: str | None) -> list[tuple[str, str]]:
    """Return key and title of what the user turned to, latest first, as far as it counts and still exists."""
    user = taste.load_user(user_key, document=label, history=Configuration.current().history_length)
    keys = list(dict.fromkeys(event.key for event in user.events))
    document = registry.get(label)
    objects = document.in_bulk(keys) if keys else {}
    return [(key, document.get_title(objects[key])) for key in keys if key in objects]


def _against(one: ListPreview, other: ListPreview) -> ListPreview:
    numbers = {key: number for number, key in enumerate(other.keys, start=1)}
    numbers |= {position.item.item_id: position.number for position in other.positions}
    return replace(
        one,
        positions=tuple(
            replace(position, other=numbers.get(position.item.item_id)) for position in one.positions
        ),
    )


def _rules_of(overrides: ServingOverrides) -> AbstractContextManager[None]:
    return nullcontext() if overrides.rules is None else rules.preview_rules(overrides.rules)


def _ranked(query: ListQuery, overrides: ServingOverrides) -> RankedList:
    variant = Variant(
        configuration=overrides.configuration,
        index_version=overrides.index_version,
        model_version=overrides.model_version,
    )
    user_key = None if overrides.as_stranger else query.user_key
    if query.list == SEARCH_PLACEMENT:
        request = SearchRequest(
            document=query.document,
            text=query.text,
            user_key=user_key,
            explain=True,
            ignoring=overrides.ignoring,
        )
        return search.ranked_list(request, variant)
    placement = overrides.placement or get_placement(query.list, overrides.configuration)
    recommendation = RecommendationRequest(
        placement=placement,
        document=recommendations.label_of(placement, query.document),
        user_key=user_key,
        item_id=query.item or "",
        explain=True,
        ignoring=overrides.ignoring,
    )
    return RecommendationMaker(recommendation).make(variant)


def _history(item: ResultItem, largest: float) -> tuple[ContributionRow, ...]:
    if not any(past.item_id for past in item.history):
        return ()
    return tuple(
        ContributionRow(
            name=past.item_id, title=past.title, value=past.value, share=min(1.0, abs(past.value) / largest)
        )
        for past in shortened(item.history, PAST_ITEMS)
    )


def _contribution_rows(
    label: str, items: Sequence[ResultItem], candidates: Sequence[Rule], largest: float
) -> dict[str, tuple[ContributionRow, ...]]:
    """Return by item its contributions, the largest contributions first, as a visitor's list names them; two
    queries at most."""
    folded_contributions = {
        item.item_id: folded(RankedItem(item.item_id, item.score, item.contributions)).contributions
        for item in items
    }
    codes = {code for parts in folded_contributions.values() for code in map(ContributionCode.parse, parts)}
    titles = _titles(label, codes, candidates)
    return {
        key: tuple(
            ContributionRow(
                name=code.name,
                source=code.source,
                title=titles.get(code, ""),
                value=value,
                share=min(1.0, abs(value) / largest),
            )
            for code, value in sorted(
                ((ContributionCode.parse(text), value) for text, value in parts.items()),
                key=lambda pair: -abs(pair[1]),
            )
        )
        for key, parts in folded_contributions.items()
    }


def _titles(
    label: str, codes: Collection[ContributionCode], candidates: Sequence[Rule]
) -> dict[ContributionCode, str]:
    """Return what is shown of the items and rules that contributions go back to."""
    found = {}
    sources = {
        kind: {code.source for code in codes if code.source and contributions.get(code.name).source == kind}
        for kind in ("item", "rule")
    }
    titles = {
        "item": _titles_of_items(label, sources["item"]),
        "rule": _titles_of_rules(sources["rule"], candidates),
    }
    for code in codes:
        title = titles.get(contributions.get(code.name).source, {}).get(code.source)
        if title is not None:
            found[code] = title
    return found


def _titles_of_items(label: str, keys: Collection[str]) -> dict[str, str]:
    document = registry.get(label)
    return {key: document.get_title(obj) for key, obj in document.in_bulk(sorted(keys)).items()}


def _titles_of_rules(numbers: Collection[str], candidates: Sequence[Rule]) -> dict[str, str]:
    """Return the name of each rule; a candidate may not be saved yet."""
    titles = {str(rule.pk or 0): rule.name for rule in candidates}
    missing = [number for number in numbers if number not in titles]
    stored = Rule.objects.filter(pk__in=missing).values_list("pk", "name") if missing else ()
    return titles | {str(pk): name for pk, name in stored}
