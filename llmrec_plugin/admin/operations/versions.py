"""Index and model versions with their progress; promotion and rollback behind a confirmation."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import RecordAdmin, document_or_first, page, pretty_json
from llmrec_plugin.admin.insight.plots import figure, numbers, scrolling
from llmrec_plugin.admin.operations.promotion import PromotingAdmin
from llmrec_plugin.documents import registry
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.models import Deployment, IndexVersion, ModelVersion
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.model_registry import training_report
from llmrec_plugin.services.model_registry.training_report import find_report
from llmrec_plugin.services.reporting import model_charts
from llmrec_plugin.services.reporting.model_charts import STEPS


@admin.register(IndexVersion)
class IndexVersionAdmin(PromotingAdmin):
    title = _("Make an index version live")
    list_display = [
        "name",
        "document",
        "state_now",
        "progress",
        "encoder_name",
        "floor_rounded",
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
        "dictionary",
        "schema_shape",
        "floor_rounded",
        "floor_plot",
        "created_at",
        "ready_at",
        "dropped_at",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[IndexVersion]:
        """Return the versions with the entries that each still waits for, and the live one of its
        document."""
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

    @admin.display(description=_("similarity floor"))
    def floor_rounded(self, version: IndexVersion) -> str:
        return "–" if version.floor is None else number_format(version.floor, 3)

    @admin.display(description=_("how the floor was measured"))
    def floor_plot(self, version: IndexVersion) -> SafeString | str:
        """Show the floor as a picture, and in words what it does."""
        shown = model_charts.floor(version)
        if shown is None:
            return str(_("It was not measured: there were no titles to measure it on."))
        return format_html(
            "{}<p>{}</p>{}",
            scrolling(shown.chart),
            shown.chart.description,
            numbers(shown.header, shown.rows),
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
        return self.link(version)

    def promote(self, version: IndexVersion, *, by: str, reason: str) -> Deployment:
        return promotion.promote(version, by=by, reason=reason)

    def facts(self, version: IndexVersion) -> list[tuple[Any, Any]]:
        return [(_("encoder"), version.encoder_name), (_("created"), version.created_at)]

    def live_version(self, document: str) -> IndexVersion | None:
        pair = find_live_pair(document)
        return pair.index_version if pair else None


def _is_live(version: IndexVersion | ModelVersion) -> bool:
    return bool(version.pk == getattr(version, "live_id", None))  # annotated in get_queryset


@admin.register(ModelVersion)
class ModelVersionAdmin(PromotingAdmin):
    change_list_template = "admin/llmrec_plugin/modelversion/change_list.html"
    title = _("Make a model version live")
    list_display = [
        "__str__",
        "state_now",
        "events_until",
        "step",
        "beats",
        "created_at",
        "promote_link",
    ]
    list_filter = ["document"]
    fields = [
        "document",
        "state_now",
        "parent",
        "events_since",
        "events_until",
        "created_at",
        "artefact",
        "choice",
        "privacy",
        "report_text",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        """Return the versions with the live one of the document of each."""
        newest = Deployment.objects.filter(document=OuterRef("document")).order_by("-id")
        versions: QuerySet[ModelVersion] = super().get_queryset(request)
        return versions.annotate(live_id=Subquery(newest.values("model_version_id")[:1]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.pictures_view)
        return [path("pictures/", view, name="llmrec_plugin_modelversion_pictures"), *super().get_urls()]

    def pictures_view(self, request: HttpRequest) -> HttpResponse:
        """Show what was learned and how it went, of one document; a field that it does not know is left
        out."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        document = document_or_first(request.GET.get("document", ""))
        pair = find_live_pair(document) if document else None
        fields = sorted(pair.index_version.schema["filters"]) if pair else []
        colour = request.GET.get("colour", "")
        colour = colour if colour in fields else ""
        shown = model_charts.pictures(document, colour=colour) if document else ()
        values = {
            "title": _("What was learned, in pictures"),
            "labels": registry.labels(),
            "document": document,
            "fields": fields,
            "colour": colour,
            "figures": [figure(picture) for picture in shown],
        }
        return page(self, request, "pictures", values)

    @admin.display(description=_("state"))
    def state_now(self, version: ModelVersion) -> str:
        if _is_live(version):
            return str(_("live"))
        if version.artefact_id is None:
            return str(_("history"))
        if training_report.knows_erased(version):
            return str(_("kept for a while, knows erased users"))
        return str(_("kept"))

    @admin.display(description=_("highest step"))
    def step(self, version: ModelVersion) -> str:
        report = find_report(version)
        name = report.highest_step if report else ""
        return str(STEPS.get(name, name)) or "–"

    @admin.display(description=_("beats what was live"), boolean=True)
    def beats(self, version: ModelVersion) -> bool | None:
        report = find_report(version)
        return report.gate.taken if report and report.gate else None

    @admin.display(description="")
    def promote_link(self, version: ModelVersion) -> SafeString | str:
        return "" if version.artefact_id is None or _is_live(version) else self.link(version)

    def promote(self, version: ModelVersion, *, by: str, reason: str) -> Deployment:
        return promotion.promote_model(version, by=by, reason=reason)

    def facts(self, version: ModelVersion) -> list[tuple[Any, Any]]:
        return [
            (_("interactions until"), version.events_until),
            (_("created"), version.created_at),
            (_("how it was chosen"), self.choice(version)),
            (_("privacy"), self.privacy(version)),
        ]

    def live_version(self, document: str) -> ModelVersion | None:
        pair = find_live_pair(document)
        return pair.model_version if pair else None

    @admin.display(description=_("how it was chosen"))
    def choice(self, version: ModelVersion) -> SafeString | str:
        """Show each step of the ladder with its proof, and the verdict."""
        report = find_report(version)
        if report is None:
            return str(_("Another release of the package wrote it: the report tells it as it is stored."))
        selection, gate = report.selection, report.gate
        if selection is None or gate is None:
            return str(_("Too few events to compare settings: the configured weights count."))
        rows = format_html_join(
            "",
            "<tr><th scope=row>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    model_charts.step_name(step),
                    f"{step.value:.4f}",
                    f"{step.gain:+.4f}",
                    f"{step.low:+.4f}",
                    _result(step),
                )
                for step in selection.steps
            ),
        )
        verdict = _verdict(gate) % {"count": selection.cases}
        head = format_html_join(
            "",
            "<th scope=col>{}</th>",
            ([title] for title in (_("step"), "NDCG@10", _("gain"), _("at least"), _("result"))),
        )
        return format_html(
            "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table><p>{}</p>", head, rows, verdict
        )

    @admin.display(description=_("privacy"))
    def privacy(self, version: ModelVersion) -> str:
        """Show what the training told of any one user at most."""
        report = find_report(version)
        if report is None:
            return "–"
        bill = report.privacy
        if bill is None:
            return str(_("learned without noise"))
        text = _(
            "Each user is hidden by noise: epsilon %(epsilon)s in this training, %(all)s with all before "
            "it, at delta %(delta)s."
        )
        return str(text) % {
            "epsilon": bill.epsilon,
            "all": bill.epsilon_of_all,
            "delta": f"{bill.delta:g}",
        }

    @admin.display(description=_("report"))
    def report_text(self, version: ModelVersion) -> SafeString:
        return pretty_json(version.report)


def _verdict(gate: SelectionStep) -> str:
    if gate.taken:
        return str(_("On %(count)d events that nothing was learned from it beats what answered before."))
    if gate.reason == "coverage":
        return str(
            _(
                "On %(count)d events that nothing was learned from it beats what answered before, but would "
                "show too few different items."
            )
        )
    return str(_("On %(count)d events that nothing was learned from it does not beat what answered before."))


def _result(step: SelectionStep) -> str:
    if step.taken:
        return str(_("taken"))
    if step.reason == "new-items":
        return str(_("new items would be ranked worse"))
    if step.reason == "coverage":
        return str(_("fewer items would be shown"))
    return str(_("not proven"))


@admin.register(Deployment)
class DeploymentAdmin(RecordAdmin):
    list_display = ["at", "document", "index_version", "model_version", "by", "reason"]
    list_filter = ["document"]
    list_select_related = ["index_version", "model_version"]
