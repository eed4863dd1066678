"""A save with LLMREC["TASKS"] = "django" and the backends that Django brings; `make matrix` adds a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.test import override_settings

from llmrec_plugin import extras
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services.indexing.index_build import build
from tests.hostapp.models import Product
from tests.support.indexed import found, waiting
from tests.support.responses import respond

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not extras.has_django_tasks(), reason="This Django has no tasks, and django-tasks is not there."
    ),
]
PACKAGE = "django.tasks" if find_spec("django.tasks") else "django_tasks"
if PACKAGE == "django_tasks" and extras.has_django_tasks():
    import_module("django_tasks.signals")  # as its app does: it follows the settings


@contextmanager
def done_by(backend: str) -> Iterator[None]:
    tasks = {"default": {"BACKEND": f"{PACKAGE}.backends.{backend}"}}
    with override_settings(TASKS=tasks, LLMREC={**django_settings.LLMREC, "TASKS": "django"}):
        yield


def enqueued() -> list[Any]:
    """What waits in Django's dummy backend."""
    from llmrec_plugin.django_tasks import drain_outbox

    return list(drain_outbox.get_backend().results)


def test_a_backend_that_works_at_once_has_a_save_found_once_the_response_is_out() -> None:
    build("product")
    with done_by("immediate.ImmediateBackend"):
        with transaction.atomic():
            lamp = Product.objects.create(title="Lamp")
        assert waiting("product") == [str(lamp.pk)]
        respond()
    assert found("product", "lamp") == {str(lamp.pk)}


def test_many_saves_ask_for_one_task_until_it_begins() -> None:
    build("product")
    with done_by("dummy.DummyBackend"):
        keys = [str(Product.objects.create(title=f"Lamp {number}").pk) for number in range(5)]
        respond()
        (task,) = enqueued()
        assert waiting("product") == sorted(keys)
        task.task.call()
        assert found("product", "lamp") == set(keys)
        Product.objects.create(title="Torch")
        respond()
        assert len(enqueued()) == 2


def test_a_queue_that_cannot_be_reached_fails_no_save(caplog: pytest.LogCaptureFixture) -> None:
    build("product")
    with done_by("no.such_backend"):
        lamp = Product.objects.create(title="Lamp")
        respond()
    assert waiting("product") == [str(lamp.pk)]
    assert "a task cannot be enqueued task=drain_outbox" in caplog.text
    with done_by("immediate.ImmediateBackend"):
        Product.objects.create(title="Torch")
        respond()
    assert found("product", "lamp") == {str(lamp.pk)}
    assert not OutboxEntry.objects.exists()
