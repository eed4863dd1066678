"""Holds what makes one type of list: the class that every strategy inherits, and how a site registers one.

# shop/search_documents.py
@register_strategy
class CheapestFirst(ListStrategy):
    name = "cheapest"
    label = _("cheapest first")

    def candidates(self, context):
        rows = context.document.get_queryset().order_by("price", "pk")
        return self.in_order(rows.values_list("pk", flat=True)[: context.limit])
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from llmrec_plugin.contributions import Contribution, contributions
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotFound
from llmrec_plugin.ranking.items import falling
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.curation.list_types import ListType, find_type, list_types
from llmrec_plugin.services.curation.placements import Placement, type_of
from llmrec_plugin.services.recommendations.context import RecommendationContext
from llmrec_plugin.services.serving import popular_items, reasons
from llmrec_plugin.types import RankedItem

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

S = TypeVar("S", bound="type[ListStrategy]")
T = TypeVar("T")

OURS = "llmrec_plugin.services.recommendations."
"""What modules of built-in strategies begin with."""


@dataclass(frozen=True, kw_only=True)
class CandidateList:
    """A frozen record of what a strategy answers with: a whole list, best first, before rules are applied to
    it."""

    items: Sequence[RankedItem]
    context: reasons.ReasonContext
    degraded: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    """Items that the list is about, or in the basket: never in it."""


class ListStrategy(ListType):
    """Makes the lists of one type; most define `candidates`, and `recommend` is for full control.

    It holds no state: one instance serves all requests, in any thread.
    """

    sentence: ClassVar[_StrPromise | str] = ""
    """What visitors read as the reason of an item that `in_order` put there; empty: nothing."""
    is_spread_out: ClassVar[bool] = False
    """Its own order obeys the placement's diversity already."""

    def candidates(self, context: RecommendationContext) -> Iterable[RankedItem]:
        """Return the list's own items, best first; what must not be shown is taken out of them afterwards."""
        raise NotImplementedError

    def own_items(self, context: RecommendationContext, hidden: Collection[str]) -> Sequence[RankedItem]:
        """Return the candidates that may be shown, without those hidden; also for lists that they fill up."""
        return context.presentable(self.candidates(context), hidden)

    def recommend(self, context: RecommendationContext) -> CandidateList:
        """Return the whole list: its own items, and its fallbacks where they are too few.

        Whoever overrides it shows nothing hidden (`context.hidden`) or confined out (`context.passing`), and
        no item twice.
        """
        excluded = frozenset({context.anchor.key}) if self.needs_item else frozenset()
        hidden = context.hidden | excluded
        items = with_fallbacks(context, self.own_items(context, hidden), of=type(self), hidden=hidden)
        return CandidateList(items=items, context=reasons.context_of(items), excluded=excluded)

    def in_order(self, keys: Iterable[object]) -> list[RankedItem]:
        """Return items of these keys, in this order.

        Their scores fall from 1, by a contribution that is called as the strategy is.
        """
        return falling(map(str, keys), self.name)


_MAKES_A_LIST = ("candidates", "own_items", "recommend")


def register_strategy(strategy: S) -> S:
    """Add a type of list, and hand its class back; for a site's search_documents.py.

    Raises ConfigurationError for a class that makes no list, has no label, or has a name that is none or
    another's.
    """
    where = f"{strategy.__module__}.{strategy.__qualname__}"
    if not issubclass(strategy, ListStrategy):
        raise ConfigurationError(f"{where} is no list strategy: it must inherit from ListStrategy.")
    if not any(getattr(strategy, name) is not getattr(ListStrategy, name) for name in _MAKES_A_LIST):
        raise ConfigurationError(f"{where} makes no list: define candidates(self, context).")
    for name in ("name", "label"):
        if not getattr(strategy, name, ""):
            raise ConfigurationError(f'{where} needs a {name}, such as {name} = "staff-picks".')
    contribution = _contribution_of(strategy)
    list_types.register(strategy())
    if contribution is not None and contribution.name not in contributions:
        contributions.register(contribution)
    return strategy


def unregister_strategy(strategy: type[ListStrategy]) -> None:
    """Take a type of list away, so that another can take its name."""
    list_types.unregister(strategy.name)
    contribution = _contribution_of(strategy)
    if contribution is not None and contribution in tuple(contributions):
        contributions.unregister(strategy.name)


def _contribution_of(strategy: type[ListStrategy]) -> Contribution | None:
    """Return what gives the scores of `ListStrategy.in_order`; None where the strategy has its own."""
    if strategy.candidates is ListStrategy.candidates:
        return None
    return Contribution(name=strategy.name, label=strategy.label, sentence=strategy.sentence)


def strategy_of(placement: Placement) -> ListStrategy:
    """Return what makes the lists of the placement; raises ConfigurationError where it is not registered."""
    return cast(ListStrategy, type_of(placement))  # only strategies are registered


def with_fallbacks(
    context: RecommendationContext,
    items: Sequence[RankedItem],
    *others: Callable[[], Sequence[RankedItem]],
    of: type[ListStrategy],
    hidden: Collection[str] | None = None,
) -> list[RankedItem]:
    """Return the list made longer by `others`, by the placement's fallbacks, and at last by the newest items.

    `of` is the strategy whose list it is, which never fills up itself. Without `hidden`, what the context
    hides is left out.
    """
    where = f'A fallback of the placement "{context.placement.name}"'
    names = dict.fromkeys((*(context.placement.fallback or of.fallback), "latest"))
    names.pop(of.name, None)
    hidden = context.hidden if hidden is None else hidden
    fillers = (cast(ListStrategy, find_type(name, where=where)) for name in names)
    fills = (partial(_filling, filler, context, hidden) for filler in fillers)
    return popular_items.concat_unique(items, *others, *fills, limit=context.limit)


def made_by(strategy: ListStrategy, context: RecommendationContext) -> CandidateList:
    """Return the strategy's list; where its code fails, that of its fallbacks. Its own answers to what was
    asked, such as InvalidRequest, are passed on."""
    found = _answer(strategy, lambda: strategy.recommend(context))
    if found is not None:
        return found
    excluded = frozenset({context.anchor.key}) if strategy.needs_item else frozenset(context.basket)
    hidden = context.hidden | excluded
    items = with_fallbacks(context, (), of=type(strategy), hidden=hidden)
    return CandidateList(items=items, context=reasons.context_of(items), excluded=excluded)


def _filling(
    filler: ListStrategy, context: RecommendationContext, hidden: Collection[str]
) -> Sequence[RankedItem]:
    return _answer(filler, lambda: filler.own_items(context, hidden)) or ()


def _answer(strategy: ListStrategy, make: Callable[[], T]) -> T | None:
    """Return what a strategy makes; None where it fails. Ours only fail with all that is around them."""
    if type(strategy).__module__.startswith(OURS):
        return make()
    return site_code.call(
        part_of(strategy.name),
        make,
        otherwise=None,
        lacks="strategy",
        asks_database=True,
        passing=(NotFound, InvalidRequest),
    )


def part_of(name: str) -> str:
    """Return what a strategy is called where it fails."""
    return f"strategy {name}"
