"""The status page: what is live, what waits and what is ill, on one screen."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from llmrec_plugin.admin.base import ReadOnlyAdmin
from llmrec_plugin.models import Status
from llmrec_plugin.services import status


@admin.register(Status)
class StatusAdmin(ReadOnlyAdmin):
    """Shows `services.status.collect()`, the same as the command and the health endpoint say."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Status"),
            "status": status.collect(),
            "opts": self.model._meta,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/llmrec_plugin/status/change_list.html", context)
