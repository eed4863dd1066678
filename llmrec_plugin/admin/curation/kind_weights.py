"""The weight of each kind of event, as one number each instead of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from llmrec_plugin.event_kinds import MAX_WEIGHT, event_kinds, kind_names


class KindWeightsWidget(forms.MultiWidget):
    """Shows a row of numbers, one labelled with each registered kind."""

    template_name = "admin/llmrec_plugin/kind_weights.html"
    use_fieldset = True

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        number = {"step": "any", "min": -int(MAX_WEIGHT), "max": int(MAX_WEIGHT)}
        super().__init__({kind: forms.NumberInput(attrs=number) for kind in kind_names()}, attrs)

    def decompress(self, value: Any) -> list[Any]:
        known = value if isinstance(value, Mapping) else {}
        return [known.get(kind) for kind in kind_names()]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        for kind, part in zip(event_kinds, context["widget"]["subwidgets"], strict=True):
            part["label"] = capfirst(str(kind.label))
        return context


class KindWeightsField(forms.MultiValueField):
    """Reads {kind: number}; how large a number may be, the model says."""

    widget = KindWeightsWidget

    def __init__(self, **kwargs: Any) -> None:
        numbers = [forms.FloatField(localize=False) for _kind in kind_names()]
        super().__init__(numbers, require_all_fields=True, **kwargs)
        self.error_messages["required"] = _("Give a number for each of: %s.") % ", ".join(kind_names())

    def compress(self, data_list: Sequence[float]) -> dict[str, float]:
        return dict(zip(kind_names(), data_list, strict=True))
