"""health/live/ and health/ready/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from rest_framework.test import APIClient

from llmrec_plugin.models import Deployment
from tests.api.conftest import Site, assert_problem


def test_a_process_that_answers_is_alive(api: APIClient) -> None:
    """No database is asked: pytest-django would refuse it here."""
    assert api.get("/api/health/live/").json() == {"status": "ok", "checks": {}}


def test_a_site_with_live_indexes_is_ready(site: Site, api: APIClient) -> None:
    assert api.get("/api/health/ready/").json() == {
        "status": "ok",
        "checks": {"database": "ok", "engine": "ok", "index course": "ok", "index product": "ok"},
    }


def test_a_document_without_an_index_is_named(site: Site, api: APIClient) -> None:
    Deployment.objects.filter(document="course").delete()
    body = assert_problem(api.get("/api/health/ready/"), 503, "not_ready")
    assert body["checks"] == {
        "database": "ok",
        "engine": "ok",
        "index course": "not_built",
        "index product": "ok",
    }
    assert "course" in body["detail"]


def test_an_engine_that_cannot_be_used_is_named_without_its_path(
    site: Site, api: APIClient, settings: Any, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    settings.LLMREC = {**settings.LLMREC, "DATA_DIR": str(blocked)}
    response = api.get("/api/health/ready/")
    assert assert_problem(response, 503, "not_ready")["checks"]["engine"] == "backend_unavailable"
    assert str(tmp_path) not in response.content.decode()


def test_a_database_that_is_away_is_named(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise DatabaseError("could not connect to 10.0.0.1")

    monkeypatch.setattr("llmrec_plugin.api.health._ask_database", away)
    response = api.get("/api/health/ready/")
    assert assert_problem(response, 503, "not_ready")["checks"] == {"database": "unavailable"}
    assert "10.0.0.1" not in response.content.decode()


def test_nobody_is_logged_in_for_a_health_check(site: Site, api: APIClient) -> None:
    assert api.get("/api/health/ready/", headers={"Authorization": "Basic broken"}).status_code == 200
