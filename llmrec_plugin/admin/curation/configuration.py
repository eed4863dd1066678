"""The one configuration row, with its defaults shown until somebody saves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import RecordAdmin, document_or_first, page
from llmrec_plugin.admin.curation.editable import admin_url
from llmrec_plugin.admin.curation.kind_weights import KindWeightsField
from llmrec_plugin.admin.curation.signal_weights import SignalWeightsField, site_signals
from llmrec_plugin.admin.insight.previews import (
    ListComparison,
    PreviewedAdmin,
    PreviewForm,
    compare_lists,
    placement_queries,
    search_queries,
)
from llmrec_plugin.models import Configuration, ConfigurationChange
from llmrec_plugin.models.configuration import LEARNED_IN_SEARCH
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides

if TYPE_CHECKING:
    ModelForm: TypeAlias = forms.ModelForm[Configuration]
else:  # generic for type checkers only
    ModelForm = forms.ModelForm

PERSONAL_LIST = "for-you"
EMPTY = {"document": "", "queries": [], "user": "", "item": ""}


class ConfigurationForm(ModelForm):
    own_weights = False
    """Who turns a weight means it to count: what is learned must not stand in its way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind_weights" in self.fields:  # not for who may only look
            numbers = self.fields["kind_weights"]
            self.fields["kind_weights"] = KindWeightsField(label=numbers.label, help_text=numbers.help_text)
        if "signal_weights" in self.fields:
            weights = self.fields["signal_weights"]
            self.fields["signal_weights"] = SignalWeightsField(
                label=weights.label, help_text=weights.help_text
            )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        turned = set(LEARNED_IN_SEARCH).intersection(self.changed_data)
        if turned and values.get("search_learned") and "search_learned" not in self.changed_data:
            values["search_learned"] = False
            self.own_weights = True
        return values


@admin.register(Configuration)
class ConfigurationAdmin(PreviewedAdmin):
    """Opens the row directly: there is only one."""

    fieldsets = [
        (
            _("Search"),
            {
                "fields": [
                    "fusion",
                    "text_weight",
                    "search_learned",
                    "learned_search",
                    "rrf_k",
                    "use_floor",
                    "relax_queries",
                    "candidates",
                ]
            },
        ),
        (
            _("Whatever is searched for"),
            {
                "fields": [
                    "freshness_weight",
                    "freshness_half_life_days",
                    "availability_weight",
                    "most_per_group",
                    "signal_weights",
                ]
            },
        ),
        (
            _("Personal taste"),
            {"fields": ["taste_weight", "half_life_days", "history_length", "kind_weights"]},
        ),
        (
            _("Recommendations"),
            {
                "fields": [
                    "learned",
                    "recommendation_taste",
                    "recommendation_neighbours",
                    "recommendation_popularity",
                    "diversity",
                    "trending_half_life_days",
                ]
            },
        ),
        (None, {"fields": ["updated_at"]}),
    ]
    readonly_fields = ["updated_at", "learned_search"]
    form = ConfigurationForm

    @admin.display(description=_("learned weights of search"))
    def learned_search(self, configuration: Configuration) -> SafeString:
        names = {name: Configuration._meta.get_field(name).verbose_name for name in LEARNED_IN_SEARCH}  # type: ignore[union-attr]
        rows = [
            (label, ", ".join(f"{names[name]} {entry[name]:.2f}" for name in names if name in entry))
            for label, entry in sorted(configuration.search_weights.items())
        ]
        told = format_html_join("", "{}: {}<br>", [row for row in rows if row[1]]) or _("none so far")
        runs = admin_url("searchweightrun", "changelist")
        return format_html('{} <a href="{}">{}</a>', told, runs, _("How they were found"))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave out what a site without signals of its own has no use for."""
        found = super().get_fieldsets(request, obj)
        if site_signals():
            return found
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "signal_weights"]})
            for title, options in found
        ]

    def list_queries(self, candidate: Configuration, form_values: dict[str, Any]) -> list[ListQuery]:
        return _list_queries(form_values)

    def serving_overrides(
        self, candidate: Configuration, query: ListQuery
    ) -> tuple[ServingOverrides, ServingOverrides]:
        return ServingOverrides(configuration=Configuration.current()), ServingOverrides(
            configuration=candidate
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["history_of_values"] = admin_url("configurationchange", "changelist")
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Configuration, form: Any, change: bool) -> None:
        obj.changed_by = request.user.get_username()
        if form.own_weights:
            messages.info(
                request, _("Your own weights of search count from now on, and none are learned any more.")
            )
        super().save_model(request, obj, form, change)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            return super().changelist_view(request, extra_context)
        if self.has_change_permission(request):
            Configuration.objects.get_or_create(pk=1)
        return HttpResponseRedirect(reverse("admin:llmrec_plugin_configuration_change", args=[1]))

    def response_change(self, request: HttpRequest, obj: Configuration) -> HttpResponse:
        messages.info(request, _("The new weights are in effect from the next request on."))
        return super().response_change(request, obj)


def _list_queries(form_values: dict[str, Any]) -> list[ListQuery]:
    """Some queries and the personal list of one document."""
    label = document_or_first(form_values["document"])
    return [*search_queries(label, form_values), *placement_queries(label, [PERSONAL_LIST], form_values)]


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(RecordAdmin):
    """What the values have been, what changed each time, and the way back."""

    list_display = ["at", "by", "what", "way_back"]
    list_display_links = None

    @admin.display(description=_("what changed"))
    def what(self, change: ConfigurationChange) -> str:
        former = ConfigurationChange.objects.filter(pk__lt=change.pk).first()
        if former is None:
            return str(_("the first values on record"))
        changed = differences(former.values, change.values)
        return "; ".join(f"{name}: {old} → {new}" for name, old, new in changed)

    @admin.display(description="")
    def way_back(self, change: ConfigurationChange) -> SafeString:
        address = admin_url("configurationchange", "restore", change.pk)
        return format_html('<a href="{}">{}</a>', address, _("Look and go back to it"))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.restore_view)
        own = path("<int:pk>/restore/", view, name="llmrec_plugin_configurationchange_restore")
        return [own, *super().get_urls()]

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """First what it would do; then, asked to, the values of that moment become those of now."""
        if not request.user.has_perm("llmrec_plugin.change_configuration"):
            raise PermissionDenied
        change = get_object_or_404(ConfigurationChange, pk=pk)
        current = Configuration.current()
        candidate = current.with_overrides(change.known_values())
        if request.method == "POST":
            candidate.changed_by = request.user.get_username()
            candidate.save()
            self.log_change(request, change, str(_("These values were restored.")))
            messages.success(request, _("The values of that moment are in effect from the next request on."))
            return HttpResponseRedirect(admin_url("configurationchange", "changelist"))
        is_asked = any(key.startswith("preview-") for key in request.GET)
        form = PreviewForm(request.GET if is_asked else None, request=request)
        form_values = form.cleaned_data if form.is_bound and form.is_valid() else EMPTY
        found: list[ListComparison] = compare_lists(
            _list_queries(form_values),
            lambda _query: (
                ServingOverrides(configuration=current),
                ServingOverrides(configuration=candidate),
            ),
        )
        values = {name: getattr(current, name) for name in change.known_values()}
        values = {
            "title": _("Go back to earlier values"),
            "change": change,
            "differences": differences(values, change.known_values()),
            "compared": found,
            "form": form,
        }
        return page(self, request, "configurationchange/restore", values)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(name as the form has it, value before, value after) of what is not the same."""
    found = []
    for name, value in new.items():
        if old.get(name) != value:
            field = Configuration._meta.get_field(name) if name in Configuration.tunable() else None
            found.append((str(getattr(field, "verbose_name", name)), old.get(name, "–"), value))
    return found
