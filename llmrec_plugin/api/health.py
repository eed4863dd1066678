"""For load balancers: is this process alive, can it answer searches, and which part is ill?"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import JsonResponse
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from llmrec_plugin.api import problems
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.descriptions import documented
from llmrec_plugin.api.serializers import HealthSerializer
from llmrec_plugin.services.monitoring import health


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class HealthView(ApiView):
    """Nobody logs in here, nothing is throttled, and a database that is away is an answer."""

    authentication_classes = ()

    def perform_authentication(self, request: Request) -> None:
        """Leaves the user of the site's session alone, who is not looked up unless somebody asks."""

    def get_throttles(self) -> list[BaseThrottle]:
        return []


class LiveView(HealthView):
    """The process answers."""

    @documented("health_live", responses={200: HealthSerializer}, tags=["health"], summary="Alive?")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok", "checks": {}})


class ReadyView(HealthView):
    """Searches are answered: by the live index of each document, or, while a part is away, by the rest."""

    @documented(
        "health_ready", responses={200: HealthSerializer}, errors=(503,), tags=["health"], summary="Ready?"
    )
    def get(self, request: Request) -> Response | JsonResponse:
        parts = health.components()
        ill = [part for part in parts if part.code != health.OK]
        body: dict[str, Any] = {"checks": {part.name: part.code for part in parts}}
        if ill and not parts[0].stops and _asks_staff(request):
            body["details"] = {part.name: part.detail for part in ill}
        if any(part.stops for part in ill):
            detail = f"Not ready: {', '.join(part.name for part in ill)}."
            return problems.problem(503, code="not_ready", detail=detail, **body)
        return Response({"status": "degraded" if ill else "ok", **body})


def _asks_staff(request: Request) -> bool:
    """By the session of the site; to be asked only while the database answers."""
    user = getattr(request._request, "user", None)
    return bool(user is not None and user.is_active and user.is_staff)
