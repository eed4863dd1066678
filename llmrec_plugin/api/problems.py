"""Every error of the API as an RFC 9457 problem document with a stable `code`.

| status | code | |
|---|---|---|
| 400 | `invalid_request` | a parameter or the body makes no sense; `errors` says which and why |
| 400 | `invalid_cursor` | a cursor that is malformed, forged or past its lifetime |
| 400 | `parse_error` | the body is no JSON |
| 401, 403 | `not_authenticated`, `authentication_failed`, `permission_denied` | |
| 404 | `not_found` | a document, item or placement that does not exist; a cursor of another visitor |
| 405, 413, 415 | `method_not_allowed`, `too_large`, `unsupported_media_type` | |
| 429 | `throttled` | too many requests; `Retry-After` says when to come back |
| 503 | `not_built`, `backend_unavailable`, `encoder_unavailable`, `encoder_mismatch` | try later |

What is none of these is a fault in the code or the settings, and is left to Django: a 500 and a traceback.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.views import set_rollback

from llmrec_plugin.exceptions import (
    BackendUnavailable,
    CursorOfAnother,
    EncoderMismatch,
    EncoderUnavailable,
    InvalidRequest,
    LlmrecError,
    NotBuilt,
    NotFound,
)
from llmrec_plugin.logs import public_message

CONTENT_TYPE = "application/problem+json"


class TooLarge(drf.APIException):
    status_code = 413
    default_code = "too_large"
    default_detail = "The body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE allows."


def problem(
    status: int, *, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: object
) -> JsonResponse:
    """A problem document; `members` are added to it."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
    return JsonResponse(body, status=status, headers=dict(headers or {}), content_type=CONTENT_TYPE)


def handle_exception(error: Exception, context: Mapping[str, Any]) -> JsonResponse | None:
    """The answer to `error`; None: it is nobody's input, and Django makes a 500 of it."""
    response = _answer(error)
    if response is not None:
        set_rollback()
    return response


def _answer(error: Exception) -> JsonResponse | None:
    if isinstance(error, LlmrecError):
        return _own(error)
    if isinstance(error, SuspiciousOperation):
        return problem(400, code="invalid_request", detail=str(error))
    if isinstance(error, Http404):
        error = drf.NotFound()
    elif isinstance(error, PermissionDenied):
        error = drf.PermissionDenied()
    return _framework(error) if isinstance(error, drf.APIException) else None


def _own(error: LlmrecError) -> JsonResponse | None:
    if isinstance(error, CursorOfAnother):
        return problem(404, code=error.code, detail=str(error), parameter=error.parameter)
    if isinstance(error, InvalidRequest):
        return invalid([(error.parameter, str(error))], code=error.code)
    if isinstance(error, NotBuilt):
        return problem(503, code=error.code, detail=str(error))
    if isinstance(error, NotFound):
        return problem(404, code=error.code, detail=str(error))
    if isinstance(error, BackendUnavailable | EncoderUnavailable | EncoderMismatch):
        return problem(503, code=error.code, detail=public_message(error))
    return None


def invalid(errors: Sequence[tuple[str, str]], *, code: str = "invalid_request") -> JsonResponse:
    """400 with (parameter, why) for each; the parameter is empty when it is the request as a whole."""
    parameter, detail = errors[0]
    return problem(
        400,
        code=code,
        detail=detail,
        parameter=parameter,
        errors=[{"parameter": name, "detail": why} for name, why in errors],
    )


def _framework(error: drf.APIException) -> JsonResponse:
    if isinstance(error, drf.ValidationError):
        return invalid(flat(error.detail) or [("", str(error.default_detail))])
    headers = {}
    challenge, wait = getattr(error, "auth_header", None), getattr(error, "wait", None)
    if challenge:
        headers["WWW-Authenticate"] = str(challenge)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    code = error.get_codes()
    return problem(
        error.status_code,
        code=code if isinstance(code, str) else error.default_code,
        detail=str(error.detail),
        headers=headers,
    )


def flat(detail: object) -> list[tuple[str, str]]:
    """(parameter, why) of each message in the errors of a serializer."""
    return list(_walk(detail, ""))


def _walk(detail: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            yield from _walk(value, "" if key == "non_field_errors" else str(key))
    elif isinstance(detail, list | tuple):
        for value in detail:
            yield from _walk(value, name)
    else:
        yield name, str(detail)
