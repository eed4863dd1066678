"""What moves items in any search, as the document declares and an editor weighs; unweighed it is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from llmrec_plugin.documents.signals import Signal, SignalContext, signals
from llmrec_plugin.documents.signals.signal import ValuesByKey
from llmrec_plugin.ranking.stages import Stage
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.items import filters
from llmrec_plugin.services.search.context import SearchContext
from llmrec_plugin.types import RankedItem, Scalar

Values: TypeAlias = Mapping[str, Mapping[str, tuple[Scalar, ...]]]
"""Filter field -> item -> what it holds."""


def fields(context: SearchContext) -> tuple[str, ...]:
    """Return the filter fields whose values are needed: of the signals that count."""
    return tuple(field for _signal, field in _weighed(context))


def stages(context: SearchContext, values: Values) -> tuple[Stage, ...]:
    """Return the stages of the signals that count, those that add to scores first."""
    given = SignalContext(configuration=context.configuration, now=context.now)
    weighed = sorted(_weighed(context), key=lambda pair: pair[0].reorders)
    return tuple(partial(_moved, signal, values.get(field, {}), given) for signal, field in weighed)


def _moved(
    signal: Signal, values: ValuesByKey, context: SignalContext, items: Sequence[RankedItem]
) -> list[RankedItem]:
    """Return the items as the signal moves them, as they are where its code fails."""
    return site_code.call(
        part_of(signal.name),
        lambda: signal.stage(values, context)(items),
        otherwise=list(items),
        lacks="signals",
    )


def part_of(name: str) -> str:
    """Return what a signal is called where it fails."""
    return f"signal {name}"


def _weighed(context: SearchContext) -> Iterable[tuple[Signal, str]]:
    """Yield each signal that counts, and its field, which the index holds; `manage.py check` tells of a name
    that is no signal."""
    kinds = filters.kinds_of(context.pair.index_version)
    named = context.document.signals.fields
    for signal in signals:
        field = named.get(signal.name)
        if field is not None and kinds.get(field) == signal.kind and _counts(signal, context):
            yield signal, field


def _counts(signal: Signal, context: SearchContext) -> bool:
    return site_code.call(
        part_of(signal.name),
        lambda: bool(signal.weight(context.configuration)),
        otherwise=False,
        lacks="signals",
    )
