"""Which part is ill: short answers for load balancers, longer ones for staff and the terminal.

No part may keep the answer waiting: what is asked over a network has SECONDS, in a thread of its own.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

from django.core.cache import caches
from django.db import DatabaseError, connections, router
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from llmrec_plugin.backends import get_backend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.contributions import contributions
from llmrec_plugin.documents import registry
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.exceptions import ConfigurationError, IndexDamaged, LlmrecError, NotBuilt, NotFound
from llmrec_plugin.models import Impression, IndexBatch, IndexVersion
from llmrec_plugin.services.coordination import missed_changes, short_writes, site_code
from llmrec_plugin.services.curation.list_types import list_types
from llmrec_plugin.services.deployment import engines
from llmrec_plugin.services.deployment.live import find_live_pair, live_pair
from llmrec_plugin.services.indexing import backlog
from llmrec_plugin.services.indexing.backlog import Backlog
from llmrec_plugin.services.inference import query_embeddings, reranking
from llmrec_plugin.services.interactions import source_changes
from llmrec_plugin.services.items import preparation
from llmrec_plugin.services.profiles import declared_interests
from llmrec_plugin.services.recommendations import strategy
from llmrec_plugin.services.search import ranking_signals
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.services.training import drift, runs

logger = logging.getLogger(__name__)

OK = "ok"
SECONDS = 2.0
PROBE = "llmrec:health"
NO_LIST = uuid.UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Component:
    """One thing that searching or indexing needs."""

    name: str
    code: str = OK
    detail: str = ""
    """What is wrong, in words; may name hosts and paths, so it is for staff and the log."""
    needed: bool = False
    """Without it no search can be answered; without the others some are, with less."""

    @property
    def stops(self) -> bool:
        return self.needed and self.code != OK


def components() -> tuple[Component, ...]:
    """All parts, the ill ones with their code; where the database is away, that is all there is to say."""
    found = [_database()]
    if not found[0].stops:
        versions: dict[str, IndexVersion] = {}
        found += [
            _engine(),
            *_indexes(versions),
            *_encoders(versions),
            *services(),
            *_backlogs(),
            *ill_sources(),
            *_models(),
            *_own_code(),
        ]
    for part in found:
        if part.code != OK:
            logger.warning("ill part=%s code=%s: %s", part.name, part.code, part.detail)
    return tuple(found)


def services() -> Iterator[Component]:
    """The cache, and the broker where tasks go to one; asks no database."""
    yield _asked("cache", _ask_cache)
    if uses_celery():
        yield _asked("broker", _ask_broker)


def uses_celery() -> bool:
    """Tasks go to workers rather than running in the process, or nowhere."""
    return get_settings().tasks_run_in == "celery"


def workers() -> tuple[str, ...]:
    """Names of the workers that answer within a second; none where the broker does not."""

    def ask() -> list[str]:
        from celery import current_app

        with _broker() as broker:
            replies = current_app.control.ping(timeout=1, connection=broker)
        return [name for reply in replies or () for name in reply]

    answer = _within("workers", ask)
    return tuple(sorted(answer)) if isinstance(answer, list) else ()


def _database() -> Component:
    """One that takes no rows leaves lists without pages; one that does not answer leaves nothing."""
    alias = router.db_for_write(Impression)
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Component(name="database", code="unavailable", detail=_described(error), needed=True)
    # An update of no row asks for the right to write, and leaves nothing behind.
    error_now = short_writes.error_of(
        lambda: Impression.objects.filter(pk=NO_LIST).update(shown=0), using=alias
    )
    detail = _described(error_now) if error_now else short_writes.recent_error(alias)
    return Component(name="database", code="not_writable" if detail else OK, detail=detail)


def _engine() -> Component:
    """One that is away leaves popular lists; one that is set up wrongly leaves nothing."""
    answer = _within("engine", lambda: get_backend().check())
    if answer is None:
        error = site_code.recent_errors([engines.PART]).get(engines.PART, "")
        detail = _("A visitor's request failed with %(error)s.") % {"error": error} if error else ""
        return Component(name="engine", code="failing" if error else OK, detail=detail)
    is_wrong = isinstance(answer, ConfigurationError)
    return Component(name="engine", code=_code(answer), detail=_described(answer), needed=is_wrong)


def _indexes(versions: dict[str, IndexVersion]) -> Iterator[Component]:
    for label in registry.labels():
        name = f"index {label}"
        try:
            versions[label] = live_pair(label).index_version
        except NotBuilt as error:
            yield Component(name=name, code=error.code, detail=str(error), needed=True)
        else:
            yield _live_index(name, versions[label])


def _live_index(name: str, version: IndexVersion) -> Component:
    """Whether the index itself is there and can be read; an engine that is away is told by its own part."""
    fault = _within(name, lambda: engines.fault_of(version))
    if isinstance(fault, IndexDamaged):
        return Component(name=name, code="damaged", detail=str(fault))
    if isinstance(fault, NotFound):
        return Component(name=name, code="gone", detail=str(fault))
    return Component(name=name, needed=True)


def _encoders(versions: Mapping[str, IndexVersion]) -> Iterator[Component]:
    """As the latest queries of any process found them; none is loaded for the question."""
    known = _within("encoders", lambda: query_embeddings.recent_encoder_errors(versions.values()))
    ills: dict[str, str] = known if isinstance(known, dict) else {}
    for label, version in versions.items():
        error = ills.get(version.encoder_id)
        if error is None:
            yield Component(name=f"encoder {label}")
        else:
            detail = _("%(encoder)s failed with %(error)s; searches look for words alone.")
            yield Component(
                name=f"encoder {label}",
                code="encoder_unavailable",
                detail=detail % {"encoder": version.encoder_name, "error": error},
            )


def _own_code() -> Iterator[Component]:
    """Parts of the site's own code that failed of late while a list was made, and nothing where none did."""
    parts = [
        reranking.PART,
        declared_interests.PART,
        *(ranking_signals.part_of(signal.name) for signal in signals),
        *(strategy.part_of(name) for name in list_types.names()),
        *(reasons.part_of(contribution.name) for contribution in contributions),
        *(preparation.part_of(document) for document in registry),
    ]
    for part, error in site_code.recent_errors(parts).items():
        detail = _("Code of this site failed with %(error)s; lists do without it.") % {"error": error}
        yield Component(name=part, code="failing", detail=detail)


def _backlogs() -> Iterator[Component]:
    found = backlog.waiting()
    late = [label for label in registry.labels() if found.get(label, Backlog()).is_late]
    if uses_celery():
        working = not late or IndexBatch.objects.filter(at__gt=timezone.now() - backlog.LATE).exists()
        detail = "" if working else _("Changes wait, and no worker has indexed anything of late.")
        yield Component(name="workers", code=OK if working else "silent", detail=detail)
    for label in registry.labels():
        waits = found.get(label, Backlog())
        missed = missed_changes.noted(label)
        code = "late" if waits.is_late else "failing" if waits.failing else "missed" if missed else OK
        detail = _("%(entries)d entries, %(failing)d of them failing, the oldest for %(seconds)d s.") % {
            "entries": waits.entries,
            "failing": waits.failing,
            "seconds": waits.age_seconds,
        }
        if code == "late" and not uses_celery():
            detail += " " + _("Have cron run `manage.py llmrec drain`.")
        if missed is not None and code == "missed":
            detail = _missed(missed)
        yield Component(name=f"backlog {label}", code=code, detail="" if code == OK else detail)


def _missed(missed: missed_changes.MissedChanges) -> str:
    detail = _(
        "%(count)d changes were saved and not marked, the last for %(error)s at %(at)s: "
        "run `manage.py llmrec audit --repair`."
    )
    return detail % {"count": missed.count, "error": missed.error, "at": missed.at}


def ill_sources() -> Iterator[Component]:
    """Where events do not follow the rows of the site that tell them; empty: all is well. One query."""
    waiting = source_changes.waiting() if registry.interaction_sources else {}
    for source in registry.interaction_sources:
        name, waits = f"events {source.label}", waiting.get(source.label)
        if waits is not None and waits.failing:
            detail = ngettext(
                "%(count)d row cannot be read: %(error)s",
                "%(count)d rows cannot be read: %(error)s",
                waits.failing,
            ) % {"count": waits.failing, "error": waits.error}
            yield Component(name=name, code="failing", detail=detail)
        elif waits is not None and timezone.now() - waits.oldest > backlog.LATE:
            detail = _("Rows have changed, and nobody has brought their events up to date.")
            yield Component(name=name, code="late", detail=detail)


def _models() -> Iterator[Component]:
    """Whether learning works, and whether what was learned still holds; without either, lists go on."""
    trainings, drifts = runs.latest(), drift.latest()
    for label in registry.labels():
        outcomes, report = trainings.get(label, runs.Outcomes()), drifts.get(label)
        pair = find_live_pair(label)
        live = pair.model_version if pair else None
        code, detail = OK, ""
        if report is not None and live is not None and report.model_version_id == live.pk:
            detail = "; ".join(drift.sentences(report))
            code = "drifting" if detail else OK
        if outcomes.failed_tuning is not None:
            code, detail = "tuning_failed", outcomes.failed_tuning.error
        if outcomes.failed_training is not None:
            code, detail = "training_failed", outcomes.failed_training.error
        yield Component(name=f"model {label}", code=code, detail=detail)


def _asked(name: str, ask: Callable[[], object]) -> Component:
    answer = _within(name, ask)
    if isinstance(answer, Exception):
        return Component(name=name, code=_code(answer), detail=_described(answer))
    return Component(name=name)


def _code(answer: object) -> str:
    if isinstance(answer, TimeoutError):
        return "timeout"
    return answer.code if isinstance(answer, LlmrecError) else "unavailable"


def _ask_cache() -> None:
    cache = caches["default"]
    cache.set(PROBE, 1, 10)
    cache.get(PROBE)


def _ask_broker() -> None:
    with _broker() as broker:
        broker.ensure_connection(max_retries=0, timeout=SECONDS)


def _broker() -> Any:
    from celery import current_app

    limits = {"max_retries": 0, "socket_connect_timeout": SECONDS, "socket_timeout": SECONDS}
    options = {**current_app.conf.broker_transport_options, **limits}
    return current_app.connection_for_read(connect_timeout=SECONDS, transport_options=options)


_asking: set[str] = set()
_asking_lock = Lock()


def _within(name: str, ask: Callable[[], object]) -> object:
    """What it answers or raises; TimeoutError if it does not in time, or still owes the former answer."""
    late = TimeoutError(_("no answer within %(seconds)g s") % {"seconds": SECONDS})
    with _asking_lock:
        if name in _asking:
            return late
        _asking.add(name)
    answers: SimpleQueue[object] = SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # each client has errors of its own
            answers.put(error)
        finally:
            caches.close_all()
            connections.close_all()
            with _asking_lock:
                _asking.discard(name)

    Thread(target=work, name=f"llmrec-health-{name}", daemon=True).start()
    try:
        return answers.get(timeout=SECONDS + 1)
    except Empty:
        return late


def _described(error: object) -> str:
    return f"{type(error).__name__}: {error}"[:500]
