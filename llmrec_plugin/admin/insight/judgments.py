"""Judgements: single rows, a page to grade what a query finds, and the quality that follows, over time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from llmrec_plugin import moments
from llmrec_plugin.admin.base import ExplainedAdmin, document_or_first, page
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Judgment, SearchQuality
from llmrec_plugin.plots import columns
from llmrec_plugin.services.search_quality import judgments

MEASUREMENTS = 60
"""Shown on the chart."""
IN_TABLE = 10
QUERIES_OFFERED = 30


@admin.register(Judgment)
class JudgmentAdmin(ExplainedAdmin):
    list_display = ["query", "document", "item_id", "grade"]
    list_filter = ["document", "grade"]
    search_fields = ["query", "item_id"]
    about = gettext_lazy(
        "How well items answer queries, as people judged it. Search quality is measured by it every night; "
        "from 50 judged queries on, so are the weights of words and meaning."
    )
    change_list_template = "admin/llmrec_plugin/judgment/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("judge/", self.admin_site.admin_view(self.judge_view), name="llmrec_plugin_judgment_judge"),
            path(
                "measure/",
                self.admin_site.admin_view(self.measure_view),
                name="llmrec_plugin_judgment_measure",
            ),
        ]
        return [*own, *super().get_urls()]

    def judge_view(self, request: HttpRequest) -> HttpResponse:
        """Grade what the query finds now, and see how good search is by all grades so far."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        values = request.POST if request.method == "POST" else request.GET
        document = document_or_first(values.get("document", ""))
        query = " ".join(values.get("q", "").split())
        if request.method == "POST":
            return self._judged(request, document, query)
        found: list[judgments.Candidate] = []
        if query and document:
            try:
                found = judgments.candidates(document, query)
            except LlmrecError as error:
                messages.error(request, str(error))
        shown = {
            "title": _("Judge search results"),
            "labels": registry.labels(),
            "document": document,
            "query": query,
            "candidates": found,
            "grades": _grades(),
            "may_judge": self._may_judge(request),
            "judged_queries": judgments.judged_queries(document)[:QUERIES_OFFERED],
            **_quality(document),
        }
        return page(self, request, "judgment/judge", shown)

    def _may_judge(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def _judged(self, request: HttpRequest, document: str, query: str) -> HttpResponse:
        if not self._may_judge(request):
            raise PermissionDenied
        prefix = "grade:"
        sent = {
            name.removeprefix(prefix): int(value) if value in ("0", "1", "2", "3") else None
            for name, value in request.POST.items()
            if name.startswith(prefix)
        }
        try:
            count = judgments.judge(document, query, sent)
        except LlmrecError as error:
            messages.error(request, str(error))
        else:
            messages.success(
                request,
                ngettext("%(count)d judgement changed.", "%(count)d judgements changed.", count)
                % {"count": count},
            )
        return _back(document, query)

    def measure_view(self, request: HttpRequest) -> HttpResponse:
        """Measure now instead of at night."""
        if not self._may_judge(request) or request.method != "POST":
            raise PermissionDenied
        document = request.POST.get("document", "")
        try:
            measured = judgments.measure(document)
        except LlmrecError as error:
            messages.error(request, str(error))
        else:
            if measured is None:
                messages.warning(request, _("Nothing to measure: grade a result above 0 first."))
            else:
                messages.success(request, _("NDCG@10 is %(value).3f now.") % {"value": measured.ndcg})
        return _back(document, request.POST.get("q", ""))


def _back(document: str, query: str) -> HttpResponse:
    url = reverse("admin:llmrec_plugin_judgment_judge")
    return HttpResponseRedirect(f"{url}?{urlencode({'document': document, 'q': query})}")


def _grades() -> list[tuple[str, str]]:
    return [
        ("", _("not judged")),
        ("0", _("not at all")),
        ("1", _("a little")),
        ("2", _("well")),
        ("3", _("exactly")),
    ]


def _quality(document: str) -> dict[str, Any]:
    rows = list(
        SearchQuality.objects.filter(document=document).select_related("index_version")[:MEASUREMENTS]
    )
    if not rows:
        return {"quality": [], "chart": ""}
    old_first = rows[::-1]
    titles = [
        f"{date_format(moments.local(row.at), 'SHORT_DATETIME_FORMAT')}: {row.ndcg:.3f}" for row in old_first
    ]
    values = [row.ndcg for row in old_first]
    chart = columns(values, name="quality", title=_("NDCG@10 over time"), titles=titles)
    return {"quality": rows[:IN_TABLE], "chart": chart}
