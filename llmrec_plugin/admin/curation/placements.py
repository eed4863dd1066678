"""Lets editors turn placements, checked against what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.curation.editable import VersionedRowAdmin
from llmrec_plugin.admin.curation.fields import FiltersField, name_fields
from llmrec_plugin.admin.insight.previews import placement_queries
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import click_kinds, dismissal_kinds, event_kinds, kind_names
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Configuration, Placement
from llmrec_plugin.services.curation.list_types import list_types
from llmrec_plugin.services.curation.placements import (
    all_placements,
    check_filters,
    declared_placements,
    of_row,
)
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides

EVERY_DOCUMENT = ("", _("as the page asks"))
FIRST_TYPE = "for-you"
"""What a new row is taken for until its type is chosen."""


def kinds_that_hide() -> tuple[str, ...]:
    """Return the kinds of events whose items a placement may leave out; what is dismissed never shows."""
    return tuple(name for name in kind_names() if name not in dismissal_kinds())


def _kinds(names: Callable[[], Sequence[str]]) -> list[tuple[str, Any]]:
    """Name and label of these kinds of events, as they are registered when a form is shown."""
    return [(name, event_kinds.get(name).label) for name in names()]


def _types(*, fillers: bool = False) -> list[tuple[str, Any]]:
    """Return name and label of the types of lists there are, or of those that may fill up others."""
    return [(one.name, one.label) for one in list_types if one.can_fill or not fillers]


def _help_on_types() -> SafeString:
    return format_html_join("", "<b>{}</b>: {}<br>", ((one.label, one.help_text) for one in list_types))


class PlacementForm(ModelForm):  # type: ignore[type-arg]
    type = forms.ChoiceField(choices=lambda: [("", "---------"), *_types()])
    document = forms.ChoiceField(required=False)
    filters = FiltersField(
        rows=2,
        help_text=_("field=value in lines, such as category=garden or price__lt=10."),
    )
    hide = forms.MultipleChoiceField(
        required=False,
        choices=partial(_kinds, kinds_that_hide),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What the visitor has done this with; what they dismissed never shows."),
    )
    anchor = forms.MultipleChoiceField(
        required=False,
        choices=partial(_kinds, click_kinds),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Because you viewed: what counts as turning to an item. None chosen: all of it."),
    )
    fallback = forms.MultipleChoiceField(
        required=False,
        choices=partial(_types, fillers=True),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Where the list is too short, in this order; the latest items come last in any case."),
    )

    class Meta:
        model = Placement
        fields = [
            "name",
            "enabled",
            "type",
            "document",
            "limit",
            "filters",
            "hide",
            "anchor",
            "diversity",
            "fresh",
            "fallback",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, "type", "document", "filters", "hide", "anchor", "fallback")
        if "type" in self.fields:  # else the row can only be looked at
            self.fields["type"].help_text = _help_on_types()
            choices = [EVERY_DOCUMENT, *((label, label) for label in registry.labels())]
            self.fields["document"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        label, kind = cleaned.get("document", ""), cleaned.get("type")
        if cleaned.get("filters") and not label:
            self.add_error("document", _("Choose whose items the filters are about."))
        needs_progression = kind is not None and list_types.get(kind).needs_progression
        if needs_progression and label and registry.get(label).progression is None:
            text = _("“%(label)s” has no order in which its items are taken: declare its progression.")
            self.add_error("type", ValidationError(text, params={"label": label}))
        return cleaned

    def _post_clean(self) -> None:
        """Check the row as it would be, as a setting would be."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            check_filters(of_row(self.instance))
        except LlmrecError as error:
            self.add_error("filters", str(error))


class TypeFilter(admin.SimpleListFilter):
    """Filters rows by type, called as in the form."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return _types()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Placement]) -> QuerySet[Placement]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(Placement)
class PlacementAdmin(VersionedRowAdmin):
    form = PlacementForm
    about = _(
        "A placement is a list that a page asks for by its name. Built in or set by the developer: "
        "%(names)s. A row of the same name replaces it; another name is a new list."
    )
    list_display = ["name", "type_label", "document", "limit", "fresh", "diversity", "enabled"]
    list_filter = ["enabled", TypeFilter, "document"]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "enabled", "type", "document", "limit"]}),
        (_("Which items"), {"fields": ["filters", "hide", "anchor"]}),
        (_("In what order"), {"fields": ["diversity", "fresh", "fallback"]}),
    ]

    @admin.display(description=_("type"), ordering="type")
    def type_label(self, row: Placement) -> str:
        return str(dict(_types()).get(row.type, row.type))

    def get_about(self) -> str:
        return str(self.about) % {"names": ", ".join(declared_placements())}

    def list_queries(self, candidate: Placement, form_values: dict[str, Any]) -> list[ListQuery]:
        label = candidate.document or form_values["document"]
        return placement_queries(label, [candidate.name], form_values)

    def serving_overrides(
        self, candidate: Placement, query: ListQuery
    ) -> tuple[ServingOverrides | None, ServingOverrides]:
        configuration = Configuration.current()
        known = candidate.name in all_placements(configuration)
        now = ServingOverrides(configuration=configuration) if known else None
        return now, ServingOverrides(configuration=configuration, placement=of_row(candidate))

    def get_changeform_initial_data(self, request: Any) -> dict[str, Any]:
        """Begin a new row so that it leaves out what the visitor has, as the built-in personal lists do."""
        initial = {str(name): value for name, value in super().get_changeform_initial_data(request).items()}
        kind = str(initial.get("type", FIRST_TYPE))
        return {"hide": list(list_types.get(kind).hidden_kinds()) if kind in list_types else [], **initial}
