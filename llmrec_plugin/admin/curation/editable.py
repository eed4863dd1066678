"""What the pages of rows have in common that editors write and switch on and off."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from llmrec_plugin.admin.base import ExplainedAdmin
from llmrec_plugin.admin.insight.previews import PreviewedAdmin


class VersionedRowAdmin(PreviewedAdmin, ExplainedAdmin):
    """Rows in effect from the next request on; each change is in the history of the row."""

    list_per_page = 50
    save_on_top = True
    actions = ["enable", "disable"]

    @admin.action(description=_("Put the selected ones into effect"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(description=_("Take the selected ones out of effect"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, on=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Any], *, on: bool) -> None:
        changed = list(queryset.filter(enabled=not on))
        self.model._default_manager.filter(pk__in=[row.pk for row in changed]).update(enabled=on)
        for row in changed:
            self.log_change(request, row, [{"changed": {"fields": [str(_("in effect"))]}}])
        text = ngettext("%(count)d row was changed.", "%(count)d rows were changed.", len(changed))
        self.message_user(request, text % {"count": len(changed)}, messages.SUCCESS)


def admin_url(model: str, page: str, *args: object) -> str:
    """Address of a page of one of the app's models."""
    return reverse(f"admin:llmrec_plugin_{model}_{page}", args=args)
