"""health/live/ and health/ready/."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from llmrec_plugin.models import Deployment, IndexBatch, IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.monitoring import health
from tests.api.conftest import Site, assert_problem
from tests.support.servers import Server

LABELS = ("course", "product")
WELL = {
    "database": "ok",
    "engine": "ok",
    **{f"index {label}": "ok" for label in LABELS},
    **{f"encoder {label}": "ok" for label in LABELS},
    "cache": "ok",
    **{f"backlog {label}": "ok" for label in LABELS},
    **{f"model {label}": "ok" for label in LABELS},
}


def test_a_process_that_answers_is_alive(api: APIClient) -> None:
    """No database is asked: pytest-django would refuse it here."""
    assert api.get("/api/health/live/").json() == {"status": "ok", "checks": {}}


def test_a_site_with_live_indexes_is_ready(site: Site, api: APIClient) -> None:
    assert api.get("/api/health/ready/").json() == {"status": "ok", "checks": WELL}


def test_a_document_without_an_index_is_named(site: Site, api: APIClient) -> None:
    Deployment.objects.filter(document="course").delete()
    body = assert_problem(api.get("/api/health/ready/"), 503, "not_ready")
    expected = {**WELL, "index course": "not_built"}
    del expected["encoder course"]
    assert body["checks"] == expected
    assert "course" in body["detail"]


def test_an_engine_that_is_away_is_named_without_its_path_and_visitors_are_still_welcome(
    site: Site, api: APIClient, settings: Any, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    settings.LLMREC = {**settings.LLMREC, "DATA_DIR": str(blocked)}
    response = api.get("/api/health/ready/")
    assert response.status_code == 200
    assert response.json() == {"status": "degraded", "checks": {**WELL, "engine": "backend_unavailable"}}
    assert str(tmp_path) not in response.content.decode()
    assert api.get("/api/search/?q=kettle&document=product").json()["degraded"] == ["engine"]


def test_an_engine_that_is_set_up_wrongly_is_not_ready(site: Site, api: APIClient, settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "BACKEND_OPTIONS": {"colour": "red"}}
    body = assert_problem(api.get("/api/health/ready/"), 503, "not_ready")
    assert body["checks"]["engine"] != "ok"


def test_a_database_that_is_away_is_named(api: APIClient, db: None) -> None:
    def away(*arguments: object) -> None:
        raise DatabaseError("could not connect to 10.0.0.1")

    with connection.execute_wrapper(away):
        response = api.get("/api/health/ready/")
    assert assert_problem(response, 503, "not_ready")["checks"] == {"database": "unavailable"}
    assert "10.0.0.1" not in response.content.decode()


def test_staff_see_what_is_wrong(site: Site, api: APIClient, settings: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    settings.LLMREC = {**settings.LLMREC, "DATA_DIR": str(blocked)}
    api.force_login(User.objects.create_user("editor", is_staff=True))
    details = api.get("/api/health/ready/").json()["details"]
    assert list(details) == ["engine"]
    assert "BackendUnavailable" in details["engine"]
    api.force_login(User.objects.create_user("customer"))
    assert "details" not in api.get("/api/health/ready/").json()


def test_nobody_is_logged_in_for_a_health_check(site: Site, api: APIClient) -> None:
    assert api.get("/api/health/ready/", headers={"Authorization": "Basic broken"}).status_code == 200


def test_an_encoder_that_failed_is_told_until_it_works_again(
    site: Site, api: APIClient, settings: Any
) -> None:
    version = IndexVersion.objects.get(document="product")
    broken = IndexVersion.objects.get(document="product")
    broken.encoder_name, broken.encoder_options = "tests.no_such_encoder", {}
    query_embeddings.encode_query("a query that nobody else asks", version=broken)
    checks = api.get("/api/health/ready/").json()["checks"]
    assert checks["encoder product"] == "encoder_unavailable"
    settings.LLMREC = {**settings.LLMREC}  # nothing but time makes the pause end sooner
    caches.write(query_embeddings._pause_key(version), 1, seconds=0)
    assert query_embeddings.encode_query("another query that nobody else asks", version=version) is not None
    assert api.get("/api/health/ready/").json()["checks"] == WELL


class TestBacklog:
    @pytest.fixture(autouse=True)
    def old_entry(self, site: Site) -> None:
        OutboxEntry.objects.create(document="product", item_id=site.key("Candle"))
        OutboxEntry.objects.update(created_at=timezone.now() - timedelta(minutes=10))
        IndexBatch.objects.all().delete()

    def checks(self, api: APIClient) -> dict[str, str]:
        response = api.get("/api/health/ready/")
        assert response.status_code == 200
        checks: dict[str, str] = response.json()["checks"]
        return checks

    def test_a_change_that_nobody_indexes_is_late(self, api: APIClient) -> None:
        assert self.checks(api) == {**WELL, "backlog product": "late"}

    def test_what_fails_is_told_apart(self, api: APIClient) -> None:
        OutboxEntry.objects.update(attempts=1, not_before=timezone.now() + timedelta(hours=1))
        assert self.checks(api) == {**WELL, "backlog product": "failing"}

    def test_a_build_may_take_its_time(self, api: APIClient) -> None:
        OutboxEntry.objects.update(index_version=IndexVersion.objects.get(document="product"))
        assert self.checks(api) == WELL

    def test_where_tasks_go_to_workers_a_silent_one_is_told(self, api: APIClient, settings: Any) -> None:
        settings.LLMREC = {**settings.LLMREC, "TASKS": "celery"}
        checks = self.checks(api)
        assert checks["workers"] == "silent"
        IndexBatch.objects.create()
        assert self.checks(api)["workers"] == "ok"
        assert "broker" in checks


def test_a_cache_that_says_nothing_holds_up_no_answer(site: Site, frozen_redis: Server) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": frozen_redis.url}}):
        started = time.monotonic()
        first = {part.name: part.code for part in health.services()}
        again = {part.name: part.code for part in health.services()}
        took = time.monotonic() - started
    assert first == again == {"cache": "timeout"}
    assert took < 20, "the second answer need not wait, as the first question is still open"
