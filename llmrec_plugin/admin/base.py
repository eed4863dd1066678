"""Admin classes that the others share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    ModelAdmin: TypeAlias = admin.ModelAdmin[Any]
else:  # generic for type checkers only
    ModelAdmin = admin.ModelAdmin


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


def pretty_json(value: Any) -> SafeString:
    """`value` as indented JSON that keeps its line breaks."""
    return format_html(
        '<pre style="margin:0;white-space:pre-wrap">{}</pre>', json.dumps(value, ensure_ascii=False, indent=2)
    )
