"""Index and model versions with their progress; promotion and rollback behind a confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, pretty_json
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Deployment, IndexVersion, ModelVersion
from llmrec_plugin.services import promotion


@admin.register(IndexVersion)
class IndexVersionAdmin(ReadOnlyAdmin):
    list_display = [
        "name",
        "document",
        "state_now",
        "progress",
        "encoder_name",
        "floor",
        "created_at",
        "promote_link",
    ]
    list_filter = ["document", "state"]
    fields = [
        "name",
        "document",
        "state_now",
        "progress",
        "encoder_name",
        "encoder_settings",
        "encoder_id",
        "dimensions",
        "analysis_id",
        "schema_shape",
        "floor",
        "created_at",
        "ready_at",
        "dropped_at",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[IndexVersion]:
        """With the entries each version still waits for, and the live one of its document."""
        newest = Deployment.objects.filter(document=OuterRef("document")).order_by("-id")
        versions: QuerySet[IndexVersion] = super().get_queryset(request)
        return versions.annotate(
            waiting=Count("entries", filter=Q(entries__attempts=0)),
            live_id=Subquery(newest.values("index_version_id")[:1]),
        )

    @admin.display(description=_("state"))
    def state_now(self, version: IndexVersion) -> str:
        if _is_live(version):
            return str(_("live"))
        return version.get_state_display()

    @admin.display(description=_("progress"))
    def progress(self, version: IndexVersion) -> SafeString | str:
        if version.state != IndexVersion.State.BUILDING:
            return "–"
        done = max(version.total - version.waiting, 0)  # type: ignore[attr-defined]
        return format_html(
            '<progress max="{}" value="{}" aria-label="{}"></progress> {} / {}',
            max(version.total, 1),
            done,
            _("items indexed"),
            done,
            version.total,
        )

    @admin.display(description=_("encoder options"))
    def encoder_settings(self, version: IndexVersion) -> SafeString:
        return pretty_json(version.encoder_options)

    @admin.display(description=_("schema"))
    def schema_shape(self, version: IndexVersion) -> SafeString:
        return pretty_json(version.schema)

    @admin.display(description="")
    def promote_link(self, version: IndexVersion) -> SafeString | str:
        if version.state != IndexVersion.State.READY or _is_live(version):
            return ""
        url = reverse("admin:llmrec_plugin_indexversion_promote", args=[version.pk])
        return format_html('<a href="{}">{}</a>', url, _("Make live …"))

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<int:pk>/promote/",
            self.admin_site.admin_view(self.promote_view),
            name="llmrec_plugin_indexversion_promote",
        )
        return [own, *super().get_urls()]

    def promote_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first, then promote; the deployment records who did it."""
        if not request.user.has_perm("llmrec_plugin.add_deployment"):
            raise PermissionDenied
        version = get_object_or_404(IndexVersion, pk=pk)
        if request.method == "POST":
            try:
                promotion.promote(version, by=request.user.get_username(), reason="admin")
            except LlmrecError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(
                    request, _("“%s” is live from the next request on.") % version.name, messages.SUCCESS
                )
            return HttpResponseRedirect(reverse("admin:llmrec_plugin_indexversion_changelist"))
        live = Deployment.objects.filter(document=version.document).select_related("index_version").first()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Make an index version live"),
            "version": version,
            "live": live.index_version if live else None,
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/llmrec_plugin/indexversion/promote.html", context)


def _is_live(version: IndexVersion) -> bool:
    return bool(version.pk == getattr(version, "live_id", None))  # annotated in get_queryset


_STEPS = {
    "popularity": _("popularity alone"),
    "frozen": _("texts as the encoder reads them"),
    "whitening": _("texts, what they share left out"),
    "head": _("texts, turned by the events"),
    "neighbours": _("with what people take together"),
    "prior": _("with popularity, too"),
}


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ["id", "document", "events_until", "created_at"]
    list_filter = ["document"]
    fields = ["document", "events_until", "created_at", "artefact", "choice", "report_text"]

    @admin.display(description=_("how it was chosen"))
    def choice(self, version: ModelVersion) -> SafeString | str:
        """Each step of the ladder with its proof, and the verdict."""
        report = version.report
        gate = report.get("gate")
        if gate is None:
            return str(_("Too few events to compare settings: the configured weights count."))
        rows = format_html_join(
            "",
            "<tr><th scope=row>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    str(_STEPS.get(step["name"], step["name"])),
                    f"{step['value']:.4f}",
                    f"{step['gain']:+.4f}",
                    f"{step['low']:+.4f}",
                    _result(step),
                )
                for step in report["ladder"]
            ),
        )
        verdict = (
            _("On %(count)d events that nothing was learned from it beats what answered before.")
            if gate["taken"]
            else _("On %(count)d events that nothing was learned from it does not beat what answered before.")
        ) % {"count": report["validation_events"]}
        head = format_html_join(
            "",
            "<th scope=col>{}</th>",
            ([title] for title in (_("step"), "NDCG@10", _("gain"), _("at least"), _("result"))),
        )
        return format_html(
            "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table><p>{}</p>", head, rows, verdict
        )

    @admin.display(description=_("report"))
    def report_text(self, version: ModelVersion) -> SafeString:
        return pretty_json(version.report)


def _result(step: Mapping[str, Any]) -> str:
    if step["taken"]:
        return str(_("taken"))
    if step["reason"] == "new-items":
        return str(_("new items would be ranked worse"))
    return str(_("not proven"))


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = ["at", "document", "index_version", "model_version", "by", "reason"]
    list_filter = ["document"]
    list_select_related = ["index_version", "model_version"]
