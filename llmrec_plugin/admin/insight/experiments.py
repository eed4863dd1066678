"""Experiments: drafted, started, read, stopped and adopted; what changes lists for visitors asks first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ExplainedAdmin, StackedInline, page
from llmrec_plugin.admin.insight import experiment_summary
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest, LlmrecError
from llmrec_plugin.models import Arm, Experiment, IndexVersion, ModelVersion
from llmrec_plugin.services.curation import placements
from llmrec_plugin.services.curation.configuration import check_signals
from llmrec_plugin.services.experiments import lifecycle
from llmrec_plugin.services.experiments import report as experiment_report


class ExperimentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Experiment
        fields = ["name", "document", "placement", "method", "metric", "lift"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, values in (("document", registry.labels()), ("placement", placements.names_of_lists())):
            if name in self.fields:
                self.fields[name] = forms.ChoiceField(
                    label=self.fields[name].label,
                    help_text=self.fields[name].help_text,
                    choices=[(value, value) for value in values],
                    initial=self.fields[name].initial,
                )


class ArmForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an arm changes; the model checks the rest of it."""

    def clean_overrides(self) -> Any:
        overrides = self.cleaned_data["overrides"]
        if isinstance(overrides, dict):
            try:
                check_signals(overrides.get("signal_weights"))
            except InvalidRequest as error:
                raise ValidationError(str(error)) from error
        return overrides


class ArmFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """A new experiment begins with its control, and one arm to be described."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        if not kwargs.get("data") and (instance is None or instance.pk is None):
            kwargs["initial"] = [{"name": _("as it is"), "is_control": True}, {"name": ""}]
        super().__init__(*args, **kwargs)


class ArmInline(StackedInline):
    model = Arm
    form = ArmForm
    formset = ArmFormSet
    fields = [("name", "is_control", "share"), "overrides", "placement", ("index_version", "model_version")]

    def get_extra(self, request: HttpRequest, obj: Experiment | None = None, **kwargs: Any) -> int:
        return 0 if obj else 2

    def get_formset(self, request: HttpRequest, obj: Experiment | None = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        fields: dict[str, Any] = formset.form.base_fields
        if "index_version" in fields:
            fields["index_version"].queryset = IndexVersion.objects.filter(state=IndexVersion.State.READY)
            fields["model_version"].queryset = ModelVersion.objects.all()
            fields["overrides"].widget.attrs["rows"] = 3
            fields["placement"] = forms.ChoiceField(
                label=fields["placement"].label,
                help_text=fields["placement"].help_text,
                required=False,
                choices=[("", "---------"), *((name, name) for name in placements.all_placements())],
            )
        return formset

    def _is_draft(self, obj: Experiment | None) -> bool:
        return obj is None or obj.state == Experiment.State.DRAFT

    def has_add_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return self._is_draft(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return self._is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return self._is_draft(obj) and super().has_delete_permission(request, obj)


@admin.register(Experiment)
class ExperimentAdmin(ExplainedAdmin):
    """What was started stays as it was: another question is another experiment."""

    form = ExperimentForm
    about = _(
        "An experiment asks visitors which of two lists is better: what is live, or what an arm changes. Add "
        "one, save it, then start it; its report may be looked at any time."
    )
    inlines = [ArmInline]
    list_display = ["name", "document", "placement", "method", "state", "started_at", "stopped_at", "links"]
    list_filter = ["state", "document", "placement"]
    search_fields = ["name"]
    change_form_template = "admin/llmrec_plugin/experiment/change_form.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> list[str]:
        if obj is None or obj.state == Experiment.State.DRAFT:
            return []
        return ["document", "placement", "method", "metric", "lift", *_RECORD]

    def get_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        own = ["name", "document", "placement", "method", "metric", "lift"]
        return own if obj is None or obj.state == Experiment.State.DRAFT else [*own, *_RECORD]

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        running = obj is not None and obj.state == Experiment.State.RUNNING
        return not running and super().has_delete_permission(request, obj)

    @admin.display(description="")
    def links(self, experiment: Experiment) -> SafeString | str:
        if experiment.state == Experiment.State.DRAFT:
            return format_html('<a href="{}">{}</a>', _url("start", experiment.pk), _("Start …"))
        return format_html('<a href="{}">{}</a>', _url("report", experiment.pk), _("Report"))

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"llmrec_plugin_experiment_{name}")

        return [
            own("<int:pk>/report/", self.report_view, "report"),
            own("<int:pk>/start/", self.start_view, "start"),
            own("<int:pk>/stop/", self.stop_view, "stop"),
            own("<int:pk>/adopt/<int:arm_pk>/", self.adopt_view, "adopt"),
            *super().get_urls(),
        ]

    def report_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How it stands, and what can be done about it."""
        experiment = get_object_or_404(Experiment, pk=pk)
        if not self.has_view_permission(request, experiment):
            raise PermissionDenied
        if experiment.state == Experiment.State.DRAFT:
            return HttpResponseRedirect(reverse("admin:llmrec_plugin_experiment_change", args=[pk]))
        report = experiment_report.report(experiment)
        return self._page(
            request,
            "report",
            experiment,
            title=_("Report"),
            report=report,
            rows=experiment_summary.rows(report),
            summary=list(experiment_summary.summary(experiment, report)),
            preference=_preference_percents(report),
            may_change=self.has_change_permission(request, experiment),
        )

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How long it will take, then the start."""
        experiment = self._changeable(request, pk)
        try:
            forecast = lifecycle.forecast(experiment)
        except LlmrecError as error:
            return self._refused(request, experiment, error, "change")
        if request.method == "POST":
            return self._done(
                request,
                experiment,
                lambda: lifecycle.start(experiment, by=request.user.get_username()),
                str(_("“%s” is running: visitors see its arms from now on.") % experiment),
                otherwise="change",
            )
        return self._page(request, "start", experiment, title=_("Start an experiment"), forecast=forecast)

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        experiment = self._changeable(request, pk)
        if request.method == "POST":
            return self._done(
                request,
                experiment,
                lambda: lifecycle.stop(experiment, by=request.user.get_username()),
                str(_("“%s” is stopped: everybody sees what is live.") % experiment),
            )
        return self._page(request, "stop", experiment, title=_("Stop an experiment"))

    def adopt_view(self, request: HttpRequest, pk: int, arm_pk: int) -> HttpResponse:
        experiment = self._changeable(request, pk)
        arm = get_object_or_404(
            Arm.objects.select_related("experiment", "index_version", "model_version"),
            pk=arm_pk,
            experiment=experiment,
            is_control=False,
        )
        needed = {
            "llmrec_plugin.change_configuration": bool(arm.overrides),
            "llmrec_plugin.add_deployment": bool(arm.index_version_id or arm.model_version_id),
        }
        if not all(request.user.has_perm(name) for name, need in needed.items() if need):
            raise PermissionDenied
        if request.method == "POST":
            return self._done(
                request,
                experiment,
                lambda: lifecycle.adopt(arm, by=request.user.get_username()),
                str(_("“%s” is the rule for everybody from the next request on.") % arm),
            )
        return self._page(request, "adopt", experiment, title=_("Adopt an arm"), arm=arm)

    def _changeable(self, request: HttpRequest, pk: int) -> Experiment:
        experiment = get_object_or_404(Experiment, pk=pk)
        if not self.has_change_permission(request, experiment):
            raise PermissionDenied
        return experiment

    def _done(
        self,
        request: HttpRequest,
        experiment: Experiment,
        act: Callable[[], Experiment],
        message: str,
        *,
        otherwise: str = "report",
    ) -> HttpResponse:
        """Do it, say so, and write it into the log of the admin, or say why it cannot be done."""
        try:
            changed = act()
        except LlmrecError as error:
            return self._refused(request, experiment, error, otherwise)
        self.log_change(request, changed, message)
        self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(_url("report", experiment.pk))

    def _refused(
        self, request: HttpRequest, experiment: Experiment, error: LlmrecError, page: str
    ) -> HttpResponse:
        self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(_url(page, experiment.pk))

    def _page(
        self, request: HttpRequest, template: str, experiment: Experiment, **values: Any
    ) -> HttpResponse:
        values = {
            "experiment": experiment,
            "subtitle": str(experiment),
            **values,
        }
        return page(self, request, f"experiment/{template}", values)


_RECORD = [
    "state",
    "expected_rate",
    "planned_visitors",
    "started_at",
    "started_by",
    "stopped_at",
    "stopped_by",
    "adopted",
]


def _url(page: str, pk: int) -> str:
    return reverse(f"admin:llmrec_plugin_experiment_{page}", args=[pk])


def _preference_percents(report: experiment_report.Report) -> dict[str, str] | None:
    found = report.preference
    if found is None:
        return None
    return {name: experiment_summary.percent(getattr(found, name)) for name in ("share", "low", "high")}
