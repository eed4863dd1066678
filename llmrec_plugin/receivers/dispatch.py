"""Has the backlog drained by whoever LLMREC["TASKS"] names, so that nothing that fails can fail a save."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from llmrec_plugin.conf import get_settings
from llmrec_plugin.logs import origin
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import task_debounce

logger = logging.getLogger("llmrec_plugin.receivers")
DISPATCH_DELAY = 0.5
"""Seconds that a task waits for further changes: no second one is sent until it begins."""
BROKER_TIMEOUT = 0.5
BROKER_PAUSE = 30.0
"""Seconds without an attempt after the broker did not answer; what waits is left to the schedule."""


def dispatch(**kwargs: object) -> None:
    """Have the backlog drained, where LLMREC["TASKS"] says."""
    place = get_settings().tasks_run_in
    if place == "process":
        _drain_here()
    elif place == "celery":
        from llmrec_plugin.celery_tasks import drain_outbox

        send(drain_outbox)
    elif place == "django":
        enqueue("drain_outbox")


_here = threading.local()


def _drain_here() -> None:
    if getattr(_here, "draining", False):  # a save from within `prepare`
        return
    _here.draining = True
    try:
        indexing.drain()
    except Exception as error:  # the change is saved and waits in the backlog
        logger.error("draining failed error=%s at=%s", type(error).__name__, origin(error))
    finally:
        _here.draining = False


def enqueue(name: str) -> None:
    """Have a task of Django done. What changed is in the backlog: the next change tries again."""
    try:
        from llmrec_plugin import django_tasks

        django_tasks.enqueue(name)
    except Exception as error:  # settings.TASKS names none, or whatever its backend raises
        logger.warning("a task cannot be enqueued task=%s error=%s", name, type(error).__name__)


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


def send(task: Any) -> None:
    """One task for all changes until it begins; a broker that is down costs a moment, once in a while."""
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
