"""A clock that was ahead leaves times of days to come: what they hold up is free within the hour."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from llmrec_plugin.exceptions import LeaseLost
from llmrec_plugin.models import Lease, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import locks, task_debounce
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.shortcuts import search
from tests.hostapp.models import Product

pytestmark = pytest.mark.django_db

DAYS = timedelta(days=3)
ELSEWHERE = "another machine:17:0a"


@pytest.fixture
def later() -> datetime:
    return timezone.now() + DAYS


def test_a_lock_of_days_to_come_can_be_taken(later: datetime) -> None:
    Lease.objects.create(name="build:product", owner=ELSEWHERE, until=later, fence=5)
    assert not locks.is_held("build:product")
    with locks.hold("build:product") as lease:
        assert lease.fence == 6


def test_one_of_a_clock_that_is_a_little_ahead_holds() -> None:
    until = timezone.now() + locks.duration() + timedelta(minutes=10)
    Lease.objects.create(name="build:product", owner=ELSEWHERE, until=until)
    assert locks.is_held("build:product")
    with pytest.raises(LeaseLost), locks.hold("build:product"):
        pass


def test_changes_that_were_claimed_or_put_off_until_then_are_indexed(later: datetime) -> None:
    indexing.build("product")
    for title in ("claimed", "put off"):
        Product.objects.create(title=title)
    entries = OutboxEntry.objects.order_by("pk")
    first, second = entries
    entries.filter(pk=first.pk).update(lease_owner=ELSEWHERE, lease_until=later)
    entries.filter(pk=second.pk).update(not_before=later, attempts=F("attempts") + 1)
    assert outbox.has_due(beyond=1)
    assert indexing.drain().written == 2
    assert {item.title for item in search(Product, "claimed put off")} == {"claimed", "put off"}


def test_messages_are_sent_and_what_is_old_is_swept_all_the_same(later: datetime) -> None:
    for name in ("message:llmrec_plugin.drain_outbox", "sweep"):
        Lease.objects.create(name=name, until=later)
    assert task_debounce.reserve("llmrec_plugin.drain_outbox")
    assert not task_debounce.reserve("llmrec_plugin.drain_outbox")
    retirement.sweep_if_due()
    assert Lease.objects.filter(name="sweep", until__lt=later).exists()
