"""metrics/: what Prometheus reads, for staff and for whoever holds LLMREC["METRICS_TOKEN"]."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission, IsAdminUser
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from llmrec_plugin import extras, monitoring
from llmrec_plugin.api import descriptions, problems
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.conf import get_settings
from llmrec_plugin.services.monitoring import prometheus


@descriptions.hidden
class MetricsView(ApiView):
    """No part of what a site's visitors use, hence not in the schema."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Others would take the token for one of theirs, and refuse it."""
        return [] if _holds_token(self.request) else super().get_authenticators()

    def get_permissions(self) -> Sequence[BasePermission]:
        return [] if _holds_token(self.request) else [IsAdminUser()]

    def get_throttles(self) -> list[BaseThrottle]:
        return []

    def get(self, request: Request) -> HttpResponse | JsonResponse:
        if not monitoring.is_installed():
            detail = extras.missing("prometheus", "This page")
            return problems.problem(404, code="not_installed", detail=detail)
        page, content_type = prometheus.exposition(request.headers.get("Accept", ""))
        return HttpResponse(page, content_type=content_type)


def _holds_token(request: HttpRequest | Request | None) -> bool:
    """None: a schema is being made, and nobody asks."""
    if request is None:
        return False
    expected = get_settings().METRICS_TOKEN
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    return (
        bool(expected)
        and scheme.lower() == "bearer"
        and secrets.compare_digest(given.strip().encode(), expected.encode())
    )
