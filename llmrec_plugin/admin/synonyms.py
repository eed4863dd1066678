"""Synonyms: edited, previewed on real searches, in effect on the next request; Django's log says who."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import page
from llmrec_plugin.admin.edited import EditedAdmin
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Synonym
from llmrec_plugin.models.synonyms import lines_of
from llmrec_plugin.services import search, synonyms
from llmrec_plugin.services.pages import RankedList
from llmrec_plugin.types import SearchRequest

if TYPE_CHECKING:
    ModelForm: TypeAlias = forms.ModelForm[Synonym]
else:  # generic for type checkers only
    ModelForm = forms.ModelForm

SHOWN = 10
"""Items of each list of a preview."""


class SynonymForm(ModelForm):
    document = forms.ChoiceField(label=_("document"), required=False)
    language = forms.ChoiceField(label=_("language of the search"), required=False)

    class Meta:
        model = Synonym
        fields = ["kind", "words", "found", "document", "language", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("document", registry.labels(), _("all"))
        self._offer("language", get_settings().LANGUAGES, _("any"))

    def _offer(self, name: str, values: Any, none: Any) -> None:
        """A value that is no longer declared stays choosable, so that the row can be saved."""
        field = self.fields[name]
        known = list(dict.fromkeys([*values, *filter(None, [getattr(self.instance, name, "")])]))
        field.choices = [("", none), *((value, value) for value in known)]  # type: ignore[attr-defined]


@admin.register(Synonym)
class SynonymAdmin(EditedAdmin):
    form = SynonymForm
    list_display = ["__str__", "kind", "document", "language", "enabled", "updated_at"]
    list_filter = ["enabled", "kind", "document", "language"]
    search_fields = ["words", "found"]
    change_form_template = "admin/llmrec_plugin/synonym/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "preview/",
            self.admin_site.admin_view(self.preview_view),
            name="llmrec_plugin_synonym_preview",
        )
        return [own, *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The first items of a search as they are, and as they would be with what stands in the form."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        form = SynonymForm(request.POST)
        lines = lines_of(request.POST.get("words", ""))
        query = request.POST.get("preview_query", "").strip() or (lines[0] if lines else "")
        values = {
            "title": gettext("Preview of synonyms"),
            "query": query,
            "errors": form.errors,
            "lists": _compared(form.instance, query) if form.is_valid() and query else [],
        }
        return page(self, request, "synonym/preview", values)


def _compared(row: Synonym, query: str) -> list[dict[str, Any]]:
    """Per document that the row is about; it counts as new, whether it was saved before or not."""
    return [
        _compared_in(label, row, query) for label in ([row.document] if row.document else registry.labels())
    ]


def _compared_in(label: str, row: Synonym, query: str) -> dict[str, Any]:
    request = SearchRequest(document=label, text=query)
    try:
        before = search.preview(request)
        after = search.preview(request, proposed=synonyms.known(row))
    except LlmrecError as error:
        return {"label": label, "problem": str(error)}
    known = {item.key for item in before.items}
    return {
        "label": label,
        "sides": [_side(gettext("Now"), before, known), _side(gettext("With these synonyms"), after, known)],
    }


def _side(title: str, ranked: RankedList, known: set[str]) -> dict[str, Any]:
    items = ranked.items[:SHOWN]
    objects = ranked.document.in_bulk([item.key for item in items])
    return {
        "title": title,
        "total": len(ranked.items) if ranked.total is None else ranked.total,
        "items": [
            {"title": ranked.document.get_title(objects[item.key]), "new": item.key not in known}
            for item in items
            if item.key in objects
        ],
    }
