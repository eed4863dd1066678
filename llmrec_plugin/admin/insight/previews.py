"""Extends a change form so that it shows what its values would do before they are saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ModelAdmin
from llmrec_plugin.admin.curation.fields import LinesField
from llmrec_plugin.admin.insight.explorer import Side, user_key_of
from llmrec_plugin.documents import registry
from llmrec_plugin.models import PopularQuery
from llmrec_plugin.services.explorer import comparison
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides

PREVIEW = "_preview"
AS_ANYBODY = "llmrec_plugin.view_exploration"
"""The permission to see lists as some user sees them."""
QUERIES = 3
ITEMS = 8
NOW, THEN = _("As it is live"), _("With these values")


class PreviewForm(forms.Form):
    """Asks what to look at; empty fields are filled with what is asked most."""

    prefix = "preview"
    document = forms.ChoiceField(label=_("Document"), required=False)
    queries = LinesField(label=_("Queries"), rows=3, help_text=_("One to a line; the first three are shown."))
    user = forms.CharField(label=_("As user"), required=False, max_length=100)
    item = forms.CharField(label=_("Item of the page"), required=False, max_length=255)

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not request.user.has_perm(AS_ANYBODY):
            del self.fields["user"]
        self.fields["document"].choices = [(label, label) for label in registry.labels()]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ListComparison:
    """A frozen record of one query with the lists now and then."""

    title: str
    sides: Sequence[Side]


class Previewing:
    """Lets a form check its values and set them on the instance, but never count as valid."""

    passed = False

    def is_valid(self) -> bool:
        self.passed = bool(super().is_valid())  # type: ignore[misc]
        return False


class PreviewedAdmin(ModelAdmin):
    """Adds a button that shows the lists as they are and as they would be."""

    change_form_template = "admin/llmrec_plugin/previewed/change_form.html"

    def list_queries(self, candidate: Any, form_values: dict[str, Any]) -> list[ListQuery]:
        """Return what to compare, given the values of the preview form."""
        raise NotImplementedError

    def serving_overrides(
        self, candidate: Any, query: ListQuery
    ) -> tuple[ServingOverrides | None, ServingOverrides]:
        """Return what answers now, None where nothing does, and what would."""
        raise NotImplementedError

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type("PreviewingForm", (Previewing, form), {}) if PREVIEW in request.POST else form

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["previewable"] = self.has_change_permission(request) or self.has_add_permission(request)
        asked = PREVIEW in request.POST
        context["preview_form"] = form = PreviewForm(request.POST if asked else None, request=request)
        candidate_form = context["adminform"].form
        if asked and getattr(candidate_form, "passed", False) and form.is_valid():
            candidate = candidate_form.instance
            context["compared"] = compare_lists(
                self.list_queries(candidate, form.cleaned_data), partial(self.serving_overrides, candidate)
            )
            context["previewed"] = True
        return super().render_change_form(request, context, *args, **kwargs)


def compare_lists(
    queries: Sequence[ListQuery],
    overrides_of: Callable[[ListQuery], tuple[ServingOverrides | None, ServingOverrides]],
) -> list[ListComparison]:
    """Return each query with the lists as they are and as they would be."""
    found = []
    for query in queries:
        title = f"“{query.text}”" if query.list == "search" else query.list
        live, candidate = overrides_of(query)
        if live is None:
            sides = [Side(THEN, comparison.preview(query, candidate, limit=ITEMS))]
        else:
            now, then = comparison.compare(query, live, candidate, limit=ITEMS)
            sides = [Side(NOW, now), Side(THEN, then)]
        found.append(ListComparison(title, sides))
    return found


def search_queries(
    document: str, form_values: dict[str, Any], *, phrases: Sequence[str] = ()
) -> list[ListQuery]:
    """Return a query for each text that was given, else for the phrases, else for what is asked most."""
    texts = list(form_values["queries"] or phrases)
    if not texts:
        popular = PopularQuery.objects.filter(document=document).order_by("-visitors", "text")
        texts = list(popular.values_list("text", flat=True)[:QUERIES])
    user_key = user_key_of(form_values.get("user", ""))
    return [ListQuery(document=document, text=text, user_key=user_key) for text in texts[:QUERIES]]


def placement_queries(document: str, names: Sequence[str], form_values: dict[str, Any]) -> list[ListQuery]:
    """Return a query for each placement."""
    user_key, item = user_key_of(form_values.get("user", "")), form_values["item"] or None
    return [ListQuery(document=document, list=name, user_key=user_key, item=item) for name in names[:QUERIES]]
