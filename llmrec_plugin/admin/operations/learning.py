"""How learning goes: each training with its outcome, each choice of search weights with its proof, each
measurement of drift with what it means."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, RecordAdmin, pretty_json
from llmrec_plugin.figures import figure
from llmrec_plugin.models import DriftReport, SearchWeightRun, TrainingRun
from llmrec_plugin.services.search_quality import weight_report
from llmrec_plugin.services.training import drift, runs


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "document", "kind", "outcome", "took", "by", "reason", "model_version"]
    list_filter = ["document", "kind", "state"]
    list_select_related = ["model_version"]
    fields = [
        "document",
        "kind",
        "outcome",
        "started_at",
        "finished_at",
        "by",
        "reason",
        "model_version",
        "erased",
    ]

    @admin.display(description=_("outcome"), ordering="state")
    def outcome(self, run: TrainingRun) -> str:
        run = runs.as_displayed(run)
        words = run.get_state_display()
        return f"{words}: {run.error}" if run.error else words

    @admin.display(description=_("seconds"))
    def took(self, run: TrainingRun) -> str:
        return "–" if run.finished_at is None else f"{(run.finished_at - run.started_at).total_seconds():.1f}"


@admin.register(SearchWeightRun)
class SearchWeightRunAdmin(RecordAdmin):
    list_display = ["at", "document", "adopted", "meaning", "by"]
    list_filter = ["document", "adopted"]
    fields = ["document", "at", "adopted", "meaning", "by", "report_text"]

    @admin.display(description=_("meaning"))
    def meaning(self, run: SearchWeightRun) -> str:
        return " ".join(weight_report.sentences(run))

    @admin.display(description=_("report"))
    def report_text(self, run: SearchWeightRun) -> SafeString:
        return pretty_json(run.report)


@admin.register(DriftReport)
class DriftReportAdmin(RecordAdmin):
    list_display = ["at", "document", "level", "events", "queries", "unseen", "model_version"]
    list_filter = ["document", "level"]
    list_select_related = ["model_version"]
    fields = ["document", "at", "level", "meaning", "model_version", "report_text"]

    @admin.display(description=_("events, AUC"))
    def events(self, report: DriftReport) -> str:
        return figure(report.report.get("events", {}).get("auc"), ".2f")

    @admin.display(description=_("queries, AUC"))
    def queries(self, report: DriftReport) -> str:
        return figure(report.report.get("queries", {}).get("auc"), ".2f")

    @admin.display(description=_("on unknown items"))
    def unseen(self, report: DriftReport) -> str:
        return figure(report.report.get("unseen_share"), ".0%")

    @admin.display(description=_("meaning"))
    def meaning(self, report: DriftReport) -> str:
        return "; ".join(drift.sentences(report)) or str(_("Nothing that asks for attention."))

    @admin.display(description=_("report"))
    def report_text(self, report: DriftReport) -> SafeString:
        return pretty_json(report.report)
