"""Declares every kind of event that people may cause with an item, and what follows from it, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import check_options
from llmrec_plugin.ranking.profile import liking
from llmrec_plugin.registries import NameRegistry
from llmrec_plugin.suggest import hint
from llmrec_plugin.wording import COUNT, TITLE, Text, check_label, check_sentence

MAX_WEIGHT = 10.0
"""Up and down."""


@dataclass(frozen=True, kw_only=True)
class EventKind:
    """A frozen declaration of one kind of event, such as a purchase.

    A site adds its own; it is accepted like the built-in ones, counts for taste and popularity by its
    weight, and is told in reasons:

        register_event_kind(
            EventKind(name="like", label=_("liked"), weight=2.0, because=_("Because you liked “%(title)s”"))
        )
    """

    name: str
    """As sent and stored."""
    label: Text
    """What the user did, in one word or two: "viewed"."""
    weight: float
    """How much one event says about the user's taste, -10 to 10, unless an editor says otherwise."""
    sign: Literal["for", "against", "by_value"] = "for"
    """Whether it speaks for the item, against it, or as its value says, like stars: above 3 for it, below
    against it. What speaks for an item counts as a click of a list and may be what a list is about; an item
    that something speaks against is not shown to that user again."""
    from_browsers: bool = True
    """Browsers and apps may send it; if not, only the site's own code, its rows and imports."""
    is_taking: bool = False
    """The user has the item from then on: it counts as a conversion, and lists that leave out what the user
    has leave the item out."""
    because: Text = ""
    """Why an item is shown, of a past item %(title)s; empty: “Matches your interests”."""
    others: Text = ""
    """The same of what other people did with %(title)s; empty: that they chose both."""
    weekly: Text = ""
    """How often it happened in a week, %(count)d, from `ngettext_lazy(…, …, "count")`; empty: not told."""
    counted_as: str = ""
    """The kind whose `weekly` counts it, as a click is the view that it leads to; empty: this kind."""

    def __post_init__(self) -> None:
        check_options(self, self.called)
        check_label(self.label, called=self.called("label"))
        for name in ("because", "others"):
            check_sentence(getattr(self, name), TITLE, called=self.called(name))
        check_sentence(self.weekly, COUNT, called=self.called("weekly"))
        lowest, highest = (-MAX_WEIGHT, 0.0) if self.sign == "against" else (0.0, MAX_WEIGHT)
        if not lowest <= self.weight <= highest:
            raise ConfigurationError(
                f'The weight of the kind of event "{self.name}" is {self.weight:g}; with sign "{self.sign}" '
                f"it must lie from {lowest:g} to {highest:g}."
            )

    def called(self, attribute: str) -> str:
        """Return what messages call an attribute of this kind."""
        return f'{attribute} of the kind of event "{self.name}"'


event_kinds: NameRegistry[EventKind] = NameRegistry("kind of event", register="register_event_kind")


def register_event_kind(kind: EventKind) -> EventKind:
    """Add a kind of event and hand it back; raises ConfigurationError where its name is taken or is none."""
    return event_kinds.register(kind)


def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds of events, in the order of declaration."""
    return event_kinds.names()


def kind_choices() -> list[tuple[str, Text]]:
    """Return name and label of each kind of event, for forms and fields."""
    return [(kind.name, kind.label) for kind in event_kinds]


def default_kind_weights() -> dict[str, float]:
    """Return how much one event of each kind says about a user's taste; below 0: against the item."""
    return {kind.name: kind.weight for kind in event_kinds}


def of_known_kinds(weights: object) -> object:
    """Return stored weights by kind, with what is registered since and without what is not any more; what is
    no dict comes back as it is."""
    if not isinstance(weights, dict):
        return weights
    return {kind: weights.get(kind, usual) for kind, usual in default_kind_weights().items()}


def click_kinds() -> tuple[str, ...]:
    """Return the kinds that speak for an item: each says that it was worth a click of the list that showed
    it, since not every site records the click itself."""
    return tuple(kind.name for kind in event_kinds if kind.sign == "for")


def dismissal_kinds() -> tuple[str, ...]:
    """Return the kinds that speak against an item."""
    return tuple(kind.name for kind in event_kinds if kind.sign == "against")


def rated_kinds() -> tuple[str, ...]:
    """Return the kinds whose value says how the user likes an item."""
    return tuple(kind.name for kind in event_kinds if kind.sign == "by_value")


def liking_of(kind: str, value: float | None) -> float:
    """Return 1 for an event in favour of an item; of a rated kind how far its value lies above (to 1) or
    below (to -1) indifference."""
    return liking(value) if kind in event_kinds and event_kinds.get(kind).sign == "by_value" else 1.0


def taking_kinds() -> tuple[str, ...]:
    """Return the kinds by which a user has an item from then on."""
    return tuple(kind.name for kind in event_kinds if kind.is_taking)


def weekly_kinds() -> dict[str, str]:
    """Return the kinds that are told by how often they happened in a week, the weightiest first -> the kind
    whose words tell it."""
    told = {kind.name: kind.counted_as or kind.name for kind in event_kinds if kind.weekly or kind.counted_as}
    return dict(sorted(told.items(), key=lambda entry: -event_kinds.get(entry[0]).weight))


def browser_kinds() -> tuple[str, ...]:
    """Return the kinds that browsers and apps may send."""
    return tuple(kind.name for kind in event_kinds if kind.from_browsers)


def unknown_kind(name: object, known: tuple[str, ...] | None = None) -> str:
    """Return the message for a name that no kind of event has, or none of `known`, with the nearest."""
    return f'"{name}" is no kind of event. {hint(name, kind_names() if known is None else known)}'


for built_in in (
    EventKind(
        name="view",
        label=_("viewed"),
        weight=1.0,
        because=_("Because you viewed “%(title)s”"),
        others=_("People who viewed “%(title)s” also viewed this"),
        weekly=ngettext_lazy("Viewed %(count)d time this week", "Viewed %(count)d times this week", "count"),
    ),
    EventKind(
        name="click",
        label=_("clicked"),
        weight=1.0,
        because=_("Because you viewed “%(title)s”"),
        others=_("People who viewed “%(title)s” also viewed this"),
        counted_as="view",
    ),
    EventKind(
        name="cart",
        label=_("put in the basket"),
        weight=2.0,
        because=_("Because you put “%(title)s” in the basket"),
        weekly=ngettext_lazy(
            "Put in the basket %(count)d time this week",
            "Put in the basket %(count)d times this week",
            "count",
        ),
    ),
    EventKind(
        name="purchase",
        label=_("bought"),
        weight=4.0,
        is_taking=True,
        because=_("Because you bought “%(title)s”"),
        others=_("People who bought “%(title)s” also bought this"),
        weekly=ngettext_lazy("Bought %(count)d time this week", "Bought %(count)d times this week", "count"),
    ),
    EventKind(
        name="enrol",
        label=_("enrolled"),
        weight=4.0,
        is_taking=True,
        because=_("Because you enrolled in “%(title)s”"),
        others=_("People who enrolled in “%(title)s” also enrolled in this"),
        weekly=ngettext_lazy("%(count)d enrolment this week", "%(count)d enrolments this week", "count"),
    ),
    EventKind(
        name="rating",
        label=_("rated"),
        weight=2.0,
        sign="by_value",
        because=_("Because you rated “%(title)s”"),
    ),
    EventKind(name="dismiss", label=_("dismissed"), weight=-2.0, sign="against"),
):
    register_event_kind(built_in)
