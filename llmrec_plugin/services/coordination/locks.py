"""Locks in the database that end by themselves: one build, audit or training of a name at a time.

A cache is no place for them: the local-memory cache excludes no other process.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta

from django.db import DatabaseError, connections
from django.db.models import F, Q
from django.utils import timezone

from llmrec_plugin import processes
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import LeaseLost
from llmrec_plugin.models import Lease

logger = logging.getLogger(__name__)

BEATS_PER_TERM = 4
AHEAD = timedelta(hours=1)
"""How far ahead another machine's clock may be for its locks to hold; beyond, they count as left behind."""
IN_USE = 75
"""Exit status of a command that found its work being done by another process (EX_TEMPFAIL of sysexits.h)."""


class HeldLease:
    """A lock that is held; long work calls `beat` at every step."""

    def __init__(self, *, name: str, owner: str, fence: int, now: datetime) -> None:
        self.name = name
        self.owner = owner
        self.fence = fence
        """Grows with every owner: what carries a smaller one comes from somebody who lost the lock."""
        self._beat_at = now

    def beat(self) -> None:
        """Sign of life, written a few times per term at most; raises LeaseLost if another holds the lock."""
        now = timezone.now()
        if now - self._beat_at < duration() / BEATS_PER_TERM:
            return
        held = Lease.objects.filter(name=self.name, owner=self.owner, fence=self.fence)
        if not held.update(until=now + duration()):
            raise LeaseLost(f'The lock "{self.name}" went to another process, which goes on with the work.')
        self._beat_at = now


@contextmanager
def hold(name: str, *, heartbeat: bool = False) -> Iterator[HeldLease]:
    """Hold the lock of that name, or raise LeaseLost that says who does.

    With `heartbeat` a thread gives the signs of life, for work whose steps may outlast the lease.
    """
    owner = new_owner()
    fence, now = _acquire(name, owner)
    lease = HeldLease(name=name, owner=owner, fence=fence, now=now)
    try:
        with heartbeat_thread(lease.beat, name) if heartbeat else nullcontext():
            yield lease
    finally:
        Lease.objects.filter(name=name, owner=owner).update(owner="", until=None)


@contextmanager
def heartbeat_thread(beat: Callable[[], object], name: str) -> Iterator[None]:
    """Have a thread give signs of life a few times per term; `beat` raises LeaseLost when that is in vain."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(duration().total_seconds() / BEATS_PER_TERM):
            try:
                beat()
            except LeaseLost:  # the work itself finds out when it stores what it came to
                return
            except DatabaseError as error:
                logger.warning("no sign of life lease=%s error=%s", name, type(error).__name__)
            finally:
                connections.close_all()

    thread = threading.Thread(target=work, name=f"llmrec-lease-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_held(name: str) -> bool:
    """Whether somebody who is not known to be dead holds the lock."""
    now = timezone.now()
    lease = Lease.objects.filter(name=name).exclude(ended("until", now, longest=duration())).first()
    return lease is not None and not is_dead(lease.owner)


def ended(field: str, now: datetime, *, longest: timedelta) -> Q:
    """What is free by now: never held, past its time, or said to be held for longer than `longest` and AHEAD
    from now on, which only a clock can have said that was ahead."""
    return Q(**{field: None}) | Q(**{f"{field}__lt": now}) | Q(**{f"{field}__gt": now + longest + AHEAD})


def _acquire(name: str, owner: str) -> tuple[int, datetime]:
    now = timezone.now()
    Lease.objects.get_or_create(name=name)
    free = ended("until", now, longest=duration())
    taken = Lease.objects.filter(free, name=name).update(
        owner=owner, until=now + duration(), fence=F("fence") + 1
    )
    if not taken:
        other = Lease.objects.get(name=name)
        taken = is_dead(other.owner) and Lease.objects.filter(name=name, owner=other.owner).update(
            owner=owner, until=now + duration(), fence=F("fence") + 1
        )
        if not taken:
            raise LeaseLost(
                f'"{name}" is being done by {other.owner or "another process"} until {other.until} at the '
                "latest; wait for it, or stop it."
            )
    return Lease.objects.get(name=name).fence, now


def duration() -> timedelta:
    return timedelta(seconds=get_settings().LIMITS.lease_seconds)


def new_owner() -> str:
    """A name for one claim by this process, at most 64 characters."""
    return own_prefix() + secrets.token_hex(4)


def own_prefix() -> str:
    """What the names of all claims by this process begin with."""
    return prefix_of(os.getpid())


def prefix_of(pid: int) -> str:
    """The same for another process of this machine."""
    return f"{processes.machine()}:{pid}:"


def is_dead(owner: str) -> bool:
    """The owner was a process of this machine and is no more; of other machines nothing is known."""
    machine, _, rest = owner.rpartition(":")[0].rpartition(":")
    return machine == processes.machine() and rest.isdigit() and processes.has_ended(int(rest))
