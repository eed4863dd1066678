"""Admin classes that the others share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from llmrec_plugin.documents import registry

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    ModelAdmin: TypeAlias = admin.ModelAdmin[Any]
    StackedInline: TypeAlias = admin.StackedInline[Any, Any]
else:  # generic for type checkers only; unfold draws the forms of nobody but its own subclasses
    _theme = import_module("unfold.admin") if apps.is_installed("unfold") else admin
    ModelAdmin, StackedInline = _theme.ModelAdmin, _theme.StackedInline


class ReadOnlyAdmin(ModelAdmin):
    """For rows that the app writes: to be read, searched and filtered, never edited here."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class RecordAdmin(ReadOnlyAdmin):
    """For rows that are looked at when something is amiss: the status page leads to them, so that the index
    of the admin is left to what editors come for. Who may not see that page finds them in the index."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        status = f"{self.opts.app_label}.view_status"
        return not request.user.has_perm(status) and super().has_module_permission(request)


class ExplainedAdmin(ModelAdmin):
    """A list that says above itself what its rows are for."""

    change_list_template = "admin/llmrec_plugin/explained.html"

    about: _StrPromise | str = ""

    def get_about(self) -> str:
        return str(self.about)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"about": self.get_about(), **(extra_context or {})})


def page(
    owner: ModelAdmin, request: HttpRequest, template: str, values: Mapping[str, Any]
) -> TemplateResponse:
    """A page of the app's own in the frame of the admin; the template shows `values`, its title too."""
    context = {**owner.admin_site.each_context(request), "opts": owner.opts, **values}
    return TemplateResponse(request, f"admin/llmrec_plugin/{template}.html", context)


def document_or_first(label: str) -> str:
    """`label` if a document has it, else the first label; empty where no document is registered."""
    labels = registry.labels()
    return label if label in labels else next(iter(labels), "")


def pretty_json(value: Any) -> SafeString:
    """`value` as indented JSON that keeps its line breaks."""
    return format_html(
        '<pre style="margin:0;white-space:pre-wrap">{}</pre>', json.dumps(value, ensure_ascii=False, indent=2)
    )
