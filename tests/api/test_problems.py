"""Errors as problem documents, throttles, and a cache that is down."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions as drf
from rest_framework.test import APIClient

from llmrec_plugin import exceptions
from llmrec_plugin.api.problems import handle_exception
from tests.api.conftest import Site, assert_problem

CASES = [
    (exceptions.InvalidRequest("no", parameter="q"), 400, "invalid_request"),
    (exceptions.InvalidCursor("no"), 400, "invalid_cursor"),
    (exceptions.NotFound("no"), 404, "not_found"),
    (exceptions.NotBuilt("build it"), 503, "not_built"),
    (exceptions.BackendUnavailable("http://10.0.0.1:9200"), 503, "backend_unavailable"),
    (exceptions.EncoderUnavailable("/srv/models"), 503, "encoder_unavailable"),
    (exceptions.EncoderMismatch("/srv/models"), 503, "encoder_mismatch"),
    (Http404("no"), 404, "not_found"),
    (PermissionDenied("no"), 403, "permission_denied"),
    (SuspiciousOperation("no"), 400, "invalid_request"),
    (drf.ValidationError({"a": {"b": ["no"]}}), 400, "invalid_request"),
    (drf.ValidationError([]), 400, "invalid_request"),
    (drf.NotAuthenticated(), 401, "not_authenticated"),
    (drf.Throttled(wait=2.1), 429, "throttled"),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    body = assert_problem(handle_exception(error, {}), status, code)
    assert "10.0.0.1" not in body["detail"]
    assert "/srv" not in body["detail"]


@pytest.mark.parametrize(
    "error", [exceptions.ConfigurationError("x"), exceptions.LlmrecError(), KeyError("x")]
)
def test_a_fault_of_ours_is_left_to_django(error: Exception) -> None:
    assert handle_exception(error, {}) is None


def test_the_wait_is_rounded_up() -> None:
    response = handle_exception(drf.Throttled(wait=2.1), {})
    assert response is not None
    assert response.headers["Retry-After"] == "3"


def test_the_challenge_is_passed_on() -> None:
    error = drf.NotAuthenticated()
    error.auth_header = "Basic"  # type: ignore[attr-defined]
    response = handle_exception(error, {})
    assert response is not None
    assert response.headers["WWW-Authenticate"] == "Basic"


def test_reading_too_often_is_throttled(db: None, api: APIClient, settings: Any) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"llmrec-read": "2/min", "llmrec-write": "1/min"},
    }
    for _ in range(2):
        assert api.get("/api/me/").status_code == 200
    response = api.get("/api/me/")
    assert_problem(response, 429, "throttled")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert api.put("/api/me/consent/", {"granted": True}, format="json").status_code == 200
    assert_problem(api.put("/api/me/consent/", {"granted": True}, format="json"), 429, "throttled")
    assert api.get("/api/health/live/").status_code == 200


def test_users_are_counted_each_by_himself(
    db: None, api: APIClient, customer_api: APIClient, settings: Any
) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"llmrec-read": "1/min"},
    }
    assert api.get("/api/me/").status_code == 200
    assert customer_api.get("/api/me/").status_code == 200
    assert api.get("/api/me/").status_code == 429


def test_a_cache_that_is_down_lets_everybody_in(
    site: Site, api: APIClient, settings: Any, tmp_path: Any
) -> None:
    """The folder of the cache is a file, so every read and write fails."""
    broken = tmp_path / "cache"
    broken.write_text("no folder")
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(broken),
        }
    }
    with pytest.raises(OSError, match="cache"):
        cache.set("x", 1)
    assert api.get("/api/search/", {"document": "product", "q": "tea"}).status_code == 200


def test_too_many_parameters_are_a_bad_request(site: Site, api: APIClient) -> None:
    address = "/api/search/?" + "&".join(f"a{number}=1" for number in range(2000))
    assert_problem(api.get(address), 400, "invalid_request")


def test_wrong_credentials_are_a_problem_document(db: None, api: APIClient) -> None:
    response = api.get("/api/me/", headers={"Authorization": "Basic bm9ib2R5Ong="})
    assert response.status_code in (401, 403)
    assert response.headers["Content-Type"] == "application/problem+json"
