"""Events from browsers and apps: whose they are is never taken from the body."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import JsonResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from llmrec_plugin import visitors
from llmrec_plugin.analysis.text import encodable, shown
from llmrec_plugin.api import problems
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.descriptions import documented, object_or_list
from llmrec_plugin.api.parameters import one_or_many, refuse_unknown, single_document
from llmrec_plugin.api.serializers import MAX_EVENTS, InteractionSerializer, RecordedSerializer
from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.services import interactions
from llmrec_plugin.services.interactions import NewInteraction, browser_kinds, impressions
from llmrec_plugin.services.interactions.recording import RecordReport

Error = dict[str, Any]
IGNORED = frozenset({"user"})
"""Fields of the import format that clients may leave in, and that count for nothing here."""


class InteractionsView(ApiView):
    """Takes one event, or a list of them; what makes no sense is refused, and the others go on.

    An event that names somebody else's list is stored as one that came from no list.
    """

    @documented(
        "record_interactions",
        responses={202: RecordedSerializer},
        errors=(400, 403, 413, 415, 429),
        request=object_or_list("LlmrecInteractions", InteractionSerializer),
        tags=["interactions"],
        summary=f"Record what the visitor did, one event or up to {MAX_EVENTS}",
    )
    def post(self, request: Request) -> Response | JsonResponse:
        sent = one_or_many(request.data, most=MAX_EVENTS, what="events")
        events: dict[int, dict[str, Any]] = {}
        errors: list[Error] = []
        for index, data in enumerate(sent):
            try:
                events[index] = _validated(data)
            except (ValidationError, InvalidRequest, NotFound) as error:
                errors.extend(_errors(index, error))
        if sent and not events:
            return _nothing_valid(errors)
        report = self.record(list(events.values()))
        places = list(events)
        errors += [_refusal(places[number], why) for number, why in report.reasons.items()]
        return Response(
            {
                "stored": report.stored,
                "duplicates": report.duplicates,
                "refused": report.refused + len(sent) - len(events),
                "errors": sorted(errors, key=lambda error: error["index"]),
            },
            status=202,
        )

    def record(self, events: list[dict[str, Any]]) -> RecordReport:
        if visitors.is_left_out(self.request):
            return _all_refused(events, "Events of staff and of crawlers are not stored.")
        user_key = self.user_key_for_events()
        if user_key is None:
            return _all_refused(events, "The visitor has not agreed to being remembered.")
        lists = {data["request_id"] for data in events if data["request_id"] is not None}
        foreign = impressions.of_others(user_key, lists)
        for data in events:
            if data["request_id"] in foreign:  # such as from a page that was cached with somebody's list
                data.update(request_id=None, position=None)
        return interactions.record_many([_event(user_key, data) for data in events], check=True)

    def user_key_for_events(self) -> str | None:
        """Return whose events these are. A new visitor gets a key only where events may be kept without
        having been asked for."""
        user_key = visitors.current_user_key(self.request)
        if user_key is not None or not visitors.newcomers_are_remembered():
            return user_key
        return visitors.ensure_user_key(self.request)


def _validated(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidRequest("An event is a JSON object.")
    serializer = InteractionSerializer(data=data)
    refuse_unknown([str(name) for name in data if name not in IGNORED], serializer.fields)
    serializer.is_valid(raise_exception=True)
    event: dict[str, Any] = serializer.validated_data
    event["document"] = single_document(event["document"])
    browser_kinds.check_sender(event["document"], event["kind"])
    return event


def _event(user_key: str, data: dict[str, Any]) -> NewInteraction:
    return NewInteraction(
        user_key=user_key,
        document=data["document"],
        item_id=data["item_id"],
        kind=data["kind"],
        value=data["value"],
        at=data["at"],
        request_id=data["request_id"],
        position=data["position"],
        event_id=None if data["event_id"] is None else _event_id(user_key, data["event_id"]),
    )


def _event_id(user_key: str, sent: str) -> str:
    """Return the id to store. Each visitor's ids are their own: they pass for nobody else's, nor for those
    of the site's orders."""
    return "api:" + hashlib.sha256(f"{user_key}\n{sent}".encode()).hexdigest()


def _errors(index: int, error: ValidationError | InvalidRequest | NotFound) -> list[Error]:
    if isinstance(error, ValidationError):
        found = problems.flat(error.detail)
    else:
        found = [(getattr(error, "parameter", "document"), str(error))]
    return [{"parameter": shown(name), "detail": encodable(why), "index": index} for name, why in found]


def _refusal(index: int, why: str) -> Error:
    return {"parameter": "", "detail": why, "index": index}


def _nothing_valid(errors: list[Error]) -> JsonResponse:
    first = errors[0]
    return problems.problem(
        400, code="invalid_request", detail=first["detail"], parameter=first["parameter"], errors=errors
    )


def _all_refused(events: list[dict[str, Any]], why: str) -> RecordReport:
    return RecordReport(
        stored=0, duplicates=0, refused=len(events), reasons=dict.fromkeys(range(len(events)), why)
    )
