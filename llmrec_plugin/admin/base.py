"""Admin classes that the others share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from llmrec_plugin.documents import registry

if TYPE_CHECKING:
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
