"""The services as Celery tasks: labels as arguments, one call each, no logic.

A task is acknowledged when it is done, so one whose process dies is done by another. That is safe for each of
them: they continue, repeat without harm, or find the lock of one that is still at work and leave it alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from billiard.process import current_process
from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connections

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LeaseLost
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import task_debounce
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.indexing import index_mending, outbox, vector_refill
from llmrec_plugin.services.interactions import site_sources, source_changes
from llmrec_plugin.services.privacy import derived_data, retention
from llmrec_plugin.services.profiles import refresh
from llmrec_plugin.services.reporting import daily_statistics
from llmrec_plugin.services.search import popular_queries
from llmrec_plugin.services.search_quality import judgments, synonym_mining
from llmrec_plugin.services.training import drift, runs

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task

TURN, TURN_OF_USERS = 20.0, 2.0
"""Seconds after which work that never ends on a busy site lets other tasks have their turn; items that were
saved should not wait for users."""
SHORT, LONG = 15 * 60, 12 * 3600
"""Seconds that a task may take at most."""
SOFT_LIMIT: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""Sent by Celery's worker; there is none on Windows."""
TIDY_UP = 60
"""Seconds from the soft limit, an exception that releases claims, to the hard one, the end of the process."""


class Work(BaseTask):
    """A task that its worker may end at any moment: on SIGTERM it gives back what it has claimed."""

    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    soft_time_limit = SHORT
    time_limit = SHORT + TIDY_UP

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with _ended_by_signals():
                return super().__call__(*args, **kwargs)
        except _TimeIsUp:
            raise SoftTimeLimitExceeded(f"{self.name} gave back what it was at.") from None


class _TimeIsUp(BaseException):
    """The soft limit, past all that catches errors of engines, encoders and the site's own code."""


class LongWork(Work):
    """Its message may come back while it runs; a lock of the database then keeps the second one out."""

    soft_time_limit = LONG
    time_limit = LONG + TIDY_UP
    throws = (LeaseLost,)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """In a child of Celery's worker: what ends a task passes by all that catches errors, and gives back what
    the process has claimed, even if it comes between a claim and the code that knows of it."""
    if not current_process().daemon or threading.current_thread() is not threading.main_thread():
        yield
        return
    # Of the pool's own handlers, that of SIGTERM raises SystemExit as well; older ones had none.
    replaced = {SOFT_LIMIT: signal.getsignal(SOFT_LIMIT)} if SOFT_LIMIT else {}
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        replaced[signal.SIGTERM] = signal.SIG_DFL
    for number in replaced:
        signal.signal(number, _end)
    try:
        yield
    except (SystemExit, _TimeIsUp):
        _connect_anew()
        with suppress(DatabaseError):
            outbox.release_own()
        raise
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _connect_anew() -> None:
    """A signal between the begin of a transaction and Django's knowing of it leaves one open that nothing
    ends: whatever is written from then on would be lost."""
    for connection in connections.all(initialized_only=True):
        with suppress(Exception):  # the driver's own errors; a connection that is broken is as good as closed
            if connection.connection is not None:
                connection.connection.close()
        del connections[connection.alias]


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise _TimeIsUp if number == SOFT_LIMIT else SystemExit(128 + number)


def send_once(task: BaseTask, *, countdown: float = 0.0) -> None:
    """Have the task done by any worker, unless a message for it is under way already."""
    if task_debounce.reserve(task.name, countdown=countdown):
        task.apply_async(countdown=countdown)


@shared_task(name="llmrec_plugin.drain_outbox", base=Work)
def drain_outbox() -> None:
    """Index what changed; once an hour, also drop what was replaced long ago."""
    task_debounce.started(drain_outbox.name)
    if outbox.has_due(beyond=get_settings().LIMITS.drain_batch) and not drain_outbox.request.is_eager:
        send_once(drain_outbox)  # for another worker that has nothing to do
    indexing.drain(seconds=TURN)
    if outbox.has_due():
        send_once(drain_outbox)
    elif outbox.is_due_soon() and not drain_outbox.request.is_eager:
        send_once(drain_outbox, countdown=outbox.SECOND_LOOK.total_seconds())
    retirement.sweep_if_due()


@shared_task(name="llmrec_plugin.build_index", base=LongWork, bind=True, ignore_result=False, max_retries=3)
def build_index(self: LongWork, label: str) -> str:
    """Returns the name of the index that answers now. A worker that died holds its lock a little longer."""
    try:
        return indexing.build(label, by="task").index_version.name
    except LeaseLost as error:
        raise self.retry(exc=error, countdown=get_settings().LIMITS.lease_seconds) from error


@shared_task(name="llmrec_plugin.audit_index", base=LongWork, ignore_result=False)
def audit_index(label: str) -> dict[str, Any]:
    """Find and mend differences between the site and its indexes."""
    return asdict(indexing.audit(label, repair=True))


@shared_task(name="llmrec_plugin.audit_indexes", base=Work)
def audit_indexes() -> None:
    """Find and mend differences of every document, and of the events that rows of the site tell."""
    for label in registry.labels():
        audit_index.delay(label)
    for source in registry.interaction_sources:
        reconcile_source.delay(source.label)


@shared_task(name="llmrec_plugin.mend_indexes", base=LongWork)
def mend_indexes() -> None:
    """Build anew what is live and gone or damaged, and drop former indexes that are."""
    index_mending.mend_all()


@shared_task(name="llmrec_plugin.refill_lost", base=LongWork)
def refill_lost() -> None:
    """Put back what the site's own writes took from the indexes that documents are attached to."""
    vector_refill.refill_lost()


@shared_task(name="llmrec_plugin.follow_sources", base=Work)
def follow_sources() -> None:
    """Make events equal to the rows of the site that tell them, where those changed."""
    task_debounce.started(follow_sources.name)
    site_sources.drain(seconds=TURN)
    if source_changes.due().exists():
        send_once(follow_sources)


@shared_task(name="llmrec_plugin.reconcile_source", base=LongWork, ignore_result=False)
def reconcile_source(label: str) -> dict[str, Any]:
    """Make the events of one interaction source equal to all of its rows, both ways."""
    return asdict(site_sources.reconcile(source_changes.source_of(label)))


@shared_task(name="llmrec_plugin.refresh_profiles", base=Work)
def refresh_profiles() -> None:
    """Encode what users say about themselves, and cache the tastes of those who did something."""
    task_debounce.started(refresh_profiles.name)
    refresh.refresh(seconds=TURN_OF_USERS)
    if derived_data.are_marked():
        send_once(refresh_profiles)


@shared_task(name="llmrec_plugin.fit_model", base=Work, ignore_result=False)
def fit_model(label: str, reason: str = "") -> int:
    """Learn anew from the interactions, in a process of its own; returns its id, 0: one is at it already."""
    return runs.start([label], by="task", reason=reason)


@shared_task(name="llmrec_plugin.fit_models", base=Work, ignore_result=False)
def fit_models() -> int:
    """Learn anew, one after the other, for every document that enough happened with since."""
    return runs.start_due(by="schedule")


@shared_task(name="llmrec_plugin.measure_drift", base=LongWork, ignore_result=False)
def measure_drift() -> int:
    """Compare what people do now with what was learned; where it differs too much, learn anew at once."""
    drift.measure_all()
    return runs.start_due(by="drift", only_drifted=True)


@shared_task(name="llmrec_plugin.count_queries", base=Work, ignore_result=False)
def count_queries() -> dict[str, int]:
    """Count what many visitors search for, to suggest it to others."""
    return popular_queries.count_queries()


@shared_task(name="llmrec_plugin.suggest_synonyms", base=LongWork, ignore_result=False)
def suggest_synonyms() -> dict[str, int]:
    """Look for words that visitors use for the same thing, for editors to decide on."""
    return synonym_mining.suggest_all()


@shared_task(name="llmrec_plugin.measure_search", base=LongWork, ignore_result=False)
def measure_search() -> int:
    """Put on record how well search answers the judged queries; returns for how many documents."""
    return judgments.measure_all()


@shared_task(name="llmrec_plugin.keep_list_sums", base=Work)
def keep_list_sums() -> None:
    """Sum up what the lists of each day led to, before somebody opens the dashboard."""
    daily_statistics.keep_all()


@shared_task(name="llmrec_plugin.apply_retention", base=Work, ignore_result=False)
def apply_retention() -> dict[str, Any]:
    """Delete events that are older than the site keeps them."""
    return asdict(retention.apply_retention())
