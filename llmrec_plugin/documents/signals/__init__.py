"""What moves items in any search, whatever is asked for: each signal in one file, found by its name."""

from llmrec_plugin.documents.signals import availability, freshness, group_cap
from llmrec_plugin.documents.signals.signal import (
    Signal,
    SignalContext,
    Signals,
    ValuesByKey,
    ValueSignal,
    register_signal,
    signals,
)

__all__ = [
    "Signal",
    "SignalContext",
    "Signals",
    "ValueSignal",
    "ValuesByKey",
    "availability",
    "freshness",
    "group_cap",
    "register_signal",
    "signals",
]
