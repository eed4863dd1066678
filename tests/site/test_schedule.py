"""When beat sends what, and that what it sends is a task of a queue that a worker takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.schedules import crontab, schedule
from django.conf import settings as django_settings
from django.contrib import admin
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from llmrec_plugin import celery_tasks as tasks
from llmrec_plugin.checks import check_settings
from llmrec_plugin.conf import Schedule, get_settings
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.schedule import beat_schedule, task_routes


def planned(**changes: Any) -> dict[str, dict[str, Any]]:
    with override_settings(LLMREC={**django_settings.LLMREC, "SCHEDULE": changes}):
        return beat_schedule()


def test_every_default_is_a_task_that_exists() -> None:
    entries = planned()
    assert len(entries) == len(fields(Schedule))
    for entry in entries.values():
        assert entry["task"] in current_app.tasks


def test_a_site_sets_seconds_a_time_of_day_or_a_schedule_of_celery() -> None:
    entries = planned(drain_outbox=5, audit_indexes="0 2 * * 1", fit_models=crontab(hour=1, minute=0))
    assert entries["llmrec: drain_outbox"]["schedule"] == schedule(timedelta(seconds=5))
    assert entries["llmrec: audit_indexes"]["schedule"] == crontab("0", "2", "1")
    assert entries["llmrec: fit_models"]["schedule"] == crontab(hour=1, minute=0)


def test_none_switches_a_task_off() -> None:
    assert "llmrec: fit_models" not in planned(fit_models=None)


def test_messages_that_no_worker_took_do_not_pile_up() -> None:
    assert planned(drain_outbox=5)["llmrec: drain_outbox"]["options"] == {"expires": 5}
    assert planned()["llmrec: audit_indexes"]["options"] == {"expires": 3600}


def test_an_unknown_task_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r'"drain"\] is unknown\. Did you mean "drain_outbox"'):
        planned(drain=5)


@pytest.mark.parametrize("when", [0, -1, True])
def test_seconds_are_above_zero(when: object) -> None:
    with pytest.raises(ConfigurationError, match="drain_outbox"):
        planned(drain_outbox=when)


@pytest.mark.parametrize("when", ["at night", "61 2 * * *", "0 2 * *", object()])
def test_a_time_that_cannot_be_read_is_an_error_of_the_system_check(when: object) -> None:
    with pytest.raises(ConfigurationError, match='"audit_indexes"'):
        planned(audit_indexes=when)
    with override_settings(LLMREC={**django_settings.LLMREC, "SCHEDULE": {"audit_indexes": when}}):
        assert [message.id for message in check_settings()] == ["llmrec_plugin.E005"]


@pytest.fixture
def registered() -> Iterator[None]:
    """What an app adds to the admin when it is installed stays there: the pages of later tests would ask for
    an app that is gone."""
    before = set(admin.site._registry)
    yield
    for model in set(admin.site._registry) - before:
        admin.site.unregister(model)


@pytest.mark.usefixtures("registered")
def test_where_rows_hold_the_schedule_the_app_gets_none() -> None:
    pytest.importorskip("django_celery_beat", reason="of it no release takes this Django")
    with override_settings(INSTALLED_APPS=[*django_settings.INSTALLED_APPS, "django_celery_beat"]):
        assert beat_schedule() == {}


def test_without_rows_there_is_nothing_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("llmrec", "schedule")
    assert "llmrec: drain_outbox: <freq: 30.00 seconds>" in capsys.readouterr().out
    with pytest.raises(CommandError, match="INSTALLED_APPS"):
        call_command("llmrec", "schedule", "--write")


def test_every_task_goes_to_one_of_three_queues_and_is_done_again_if_its_process_dies() -> None:
    own = {name: task for name, task in current_app.tasks.items() if name.startswith("llmrec_plugin.")}
    assert set(task_routes()) - {"llmrec_plugin.*"} <= set(own)
    assert {route["queue"] for route in task_routes().values()} == {"index", "train", "default"}
    for task in own.values():
        assert isinstance(task, tasks.Work)
        assert task.acks_late
        assert task.reject_on_worker_lost
        assert task.soft_time_limit < task.time_limit


def test_all_but_the_locked_tasks_end_before_redis_hands_their_message_out_again() -> None:
    from project.settings import CELERY_BROKER_TRANSPORT_OPTIONS

    assert tasks.Work.time_limit < CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert tasks.Work.time_limit > get_settings().LIMITS.lease_seconds
