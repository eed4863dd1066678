"""For load balancers: is this process alive, and can it answer searches?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.http import JsonResponse
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from llmrec_plugin.api import problems
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.openapi import documented
from llmrec_plugin.api.serializers import HealthSerializer
from llmrec_plugin.backends import get_backend
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.services.live import live_pair

logger = logging.getLogger(__name__)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class HealthView(ApiView):
    """Nobody logs in here, nothing is throttled, and a database that is away is an answer."""

    authentication_classes = ()

    def get_throttles(self) -> list[BaseThrottle]:
        return []


class LiveView(HealthView):
    """The process answers."""

    @documented("health_live", responses={200: HealthSerializer}, tags=["health"], summary="Alive?")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok", "checks": {}})


class ReadyView(HealthView):
    """The database and the engine answer, and each document has a live index."""

    @documented(
        "health_ready", responses={200: HealthSerializer}, errors=(503,), tags=["health"], summary="Ready?"
    )
    def get(self, request: Request) -> Response | JsonResponse:
        checks = {"database": _outcome("database", _ask_database)}
        if checks["database"] == "ok":
            checks["engine"] = _outcome("engine", lambda: get_backend().check())
            for label in registry.labels():
                checks[f"index {label}"] = _outcome(label, partial(live_pair, label))
        ill = [name for name, outcome in checks.items() if outcome != "ok"]
        if ill:
            detail = f"Not ready: {', '.join(ill)}."
            return problems.problem(503, code="not_ready", detail=detail, checks=checks)
        return Response({"status": "ok", "checks": checks})


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _outcome(part: str, check: Callable[[], object]) -> str:
    """ "ok" or a code; the message, which may name hosts and paths, is for the log."""
    try:
        check()
    except LlmrecError as error:
        logger.warning("not ready part=%s code=%s: %s", part, error.code, error)
        return error.code
    except DatabaseFailure as error:
        logger.warning("not ready part=%s: %s", part, error)
        return "unavailable"
    return "ok"
