"""What waits to be indexed, why it failed, and a way to try again at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from llmrec_plugin.admin.base import ModelAdmin, ReadOnlyAdmin, RecordAdmin
from llmrec_plugin.models import Embedding, IndexBatch, Lease, OutboxEntry
from llmrec_plugin.services.indexing import outbox


class FailedFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("waiting", _("waiting")), ("failed", _("failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "waiting":
            return queryset.filter(attempts=0)
        if self.value() == "failed":
            return queryset.filter(attempts__gt=0)
        return queryset


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    list_display = ["document", "item_id", "index_version", "created_at", "attempts", "not_before", "error"]
    list_filter = [FailedFilter, "document"]
    list_select_related = ["index_version"]
    search_fields = ["item_id"]
    actions = ["retry"]

    @admin.display(description=_("last error"))
    def error(self, entry: OutboxEntry) -> str:
        return entry.last_error.splitlines()[0][:160] if entry.last_error else "–"

    @admin.action(description=_("Try the selected entries again now"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> None:
        count = outbox.retry(queryset)
        message = ngettext("%(count)d entry is tried again.", "%(count)d entries are tried again.", count) % {
            "count": count
        }
        self.message_user(request, message, messages.SUCCESS)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("llmrec_plugin.change_outboxentry")


@admin.register(IndexBatch)
class IndexBatchAdmin(RecordAdmin):
    list_display = ["id", "at", "entries", "encoded", "failed", "took_ms"]
    date_hierarchy = "at"


@admin.register(Embedding)
class EmbeddingAdmin(RecordAdmin):
    list_display = ["document", "item_id", "encoder_id", "updated_at"]
    list_filter = ["document", "encoder_id"]
    search_fields = ["item_id"]
    fields = ["document", "item_id", "encoder_id", "fingerprint", "dimensions", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Embedding]:
        return super().get_queryset(request).defer("vector")

    @admin.display(description=_("dimensions"))
    def dimensions(self, embedding: Embedding) -> int:
        return len(embedding.vector) // 4


@admin.register(Lease)
class LeaseAdmin(RecordAdmin):
    list_display = ["name", "owner", "until", "fence"]
