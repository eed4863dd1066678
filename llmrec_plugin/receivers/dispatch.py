"""Has the backlog drained by whoever LLMREC["TASKS"] names; nothing that fails or is slow then is the save's.

All of it comes after the commit, and none of it is done by the thread that saves before its response is out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llmrec_plugin.conf import get_settings
from llmrec_plugin.receivers import after_response
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import locks, task_debounce
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.interactions import site_sources, source_changes
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.services.profiles import refresh

logger = logging.getLogger("llmrec_plugin.receivers")
DISPATCH_DELAY = 0.5
"""Seconds that a task waits for further changes: no second one is sent until it begins."""
SOURCES_TURN = 1.0
"""Seconds that following events takes at a time, where the process does it itself."""
BROKER_TIMEOUT = 0.5
BROKER_PAUSE = 30.0
"""Seconds without an attempt after the broker did not answer; what waits is left to the schedule."""


def dispatch(**kwargs: object) -> None:
    """Have the backlog drained, where LLMREC["TASKS"] says."""
    have_done("drain_outbox")


def have_done(task: str) -> None:
    """Have the task of that name done, where LLMREC["TASKS"] says."""
    place = get_settings().tasks_run_in
    if place == "process":
        after_response.work.ask_for(*_OWN[task])
    elif place == "celery":
        after_response.messages.ask_for(task, partial(_send, task))
    elif place == "django":
        after_response.messages.ask_for(task, partial(_enqueue, task))


def _drain() -> bool:
    indexing.drain(seconds=0.0)  # one batch, so that a process that ends waits for no more
    return outbox.has_due()


def _refresh() -> bool:
    refresh.refresh(seconds=0.0)
    return derived_data.are_marked()


def _follow() -> bool:
    site_sources.drain(seconds=SOURCES_TURN)
    return source_changes.due().exists() and not locks.is_held(site_sources.LOCK)


_OWN: Mapping[str, tuple[str, Callable[[], bool]]] = {
    "follow_sources": ("following events", _follow),
    "drain_outbox": ("draining", _drain),
    "refresh_profiles": ("refreshing users", _refresh),
}


def _enqueue(task: str) -> bool:
    """A task of Django. One whose backend works at once is done by this process, as any other of its work."""
    try:
        from llmrec_plugin import django_tasks

        if django_tasks.works_at_once():
            after_response.work.ask_for(*_OWN[task])
        else:
            django_tasks.enqueue(task)
    except Exception as error:  # settings.TASKS names none, or whatever its backend raises
        logger.warning("a task cannot be enqueued task=%s error=%s", task, type(error).__name__)
    return False


class _Pause:
    """Until when this process sends no task, since the broker does not answer."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def end(self) -> None:
        self._until = 0.0


pause = _Pause()


def _send(name: str) -> bool:
    from llmrec_plugin import celery_tasks

    send(getattr(celery_tasks, name))
    return False


def send(task: Any) -> None:
    """One message for all changes until its task begins; a broker that is down is left alone for a while."""
    if pause.is_on() or not task_debounce.reserve(task.name, countdown=DISPATCH_DELAY):
        return
    from celery import current_app

    options = {
        **current_app.conf.broker_transport_options,
        "max_retries": 0,
        "socket_connect_timeout": BROKER_TIMEOUT,
        "socket_timeout": BROKER_TIMEOUT,
    }
    try:
        with current_app.connection_for_write(
            connect_timeout=BROKER_TIMEOUT, transport_options=options
        ) as broker:
            task.apply_async(countdown=DISPATCH_DELAY, retry=False, connection=broker)
    except Exception as error:  # whatever the transport raises: the backlog is drained by the schedule
        pause.begin(BROKER_PAUSE)
        task_debounce.started(task.name)
        logger.warning("broker does not answer error=%s", type(error).__name__)
