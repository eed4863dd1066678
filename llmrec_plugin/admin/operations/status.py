"""The status page: what is live, what waits and what is ill, on one screen."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, RecordAdmin, page
from llmrec_plugin.admin.curation.editable import admin_url
from llmrec_plugin.models import Status
from llmrec_plugin.services.monitoring import status


@admin.register(Status)
class StatusAdmin(ReadOnlyAdmin):
    """Shows `services.status.collect()`, the same as the command and the health endpoint say."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        values = {
            "title": _("Status"),
            "status": status.collect(),
            "records": self._records(request),
            **(extra_context or {}),
        }
        return page(self, request, "status/change_list", values)

    def _records(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return (name, address) of the pages that are not in the index of the admin, and may be seen."""
        found = [
            (
                capfirst(str(model._meta.verbose_name_plural)),
                admin_url(str(model._meta.model_name), "changelist"),
            )
            for model, one in self.admin_site._registry.items()
            if isinstance(one, RecordAdmin) and one.has_view_permission(request)
        ]
        return sorted(found)
