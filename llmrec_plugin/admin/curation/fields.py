"""Form fields for what editors write in lines: phrases, items and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest

SEPARATOR = " · "
"""Between an item's key and its title, which only people read."""
SUGGESTED = 3


class LinesField(forms.CharField):
    """A list of texts, one to a line."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "cols": 60})
        super().__init__(widget=widget, required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(map(str, value))

    def clean(self, value: Any) -> Any:
        lines = (" ".join(line.split()) for line in str(super().clean(value)).splitlines())
        return list(dict.fromkeys(line for line in lines if line))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), str(data or "").replace("\r\n", "\n"))


class FiltersField(LinesField):
    """`field=value` in lines; several values of one field mean any of them."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}={text}" for name, texts in value.items() for text in texts)
        return super().prepare_value(value)

    def clean(self, value: Any) -> dict[str, list[str]]:
        filters: dict[str, list[str]] = {}
        for line in super().clean(value):
            name, sign, text = line.partition("=")
            if not (sign and name.strip() and text.strip()):
                raise ValidationError(
                    _("“%(line)s” is no filter: write field=value, such as category=garden."),
                    params={"line": line},
                )
            filters.setdefault(name.strip(), []).append(text.strip())
        return filters


def name_fields(form: forms.BaseModelForm[Any], *names: str) -> None:
    """Fields that the form declares itself are called as the model calls them, like all others."""
    for name in names:
        if name in form.fields:
            form.fields[name].label = capfirst(form._meta.model._meta.get_field(name).verbose_name)


def titled(document: SearchDocument[Any], keys: Sequence[str]) -> list[str]:
    """Each key with the title of its item, as `items_of` reads them back."""
    objects = document.in_bulk(list(keys))
    return [f"{key}{SEPARATOR}{document.get_title(objects[key])}" if key in objects else key for key in keys]


def items_of(document: SearchDocument[Any], lines: Sequence[str]) -> list[str]:
    """Keys of the items that the lines name by key or by title; raises ValidationError naming the first that
    none is, with those that may be meant."""
    candidates = [line.partition(SEPARATOR)[0] for line in lines]
    known = document.in_bulk(candidates)
    keys = [
        key if key in known else _by_title(document, line)
        for key, line in zip(candidates, lines, strict=True)
    ]
    return list(dict.fromkeys(keys))


def _by_title(document: SearchDocument[Any], title: str) -> str:
    try:
        results = search(SearchRequest(document=document.label, text=title, limit=SUGGESTED)).results
    except LlmrecError:  # without an index there are only keys
        results = ()
    for result in results:
        if result.title.casefold() == title.casefold():
            return result.item_id
    meant = ", ".join(f"{result.item_id}{SEPARATOR}{result.title}" for result in results)
    if meant:
        raise ValidationError(
            _("There is no item “%(line)s”. Did you mean one of these? %(meant)s"),
            params={"line": title, "meant": meant},
        )
    raise ValidationError(
        _("There is no item “%(line)s”: write its primary key or its whole title."), params={"line": title}
    )
