"""A visitor's rights over what is kept about them: see it, take it along, erase it, agree or refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from llmrec_plugin import visitors
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.descriptions import documented
from llmrec_plugin.api.serializers import ConsentSerializer, ErasedSerializer, ExportSerializer, MeSerializer
from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Impression, Interaction
from llmrec_plugin.services import privacy
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.types import ANONYMOUS

NOTHING: Mapping[str, Any] = {
    "consent": None,
    "interactions": [],
    "impressions": [],
    "arm_assignments": [],
    "embeddings": [],
}
"""The export of somebody who is not known; in the names of `privacy.export_user`."""


class MeView(ApiView):
    """What is kept about the caller."""

    @documented(
        "me",
        responses={200: MeSerializer},
        errors=(429,),
        tags=["me"],
        summary="What is kept about me",
    )
    def get(self, request: Request) -> Response:
        return Response(summary_of(visitors.current_user_key(request)))

    @documented(
        "erase_me",
        responses={200: ErasedSerializer},
        errors=(403, 429),
        tags=["me"],
        summary="Erase all that is kept about me",
        description="A user who had refused stays refused; a visitor's key is taken back.",
    )
    def delete(self, request: Request) -> Response:
        key = visitors.current_user_key(request)
        if key is None:
            return Response({"interactions": 0, "impressions": 0, "consent": False})
        anonymous = key.startswith(ANONYMOUS)
        report = privacy.erase_user(key, keep_refusal=not anonymous)
        response = Response(
            {
                "interactions": report.interactions,
                "impressions": report.impressions,
                "consent": report.consent,
            }
        )
        if anonymous:
            visitors.take_key(response)
        return response


class ExportView(ApiView):
    """Everything, to take along."""

    @documented(
        "export_me",
        responses={200: ExportSerializer},
        errors=(429,),
        tags=["me"],
        summary="All that is kept about me, as one JSON file",
    )
    def get(self, request: Request) -> Response:
        key = visitors.current_user_key(request)
        data = {"user_key": None, **NOTHING} if key is None else privacy.export_user(key)
        return Response(data, headers={"Content-Disposition": 'attachment; filename="my-data.json"'})


class ConsentView(ApiView):
    """The caller's choice on being remembered."""

    @documented(
        "set_consent",
        responses={200: MeSerializer},
        errors=(400, 403, 415, 429),
        request=ConsentSerializer,
        tags=["me"],
        summary="Agree to, or refuse, being remembered",
    )
    def put(self, request: Request) -> Response:
        serializer = ConsentSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        granted: bool = serializer.validated_data["granted"]
        key = visitors.current_user_key(request)
        if key is None and worth_a_key(granted=granted):
            key = visitors.ensure_user_key(request)
        if key is not None:
            privacy.set_consent(key, granted=granted)
        return Response(summary_of(key))


def worth_a_key(*, granted: bool) -> bool:
    """Whether the choice of a visitor who carries no key differs from what holds without one."""
    return get_settings().CONSENT == "opt-out" or granted


def summary_of(user_key: str | None) -> dict[str, Any]:
    if user_key is None:
        return {"user_key": None, "consent": None, "personal": False, "interactions": 0, "impressions": 0}
    return {
        "user_key": user_key,
        "consent": privacy.consent_of(user_key),
        "personal": get_settings().ENABLED and consent.may_personalise(user_key),
        "interactions": Interaction.objects.filter(user_key=user_key).count(),
        "impressions": Impression.objects.filter(user_key=user_key).count(),
    }
