"""Search for the site's own REST viewsets."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from llmrec_plugin.exceptions import InvalidRequest, LlmrecError
from llmrec_plugin.logs import public_message
from llmrec_plugin.shortcuts import Results, search

__all__ = ["RelevanceFilter"]


class SearchUnavailable(APIException):
    status_code = 503
    default_detail = "The search does not answer at present."
    default_code = "search_unavailable"


class RelevanceFilter(BaseFilterBackend):
    """`?search=…` (REST_FRAMEWORK["SEARCH_PARAM"]) in order of relevance, within the viewset's queryset.

        class ProductViewSet(ReadOnlyModelViewSet):
            filter_backends = [DjangoFilterBackend, RelevanceFilter]

    It stands last: what it returns is a ranked list, which page and limit-offset pagination take like a
    queryset. `search_document` of the view names the document where the model has several.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Any:
        """The queryset itself without a text, else Results."""
        text = request.query_params.get(api_settings.SEARCH_PARAM, "").replace("\x00", " ").strip()
        if not text:
            return queryset
        document = getattr(view, "search_document", "") or queryset.model
        found: Results[Any] = search(document, text, request=request).within(queryset)
        try:
            found.page  # noqa: B018  (asks now, where the error can be told)
        except InvalidRequest as error:
            raise ValidationError({api_settings.SEARCH_PARAM: [str(error)]}) from error
        except LlmrecError as error:
            raise SearchUnavailable(public_message(error)) from error
        return found

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": api_settings.SEARCH_PARAM,
                "required": False,
                "in": "query",
                "description": "What to look for; the list is then in order of relevance.",
                "schema": {"type": "string"},
            }
        ]
