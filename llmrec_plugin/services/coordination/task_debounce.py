"""One message at a time: none is sent for a backlog while one is under way that will have it looked at.

A row of the database tells, since a cache may be any process's own. The task clears it as it begins and
before it looks: what was committed earlier it sees, and what is committed later sends the next message.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import router
from django.utils import timezone

from llmrec_plugin.models import Lease
from llmrec_plugin.services.coordination import locks

LOST_AFTER = timedelta(seconds=30)
"""From when on a message that no task has begun with counts as lost: by then the schedule looks, too."""


def reserve(task: str, *, countdown: float = 0.0) -> bool:
    """Whether the caller is to send the message, which begins after `countdown` seconds at the earliest;
    False, after one short query: one is under way."""
    now = timezone.now()
    row = Lease.objects.using(router.db_for_write(Lease)).filter(name=_row(task))  # a replica may lag behind
    longest = LOST_AFTER + timedelta(seconds=countdown)
    free = locks.ended("until", now, longest=longest)
    if row.exclude(free).exists():
        return False
    lost_at = now + longest
    if row.filter(free).update(until=lost_at):
        return True
    return Lease.objects.get_or_create(name=_row(task), defaults={"until": lost_at})[1]


def started(task: str) -> None:
    """The message has arrived, or could not be sent: the next change sends another."""
    Lease.objects.filter(name=_row(task), until__isnull=False).update(until=None)


def _row(task: str) -> str:
    return f"message:{task}"
