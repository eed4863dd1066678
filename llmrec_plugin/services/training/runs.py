"""Runs trainings as a site needs them: when one is due, one at a time, each with its outcome on record.

What is learned and how is `services.training`; here is what happens around it, whichever way it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings as django_settings
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from llmrec_plugin import moments
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import ConfigurationError, LeaseLost, LlmrecError, TrainingStopped
from llmrec_plugin.logs import origin
from llmrec_plugin.models import DriftReport, Interaction, ModelVersion, TrainingRun, own
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.live import LivePair, find_live_pair
from llmrec_plugin.services.model_registry import retention
from llmrec_plugin.services.model_registry.training_report import count_erased, knows_erased, report_of
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.search_quality import weight_learning
from llmrec_plugin.services.training import model_fit, private
from llmrec_plugin.types import Progress

logger = logging.getLogger(__name__)

LOST = gettext_noop("The process ended without a word: it was killed, or had no memory left.")
SHUTDOWN_GRACE = 60
"""Seconds that a process has to end in once its time budget is over, before it is killed."""
MAX_WORDS = 500


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Holds the newest training of a document and the newest tuning of its encoder; None: there was none."""

    training: TrainingRun | None = None
    tuning: TrainingRun | None = None

    @property
    def failed_training(self) -> TrainingRun | None:
        """Return what keeps the model from being learned anew; a tuning that was taken over learned it,
        too."""
        run, other = self.training, self.tuning
        if run is None or run.state != TrainingRun.State.FAILED:
            return None
        learned = other is not None and other.pk > run.pk and other.model_version_id is not None
        return None if learned else run

    @property
    def failed_tuning(self) -> TrainingRun | None:
        """Return it for as long as it can be gone on with: nobody is bound to tune, so it is not said for
        ever."""
        run = self.tuning
        if run is None or run.state != TrainingRun.State.FAILED:
            return None
        age = timezone.now() - (run.finished_at or run.started_at)
        return run if age < retention.TUNING_KEPT else None


def why_due(label: str) -> str:
    """Return why a training is worth it now, in words; empty: it is not.

    An index is live, the budget of private trainings is not spent, and since the last training
    LLMREC["TRAINING_MIN_EVENTS"] events came in, a user whom the live model knows was erased, or what people
    do has drifted away from it; or editors have judged searches by which they can be weighed.
    """
    pair = find_live_pair(label)
    if pair is None:
        return ""
    allowed = private.budget()
    if allowed is not None and private.is_spent(label, allowed):
        return ""
    live = pair.model_version
    if live is not None and report_of(live).privacy is None:
        if allowed is not None:
            return _("the live model was learned without noise")
        if knows_erased(live):
            return _("the live model knows erased users")
    if has_drifted(pair):
        return _("what people do has drifted away from what was learned")
    if weight_learning.is_due(label):
        return _("new judgements of search results")
    fresh = consent.consented(Interaction.objects.filter(document=label))
    newest = ModelVersion.objects.filter(document=label).order_by("-id").first()
    if newest is not None:
        fresh = fresh.filter(received_at__gt=newest.created_at)
    least = get_settings().TRAINING_MIN_EVENTS
    if fresh.order_by()[:least].count() < least:
        return ""
    return ngettext("%(count)d new interaction", "at least %(count)d new interactions", least) % {
        "count": least
    }


def has_drifted(pair: LivePair) -> bool:
    """Return whether the newest measurement of the live model says that it is to be learned anew."""
    newest = DriftReport.objects.filter(document=pair.index_version.document).order_by("-id").first()
    return (
        newest is not None
        and newest.level == DriftReport.Level.RERUN
        and newest.model_version_id == (pair.model_version.pk if pair.model_version else None)
    )


def train(
    label: str,
    *,
    by: str,
    reason: str = "",
    seconds: int | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """Train like `model_fit.fit`, on record: however it ends, the outcome is to be seen, and only a success
    changes what answers. After `seconds` it is stopped.

    Raises LeaseLost while another training of the document runs, and TrainingStopped.
    """
    with recorded_run(label, by=by, reason=reason, seconds=seconds) as run:
        run.model_version = model_fit.fit(label, by=by, now=now, progress=progress)
    return run.model_version


@contextmanager
def recorded_run(
    label: str,
    *,
    by: str,
    reason: str = "",
    seconds: int | None = None,
    kind: str = TrainingRun.Kind.TRAINING,
) -> Iterator[TrainingRun]:
    """A row that says how the work within ended; the work sets its `model_version`, if one came of it.

    Raises LeaseLost while another training of the document runs, and TrainingStopped.
    """
    run = _begin(label, by=by, reason=reason, kind=kind)
    try:
        with _stoppable(seconds):
            yield run
    except BaseException as error:
        _fail(run, error)
        raise
    _succeed(run, run.model_version)


def _begin(label: str, *, by: str, reason: str, kind: str) -> TrainingRun:
    fail_lost_runs()
    registry.get(label)
    try:
        with transaction.atomic(using=own.database()):
            return TrainingRun.objects.create(
                document=label, kind=kind, by=by, reason=reason[:255], owner=locks.own_prefix()
            )
    except IntegrityError:
        running = TrainingRun.objects.filter(document=label, state=TrainingRun.State.RUNNING).first()
        by_whom = (
            f" by {running.by} since {moments.local(running.started_at):%Y-%m-%d %H:%M}" if running else ""
        )
        tuned = running is not None and running.kind == TrainingRun.Kind.TUNING
        doing = f'The encoder of "{label}" is being tuned' if tuned else f'"{label}" is being trained'
        raise LeaseLost(f"{doing}{by_whom}; wait for it, or stop it.") from None


def _succeed(run: TrainingRun, version: ModelVersion | None) -> None:
    with transaction.atomic(using=own.database()):
        run = TrainingRun.objects.select_for_update().get(pk=run.pk)
        if run.erased and version is not None:
            version.refresh_from_db()
            count_erased(version, run.erased)
        run.state, run.model_version, run.finished_at = TrainingRun.State.DONE, version, timezone.now()
        run.save(update_fields=["state", "model_version", "finished_at"])


def _fail(run: TrainingRun, error: BaseException) -> None:
    try:
        _close(TrainingRun.objects.filter(pk=run.pk), error_message(error))
    except DatabaseError:  # a full disk, perhaps; `fail_lost_runs` finds the run without its process
        logger.exception("the outcome of a %s cannot be stored document=%s", run.kind, run.document)
    told = (run.kind, run.document, type(error).__name__, origin(error))
    logger.error("%s failed document=%s error=%s at=%s", *told)


def error_message(error: BaseException) -> str:
    """Return what went wrong, for the record and for staff."""
    if isinstance(error, LlmrecError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return _("Stopped by hand.")
    if isinstance(error, MemoryError):
        return _("There was not enough memory.")
    # The first line names what is wrong; PostgreSQL quotes the row, and with it a user, in those below.
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _close(runs: Any, error: str) -> int:
    """Store that those of the runs that still count as running have failed; return how many."""
    return int(
        runs.filter(state=TrainingRun.State.RUNNING).update(
            state=TrainingRun.State.FAILED, error=error[:MAX_WORDS], finished_at=timezone.now()
        )
    )


def fail_lost_runs() -> int:
    """Put on record that runs have failed whose process is gone; returns how many."""
    running = TrainingRun.objects.filter(state=TrainingRun.State.RUNNING)
    lost = [run.pk for run in running if is_lost(run)]
    return _close(TrainingRun.objects.filter(pk__in=lost), _(LOST)) if lost else 0


def is_lost(run: TrainingRun) -> bool:
    """Counts as running, but its process is dead, or on another machine and silent for a whole lease."""
    if run.state != TrainingRun.State.RUNNING:
        return False
    if locks.is_dead(run.owner):
        return True
    names = (model_fit.lease_name(run.document), f"tune:{run.document}")
    return timezone.now() - run.started_at > locks.duration() and not any(map(locks.is_held, names))


def latest() -> dict[str, Outcomes]:
    """Return what became last of each document; a run whose process is gone is shown as failed. One query."""
    newest = TrainingRun.objects.order_by().values("document", "kind").annotate(newest=Max("pk"))
    found: dict[str, dict[str, TrainingRun]] = {}
    for run in TrainingRun.objects.filter(pk__in=newest.values("newest")):
        found.setdefault(run.document, {})[run.kind] = as_displayed(run)
    return {label: Outcomes(**kinds) for label, kinds in found.items()}


def as_displayed(run: TrainingRun) -> TrainingRun:
    """Return the row as it will be once `fail_lost_runs` has been there."""
    if is_lost(run):
        run.state, run.error = TrainingRun.State.FAILED, _(LOST)
    return run


@contextmanager
def _stoppable(seconds: int | None) -> Iterator[None]:
    """Let SIGTERM and the end of the time budget raise TrainingStopped where the work stands."""
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if number == signal.SIGTERM:
            raise TrainingStopped(_("It was told to stop, as when a server is shut down."))
        raise TrainingStopped(
            _("It took longer than its time budget of %(seconds)d seconds.") % {"seconds": seconds or 0}
        )

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for known, handler in former.items():
            signal.signal(known, handler)


def start(labels: Sequence[str], *, by: str, reason: str = "") -> int:
    """Train the documents one after the other in a process of its own, which outlives the one that asks;
    returns its id at once, 0 where there is nothing to start.

    A worker's message must end soon (Redis hands out again what takes an hour), and what a training needs
    of memory goes back with its process. Documents that are being trained are left out.
    """
    fail_lost_runs()
    running = set(
        TrainingRun.objects.filter(document__in=labels, state=TrainingRun.State.RUNNING).values_list(
            "document", flat=True
        )
    )
    wanted = [label for label in labels if label not in running]
    if not wanted:
        return 0
    seconds, since = get_settings().LIMITS.training_seconds, timezone.now()
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "django", "llmrec", "train", "--seconds", str(seconds)),
            *("--by", by, "--reason", reason),
            *(part for label in wanted for part in ("--document", label)),
        ],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    patience = (seconds + SHUTDOWN_GRACE) * len(wanted)
    watched = (process, wanted, by, since, patience)
    threading.Thread(target=_watch, args=watched, daemon=True).start()
    logger.info("training started pid=%d documents=%s", process.pid, ",".join(wanted))
    return process.pid


def start_due(*, by: str, only_drifted: bool = False) -> int:
    """Start like `start`, for the documents that are due, each for its own reason."""
    pairs = ((label, find_live_pair(label)) for label in registry.labels())
    live = [label for label, pair in pairs if pair and (not only_drifted or has_drifted(pair))]
    return start([label for label in live if why_due(label)], by=by)


def _environment() -> dict[str, str]:
    module = getattr(django_settings, "SETTINGS_MODULE", "")
    if not module:
        raise ConfigurationError(
            "A training in a process of its own needs settings that it can import: set "
            "DJANGO_SETTINGS_MODULE, or call `services.runs.train` in this process."
        )
    paths = [path or str(Path.cwd()) for path in sys.path]
    return {**os.environ, "DJANGO_SETTINGS_MODULE": module, "PYTHONPATH": os.pathsep.join(paths)}


def _watch(
    process: subprocess.Popen[bytes], labels: Sequence[str], by: str, since: datetime, patience: float
) -> None:
    """Say at once, and not when its lease is over, that the process did not come to its own end."""
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    try:
        if status not in (0, locks.IN_USE):
            _record_death(process.pid, labels, by, status, since=since)
    except DatabaseError:
        logger.exception("the end of a training cannot be stored pid=%d", process.pid)
    finally:
        connections.close_all()


def _record_death(pid: int, labels: Sequence[str], by: str, status: int, *, since: datetime) -> None:
    own = TrainingRun.objects.filter(owner=locks.prefix_of(pid), started_at__gte=since)
    killed = _("The process was killed by signal %(number)d. The system sends 9 when no memory is left.")
    if _close(own, killed % {"number": -status} if status < 0 else _(LOST)) or own.exists():
        return
    error = _("The process ended with status %(status)d before it began: see the log of the worker.")
    for label in labels:
        TrainingRun.objects.create(
            document=label,
            by=by,
            owner=locks.prefix_of(pid),
            state=TrainingRun.State.FAILED,
            error=error % {"status": status},
            finished_at=timezone.now(),
        )
