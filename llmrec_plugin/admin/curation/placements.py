"""Placements as editors turn them, checked against what they show."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.curation.editable import VersionedRowAdmin
from llmrec_plugin.admin.curation.fields import FiltersField, name_fields
from llmrec_plugin.admin.insight.previews import lists
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Configuration, Interaction, Placement
from llmrec_plugin.services.curation.placements import (
    ANCHORS,
    FALLBACKS,
    PERSONAL,
    TAKEN,
    all_placements,
    check_filters,
    declared_placements,
    of_row,
)
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides

_KINDS = [choice for choice in Interaction.Kind.choices if choice[0] != "dismiss"]
_TYPES = dict(Placement.Type.choices)
EVERY_DOCUMENT = ("", _("as the page asks"))


class PlacementForm(ModelForm):  # type: ignore[type-arg]
    document = forms.ChoiceField(required=False)
    filters = FiltersField(
        rows=2,
        help_text=_("field=value in lines, such as category=garden or price__lt=10."),
    )
    hide = forms.MultipleChoiceField(
        required=False,
        choices=_KINDS,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What the visitor has done this with; what he dismissed never shows."),
    )
    anchor = forms.MultipleChoiceField(
        required=False,
        choices=[choice for choice in _KINDS if choice[0] in ANCHORS],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Because you viewed: what counts as turning to an item. None chosen: all of it."),
    )
    fallback = forms.MultipleChoiceField(
        required=False,
        choices=[(name, _TYPES[name]) for name in FALLBACKS],
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
        name_fields(self, "document", "filters", "hide", "anchor", "fallback")
        if "type" in self.fields:  # else the row can only be looked at
            choices = [EVERY_DOCUMENT, *((label, label) for label in registry.labels())]
            self.fields["document"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        label, kind = cleaned.get("document", ""), cleaned.get("type")
        if cleaned.get("filters") and not label:
            self.add_error("document", _("Choose whose items the filters are about."))
        if kind == Placement.Type.NEXT and label and registry.get(label).progression is None:
            text = _("“%(label)s” has no order in which its items are taken: declare its progression.")
            self.add_error("type", ValidationError(text, params={"label": label}))
        return cleaned

    def _post_clean(self) -> None:
        """The row as it would be is checked as a setting would be."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            check_filters(of_row(self.instance))
        except LlmrecError as error:
            self.add_error("filters", str(error))


@admin.register(Placement)
class PlacementAdmin(VersionedRowAdmin):
    form = PlacementForm
    about = _(
        "A placement is a list that a page asks for by its name. Built in or set by the developer: "
        "%(names)s. A row of the same name replaces it; another name is a new list."
    )
    list_display = ["name", "type", "document", "limit", "fresh", "diversity", "enabled"]
    list_filter = ["enabled", "type", "document"]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "enabled", "type", "document", "limit"]}),
        (_("Which items"), {"fields": ["filters", "hide", "anchor"]}),
        (_("In what order"), {"fields": ["diversity", "fresh", "fallback"]}),
    ]

    def get_about(self) -> str:
        return str(self.about) % {"names": ", ".join(declared_placements())}

    def questions(self, candidate: Placement, asked: dict[str, Any]) -> list[ListQuery]:
        label = candidate.document or asked["document"]
        return lists(label, [candidate.name], asked)

    def ways(
        self, candidate: Placement, question: ListQuery
    ) -> tuple[ServingOverrides | None, ServingOverrides]:
        configuration = Configuration.current()
        known = candidate.name in all_placements(configuration)
        now = ServingOverrides(configuration=configuration) if known else None
        return now, ServingOverrides(configuration=configuration, slot=of_row(candidate))

    def get_changeform_initial_data(self, request: Any) -> dict[str, Any]:
        """A new row leaves out what the visitor has, as the built-in personal lists do."""
        initial = {str(name): value for name, value in super().get_changeform_initial_data(request).items()}
        return {"hide": list(TAKEN) if initial.get("type", PERSONAL[0]) in PERSONAL else [], **initial}
