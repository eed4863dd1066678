"""What users did and were shown, their consent, and imported items."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, pretty_json
from llmrec_plugin.models import (
    Consent,
    ImportedItem,
    Impression,
    Interaction,
    PopularQuery,
)


@admin.register(PopularQuery)
class PopularQueryAdmin(ReadOnlyAdmin):
    list_display = ["text", "document", "visitors", "counted_at"]
    list_filter = ["document"]
    search_fields = ["text"]


@admin.register(Interaction)
class InteractionAdmin(ReadOnlyAdmin):
    list_display = ["at", "user_key", "kind", "document", "object_id", "value", "position"]
    list_filter = ["kind", "document"]
    search_fields = ["user_key", "object_id"]
    search_help_text = _("User or object, as a primary key.")


@admin.register(Impression)
class ImpressionAdmin(ReadOnlyAdmin):
    list_display = [
        "at",
        "placement",
        "document",
        "query",
        "total",
        "shown",
        "seen",
        "took_ms",
        "what_failed",
    ]
    list_filter = ["placement", "document"]
    search_fields = ["user_key", "query"]
    fields = [
        "request_id",
        "at",
        "user_key",
        "document",
        "placement",
        "query",
        "total",
        "shown",
        "seen",
        "took_ms",
        "what_failed",
        "index_version",
        "model_version",
        "shown_items",
    ]

    @admin.display(description=_("answered without"))
    def what_failed(self, impression: Impression) -> str:
        return ", ".join(impression.degraded) or "–"

    @admin.display(description=_("shown items"))
    def shown_items(self, impression: Impression) -> SafeString:
        return pretty_json((impression.ranking or [])[: impression.shown])


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ["user_key", "granted", "at"]
    list_filter = ["granted"]
    search_fields = ["user_key"]


@admin.register(ImportedItem)
class ImportedItemAdmin(ReadOnlyAdmin):
    list_display = ["id", "document", "__str__"]
    list_filter = ["document"]
    search_fields = ["id"]
    fields = ["id", "document", "texts", "filter_values", "image"]

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        return ["id", "document", "texts", "filter_values", "image"]

    @admin.display(description=_("text"))
    def texts(self, item: ImportedItem) -> SafeString:
        return pretty_json(item.text)

    @admin.display(description=_("filters"))
    def filter_values(self, item: ImportedItem) -> SafeString:
        return pretty_json(item.filters)
