"""What a signal is, and where it is found: the built-in ones beside this file, a site's own in its apps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar, get_args

from llmrec_plugin.contributions import Contribution, contributions, register_contribution
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.ranking.stages import Prior, Stage
from llmrec_plugin.registries import NameRegistry
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import FilterKind, Scalar

if TYPE_CHECKING:
    from llmrec_plugin.models import Configuration

ValuesByKey: TypeAlias = Mapping[str, Sequence[Scalar]]
"""Item -> what its filter field holds; items without any value are not in it."""


@dataclass(frozen=True, kw_only=True)
class SignalContext:
    """A frozen record of what a signal may go by beside the values."""

    configuration: Configuration
    """What editors say, or the arm of an experiment."""
    now: datetime
    """The moment of the request; aware."""


class Signal(ABC):
    """A signal reads one filter field of each item found and moves the items by it.

    Inherit from this class or, where the signal adds a value to each item's score, from `ValueSignal`, and
    decorate with `@register_signal`; a document names the field that it reads:
    `Signals(<name>="<filter field>")`.
    """

    name: ClassVar[str]
    """The keyword of `Signals`."""
    kind: ClassVar[FilterKind]
    """What the filter field must be: "keyword", "number", "boolean" or "date"."""
    contribution: ClassVar[Contribution]
    """What it adds to scores, with the label that editors read and, where visitors are told of it, a
    sentence; registered with the signal unless it is already."""
    reorders: ClassVar[bool] = False
    """It goes by the order of the list, and comes after all that add to scores."""

    def weight(self, configuration: Configuration) -> float:
        """Return how much it counts; 0: nothing, and its field is not even read.

        By default what editors give it in the configuration, from 0, as at first, to 1.
        """
        return float(configuration.signal_weights.get(self.name, 0.0))

    @abstractmethod
    def stage(self, values: ValuesByKey, context: SignalContext) -> Stage:
        """Return the stage that moves the candidates; `values` of all of them that have any."""


class ValueSignal(Signal):
    """A signal that adds its weight times a value of each item; one without a value counts as average."""

    @abstractmethod
    def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
        """Return the item's value, from 0 to 1; `found`, one scalar at least, is what its field holds: dates
        are seconds since 1970."""

    def stage(self, values: ValuesByKey, context: SignalContext) -> Stage:
        known = {key: self.value(found, context) for key, found in values.items() if found}
        return Prior(known, self.weight(context.configuration), name=self.contribution.name)


S = TypeVar("S", bound=type[Signal])

signals: NameRegistry[Signal] = NameRegistry("ranking signal", register="register_signal")


def register_signal(declared: S) -> S:
    """Add a signal, with its contribution, and hand it back.

    Raises ConfigurationError for a class that is no signal or lacks what makes one, and where one of that
    name is there already, or the name is none.
    """
    _check_declaration(declared)
    signal = signals.register(declared())
    contribution = signal.contribution
    if contribution.name not in contributions or contributions.get(contribution.name) is not contribution:
        try:
            register_contribution(contribution)
        except ConfigurationError:
            signals.unregister(signal.name)
            raise
    return declared


def _check_declaration(declared: type[Signal]) -> None:
    """Raise ConfigurationError, with the cure, for what a signal lacks."""
    where = f"{declared.__module__}.{declared.__qualname__}"
    if not issubclass(declared, Signal):
        raise ConfigurationError(f"{where} is no ranking signal: it must inherit from ValueSignal or Signal.")
    if not getattr(declared, "name", ""):
        raise ConfigurationError(f'{where} needs a name, such as name = "margin".')
    kinds = get_args(FilterKind)
    if getattr(declared, "kind", None) not in kinds:
        kind = getattr(declared, "kind", "")
        found = f"has the kind {kind!r}" if kind else "has no kind"
        raise ConfigurationError(f"{where} {found}: what its filter field must be. {hint(kind, kinds)}")
    if not isinstance(getattr(declared, "contribution", None), Contribution):
        name = declared.name
        raise ConfigurationError(
            f"{where} has no contribution, which says what it adds to scores: "
            f'contribution = Contribution(name="{name}", label=_("{name}")).'
        )
    if missing := sorted(declared.__abstractmethods__):
        cures = {
            "value": "define value(self, found, context)",
            "stage": "define stage(self, values, context), or inherit from ValueSignal and define value",
        }
        raise ConfigurationError(f"{where} moves no item: {cures.get(missing[0], f'define {missing[0]}')}.")


class Signals:
    """Signals of a document: by the name of each, the filter field that it reads.

    How much they count, editors say in the configuration; at first nothing does.

    signals = Signals(date="released", available="in_stock", group="brand")

    `date`, a date: newer items may rank higher. `available`, a boolean: what can be had may rank higher.
    `group`, a keyword such as the brand or the teacher: a page may show only so many of one. Further names
    are signals that the site declared itself with `register_signal`.
    """

    def __init__(self, **fields: str) -> None:
        self.fields: Mapping[str, str] = {name: field for name, field in fields.items() if field}

    def __repr__(self) -> str:
        return f"Signals({', '.join(f'{name}={field!r}' for name, field in self.fields.items())})"
