"""The weight of each ranking signal that the site declared itself, as one number each instead of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.text import capfirst

from llmrec_plugin.documents.signals import Signal, signals


def site_signals() -> list[Signal]:
    """Return the signals whose weight is no field of its own in the configuration."""
    return [signal for signal in signals if type(signal).weight is Signal.weight]


class SignalWeightsWidget(forms.MultiWidget):
    """One labelled number beside the other."""

    template_name = "admin/llmrec_plugin/kind_weights.html"
    use_fieldset = True

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        self.signals = site_signals()
        number = {"step": "any", "min": 0, "max": 1}
        super().__init__({signal.name: forms.NumberInput(attrs=number) for signal in self.signals}, attrs)

    def decompress(self, value: Any) -> list[Any]:
        known = value if isinstance(value, Mapping) else {}
        return [known.get(signal.name, 0.0) for signal in self.signals]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        for signal, part in zip(self.signals, context["widget"]["subwidgets"], strict=True):
            part["label"] = capfirst(str(signal.contribution.label))
        return context


class SignalWeightsField(forms.MultiValueField):
    """{name of a signal: number}; none of them has to be given."""

    widget = SignalWeightsWidget

    def __init__(self, **kwargs: Any) -> None:
        self.names = [signal.name for signal in site_signals()]
        numbers = [forms.FloatField(localize=False, required=False) for _name in self.names]
        super().__init__(numbers, require_all_fields=False, required=False, **kwargs)

    def compress(self, data_list: Sequence[float | None]) -> dict[str, float]:
        return {name: weight for name, weight in zip(self.names, data_list, strict=False) if weight}
