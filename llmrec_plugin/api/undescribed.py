"""What schema/ and docs/ answer where drf-spectacular is not installed."""

from __future__ import annotations

from django.http import JsonResponse
from rest_framework.request import Request

from llmrec_plugin import extras
from llmrec_plugin.api import problems
from llmrec_plugin.api.base import ApiView


class NoDocumentView(ApiView):
    """There is no OpenAPI document, and the answer says how there would be one."""

    def get(self, request: Request) -> JsonResponse:
        detail = extras.missing("openapi", "The OpenAPI document")
        return problems.problem(404, code="not_installed", detail=detail)
