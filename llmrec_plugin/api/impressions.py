"""What of a list came into view: whose list it was is never taken from the body."""

from __future__ import annotations

import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from llmrec_plugin import visitors
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.descriptions import documented
from llmrec_plugin.api.parameters import one_or_many
from llmrec_plugin.api.serializers import NotedSerializer, SeenSerializer
from llmrec_plugin.services.interactions import impressions

MAX_LISTS = 50


class ImpressionsView(ApiView):
    """How far down their lists the visitor looked; lists that are not their own change nothing."""

    @documented(
        "note_seen",
        responses={202: NotedSerializer},
        errors=(400, 403, 413, 415, 429),
        request=SeenSerializer(many=True),
        tags=["interactions"],
        summary=f"Tell what came into view, of up to {MAX_LISTS} lists",
    )
    def post(self, request: Request) -> Response:
        sent = one_or_many(request.data, most=MAX_LISTS, what="lists")
        serializer = SeenSerializer(data=sent, many=True)
        serializer.is_valid(raise_exception=True)
        seen: dict[uuid.UUID, int] = {}
        for entry in serializer.validated_data:
            seen[entry["request_id"]] = max(entry["seen"], seen.get(entry["request_id"], 0))
        key = None if visitors.is_left_out(request) else visitors.current_user_key(request)
        return Response({"noted": impressions.note_seen(key, seen) if key else 0}, status=202)
