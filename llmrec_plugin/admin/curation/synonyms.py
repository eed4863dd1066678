"""Synonyms: edited, previewed on real searches, in effect on the next request; Django's log says who."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import RecordAdmin, page, pretty_json
from llmrec_plugin.admin.curation.editable import VersionedRowAdmin
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError, NotFound
from llmrec_plugin.models import Synonym, SynonymSuggestion
from llmrec_plugin.models.synonyms import lines_of
from llmrec_plugin.services.curation import synonyms
from llmrec_plugin.services.search import pipeline
from llmrec_plugin.services.search_quality import synonym_mining
from llmrec_plugin.services.serving.ranked_list import RankedList
from llmrec_plugin.types import SearchRequest

if TYPE_CHECKING:
    ModelForm: TypeAlias = forms.ModelForm[Synonym]
else:  # generic for type checkers only
    ModelForm = forms.ModelForm

OFFERED = 20
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
        """Add the value to the choices: one that is no longer declared stays choosable, so that the row can
        be saved."""
        field = self.fields[name]
        known = list(dict.fromkeys([*values, *filter(None, [getattr(self.instance, name, "")])]))
        field.choices = [("", none), *((value, value) for value in known)]  # type: ignore[attr-defined]


@admin.register(Synonym)
class SynonymAdmin(VersionedRowAdmin):
    form = SynonymForm
    about = _(
        "Words that mean the same to visitors: a search for one of them finds the others, too. Searches "
        "without a result, on the dashboard, show where one is missing."
    )
    list_display = ["__str__", "kind", "document", "language", "enabled", "updated_at"]
    list_filter = ["enabled", "kind", "document", "language"]
    search_fields = ["words", "found"]
    change_form_template = "admin/llmrec_plugin/synonym/change_form.html"
    change_list_template = "admin/llmrec_plugin/synonym/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "preview/",
                self.admin_site.admin_view(self.preview_view),
                name="llmrec_plugin_synonym_preview",
            ),
            path(
                "suggestions/<int:pk>/<str:decision>/",
                self.admin_site.admin_view(self.decide_view),
                name="llmrec_plugin_synonym_decide",
            ),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        suggestions = SynonymSuggestion.objects.filter(state=SynonymSuggestion.State.OPEN)
        offered = {
            "suggestions": [_offered(row) for row in suggestions[:OFFERED]],
            "may_decide": self.has_add_permission(request),
        }
        return super().changelist_view(request, {**offered, **(extra_context or {})})

    def decide_view(self, request: HttpRequest, pk: int, decision: str) -> HttpResponse:
        """Accept or dismiss a suggestion; Django's log says who did."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        by = request.user.get_username()
        try:
            if decision == "accept":
                row = synonym_mining.accept(pk, by=by)
                self.log_addition(request, row, [{"added": {}}])
                messages.success(request, _("“%s” is in effect from the next search on.") % row)
            elif decision == "dismiss":
                suggestion = synonym_mining.dismiss(pk, by=by)
                self.log_change(request, suggestion, gettext("Dismissed."))
                messages.success(request, _("“%s” will not be suggested again.") % suggestion)
            else:
                raise Http404
        except NotFound as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:llmrec_plugin_synonym_changelist"))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Show the first items of a search as they are, and as they would be with what stands in the form."""
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


@admin.register(SynonymSuggestion)
class SynonymSuggestionAdmin(RecordAdmin):
    """Shows what was suggested, and who decided how."""

    list_display = ["__str__", "document", "visitors", "state", "by", "decided_at"]
    list_filter = ["state", "document"]
    fields = [
        *("document", "kind", "words", "found", "visitors"),
        *("state", "by", "decided_at", "at", "evidence_text"),
    ]

    @admin.display(description=_("evidence"))
    def evidence_text(self, suggestion: SynonymSuggestion) -> SafeString:
        return pretty_json(suggestion.evidence)


def _offered(row: SynonymSuggestion) -> dict[str, Any]:
    """Return a suggestion with its evidence in words."""
    reasons = {
        "reworded": gettext(
            "Visitors took nothing, and then something once they had searched in other words."
        ),
        "same items": gettext("Visitors take the same items after both."),
    }
    evidence = row.evidence
    return {
        "row": row,
        "why": [reasons[reason] for reason in evidence["reasons"]],
        "examples": [
            {"first": first, "second": second, "visitors": visitors}
            for first, second, visitors in evidence["examples"]
        ],
        "previews": evidence.get("preview", []),
    }


def _compared(row: Synonym, query: str) -> list[dict[str, Any]]:
    """Return both lists of each document that the row is about; it counts as new, whether it was saved before
    or not."""
    return [
        _compared_in(label, row, query) for label in ([row.document] if row.document else registry.labels())
    ]


def _compared_in(label: str, row: Synonym, query: str) -> dict[str, Any]:
    request = SearchRequest(document=label, text=query)
    try:
        before = pipeline.preview(request)
        after = pipeline.preview(request, proposed=synonyms.known(row))
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
