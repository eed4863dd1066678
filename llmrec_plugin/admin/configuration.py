"""The one configuration row, with its defaults shown until somebody saves it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ModelAdmin
from llmrec_plugin.models import Configuration


@admin.register(Configuration)
class ConfigurationAdmin(ModelAdmin):
    """Opens the row directly: there is only one."""

    fieldsets = [
        (_("Search"), {"fields": ["fusion", "text_weight", "rrf_k", "use_floor", "rescue", "candidates"]}),
        (
            _("Whatever is searched for"),
            {
                "fields": [
                    "freshness_weight",
                    "freshness_half_life_days",
                    "availability_weight",
                    "most_per_group",
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
                    "recommendation_also",
                    "recommendation_popularity",
                    "diversity",
                    "trending_half_life_days",
                ]
            },
        ),
        (None, {"fields": ["updated_at"]}),
    ]
    readonly_fields = ["updated_at"]

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
