"""What is live, what waits and what is ill."""

from __future__ import annotations

import time
from datetime import timedelta
from unittest.mock import ANY

import pytest
from celery import current_app
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import IndexVersion, ModelVersion, OutboxEntry
from llmrec_plugin.services import indexing, privacy
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.monitoring import health, status
from llmrec_plugin.services.monitoring.status import DocumentStatus
from llmrec_plugin.services.training import model_fit
from tests.hostapp.models import Course
from tests.support.servers import Server, redis
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db


def of(label: str) -> DocumentStatus:
    return next(document for document in status.collect().documents if document.label == label)


def everything() -> None:
    open_shop(copies=1)
    Course.objects.create(title="Algebra", body="Groups and rings")
    build("course")
    indexing.drain()


def test_a_built_site_is_healthy(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    everything()
    with django_assert_max_num_queries(8):
        current = status.collect()
    assert current.healthy
    assert current.ready
    product = of("product")
    assert (product.items, product.backlog, product.failing, product.stale) == (15, 0, 0, ())
    assert product.index_version == IndexVersion.objects.get(document="product").name
    assert product.lag_seconds == 0.0
    text = "\n".join(current.lines())
    assert "product" in text
    assert "15 items" in text


def test_a_document_without_an_index_says_what_to_do() -> None:
    current = status.collect()
    assert not current.ready
    assert "llmrec build" in of("product").ills[0]
    assert "llmrec build" in "\n".join(current.lines())


def test_the_backlog_is_counted_with_its_age_and_failures() -> None:
    everything()
    OutboxEntry.objects.create(document="product", item_id="1")
    OutboxEntry.objects.create(document="product", item_id="2", attempts=2, last_error="boom")
    OutboxEntry.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    product = of("product")
    assert (product.backlog, product.failing) == (2, 1)
    assert product.lag_seconds == pytest.approx(300, abs=30)
    assert "1 item fails" in product.ills[0]
    current = status.collect()
    assert current.ready
    assert not current.healthy
    assert "backlog: 2" in "\n".join(current.lines())


def test_an_index_that_differs_from_the_settings_is_stale() -> None:
    everything()
    options = {**settings.LLMREC, "ENCODER_OPTIONS": {"dimensions": 32}}
    with override_settings(LLMREC=options):
        assert of("product").stale == ("encoder",)
    IndexVersion.objects.filter(document="product").update(
        analysis_id="old", schema={"text_fields": ["title"], "filters": {}}
    )
    assert of("product").stale == ("text analysis", "fields")
    assert not status.collect().healthy


def test_an_engine_that_is_down_is_told_and_nothing_else_fails() -> None:
    everything()
    with override_settings(LLMREC={**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"}):
        current = status.collect()
    assert not current.ready
    assert "does not answer" in current.backend_error
    assert [document.items for document in current.documents] == [None, None]


def test_a_version_under_construction_is_named() -> None:
    everything()
    IndexVersion.objects.create(
        document="product",
        name="llmrec_next",
        encoder_name="x",
        encoder_id="x",
        dimensions=3,
        analysis_id="x",
        schema={"text_fields": [], "filters": {}},
    )
    assert of("product").building == "llmrec_next"
    assert "llmrec_next" in "\n".join(status.collect().lines())


def test_a_model_that_knew_an_erased_user_is_due_for_training() -> None:
    products = open_shop(copies=1)
    did("7", "purchase", products.values())
    version = model_fit.fit("product")
    assert of("product").model_version == version.pk
    assert not of("product").retraining_due
    privacy.erase_user("7")
    assert of("product").retraining_due
    assert any("llmrec train" in ill for ill in of("product").ills)
    assert report_of(ModelVersion.objects.get()).erased == 1


def test_switched_off_is_said() -> None:
    everything()
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        current = status.collect()
        assert not current.enabled
        assert "ENABLED" in "\n".join(current.lines())


def test_an_index_that_the_engine_lost_has_no_count() -> None:
    everything()
    IndexVersion.objects.filter(document="product").update(name="llmrec_gone")
    assert of("product").items is None


def test_a_trained_model_is_shown_with_its_age() -> None:
    open_shop(copies=1)
    version = model_fit.fit("product")
    assert f"model version {version.pk} of" in "\n".join(status.collect().lines())


def test_a_site_without_documents_is_told_how_to_begin() -> None:
    current = status.Status(enabled=True, backend="x", backend_error="", documents=())
    assert "search_documents.py" in "\n".join(current.lines())


def test_a_frozen_broker_and_cache_are_told_in_seconds(
    frozen_redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything()
    monkeypatch.setattr(current_app.conf, "broker_url", frozen_redis.url)
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": frozen_redis.url}
    started = time.monotonic()
    with override_settings(CACHES={"default": cache}, LLMREC={**settings.LLMREC, "TASKS": "celery"}):
        current = status.collect()
    assert time.monotonic() - started < 30
    assert {part.name: part.code for part in current.services} == {"broker": ANY, "cache": "timeout"}
    assert all(part.code != health.OK for part in current.services)
    assert current.workers == ()
    assert current.ready
    assert not current.healthy
    text = "\n".join(current.lines())
    assert "! cache: " in text
    assert "! broker: " in text
    assert "No worker answers" in text
    assert "15 items" in text


def test_a_broker_that_answers_without_workers_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", redis().url)
    with override_settings(LLMREC={**settings.LLMREC, "TASKS": "celery"}):
        current = status.collect()
    assert [(part.name, part.code) for part in current.services] == [("cache", "ok"), ("broker", "ok")]
    assert current.workers == ()
    assert "broker: works" in "\n".join(current.lines())
