"""What users did and were shown, their consent, and imported items."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, RecordAdmin, page, pretty_json
from llmrec_plugin.models import (
    Consent,
    ImportedItem,
    Impression,
    Interaction,
    PopularQuery,
)
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.profiles import overview


@admin.register(PopularQuery)
class PopularQueryAdmin(ReadOnlyAdmin):
    list_display = ["text", "document", "visitors", "counted_at"]
    list_filter = ["document"]
    search_fields = ["text"]


@admin.register(Interaction)
class InteractionAdmin(ReadOnlyAdmin):
    list_display = ["at", "user", "kind", "document", "item_id", "value", "position"]
    list_filter = ["kind", "document"]
    search_fields = ["user_key", "item_id"]
    search_help_text = _("User or object, as a primary key.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interaction]:
        """Leave out what somebody did who refused: it is kept until it is erased, but nobody browses it."""
        return consent.consented(super().get_queryset(request))

    @admin.display(description=_("user"), ordering="user_key")
    def user(self, interaction: Interaction) -> SafeString:
        url = reverse("admin:llmrec_plugin_interaction_profile")
        query = urlencode({"user": interaction.user_key})
        return format_html('<a href="{}?{}">{}</a>', url, query, interaction.user_key)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.profile_view)
        return [path("profile/", view, name="llmrec_plugin_interaction_profile"), *super().get_urls()]

    def profile_view(self, request: HttpRequest) -> HttpResponse:
        """Show what is known of one user, and what of it counts."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        user_key = request.GET.get("user", "").strip()
        values = {
            "title": _("Profile of a user"),
            "user_key": user_key,
            "overview": overview.user_overview(user_key) if user_key else None,
        }
        return page(self, request, "interaction/profile", values)


@admin.register(Impression)
class ImpressionAdmin(RecordAdmin):
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Impression]:
        """Leave out the lists of who refused, as with interactions."""
        return consent.consented(super().get_queryset(request))

    @admin.display(description=_("answered without"))
    def what_failed(self, impression: Impression) -> str:
        return ", ".join(impression.degraded) or "–"

    @admin.display(description=_("shown items"))
    def shown_items(self, impression: Impression) -> SafeString:
        return pretty_json((impression.ranking or [])[: impression.shown])


@admin.register(Consent)
class ConsentAdmin(RecordAdmin):
    list_display = ["user_key", "granted", "at"]
    list_filter = ["granted"]
    search_fields = ["user_key"]


@admin.register(ImportedItem)
class ImportedItemAdmin(RecordAdmin):
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
