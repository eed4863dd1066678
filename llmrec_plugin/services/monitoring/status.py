"""What is live, what waits and what is ill: one answer for the command, the admin and the health page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from llmrec_plugin import moments
from llmrec_plugin.backends import get_backend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import BackendUnavailable, LlmrecError, NotBuilt, NotFound
from llmrec_plugin.models import DriftReport, IndexVersion, TrainingRun
from llmrec_plugin.services.coordination import missed_changes
from llmrec_plugin.services.deployment import renaming
from llmrec_plugin.services.deployment.engines import engine_of, fault_of
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.indexing.backlog import Backlog, waiting
from llmrec_plugin.services.inference.encoder_selection import knows_erased, wanted_spec
from llmrec_plugin.services.items.preparation import analysis_of, declared_schema
from llmrec_plugin.services.model_registry import training_report
from llmrec_plugin.services.monitoring import health
from llmrec_plugin.services.training import drift, runs


@dataclass(frozen=True, kw_only=True)
class DocumentStatus:
    """How one document type stands."""

    label: str
    index_version: str
    """Physical name of what is live; empty: nothing is."""
    building: str
    """Physical name of the version under construction; empty: none."""
    encoder: str
    encoder_id: str
    model_version: int | None
    trained_at: datetime | None
    retraining_due: bool
    """Somebody whose events the model learned from has been erased since."""
    retuning_due: bool
    """The same of the encoder, where it was tuned here."""
    training_since: datetime | None
    """When the training began that runs now; None: none does."""
    training_error: str
    """Why the last training failed, in words; empty: it did not."""
    tuning_since: datetime | None
    tuning_error: str
    """The same of tuning the encoder."""
    drift: tuple[str, ...]
    """In what way people do other things than the live model learned from, in words."""
    items: int | None
    """That can be found; None: the engine does not answer."""
    index_fault: str
    """Why the live index cannot answer though the engine does, in words; empty: it can."""
    backlog: int
    failing: int
    """Backlog entries that have been tried and failed."""
    oldest: datetime | None
    """When the oldest entry of the backlog came in."""
    missed: int
    """Changes that were saved and could not be marked."""
    stale: tuple[str, ...]
    """What the settings or the code say other than the live version; `build` mends it."""

    @property
    def lag_seconds(self) -> float:
        """How far the index may be behind the site."""
        return 0.0 if self.oldest is None else max(0.0, (timezone.now() - self.oldest).total_seconds())

    @property
    def ills(self) -> tuple[str, ...]:
        """Sentences on what to do; empty: all is well."""
        found = self._ills_of_indexing()
        if self.stale:
            found.append(
                _("The live index differs from the settings (%(what)s): run `manage.py llmrec build`.")
                % {"what": ", ".join(self.stale)}
            )
        if self.retraining_due:
            found.append(_("The model knows erased users: run `manage.py llmrec train`."))
        if self.retuning_due:
            found.append(_("The encoder knows erased users: run `manage.py llmrec train --encoder`."))
        if self.training_error:
            found.append(_("The last training failed, what was live stays: %s") % self.training_error)
        if self.tuning_error:
            found.append(
                _("The last tuning of the encoder failed, what was live stays: %s") % self.tuning_error
            )
        if self.drift:
            found.append(_("Drift: %s.") % "; ".join(self.drift))
        return tuple(found)

    def _ills_of_indexing(self) -> list[str]:
        found = []
        if not self.index_version:
            found.append(_("No index is live: run `manage.py llmrec build`."))
        if self.index_fault:
            found.append(
                _("The live index cannot answer; a worker builds it anew, or `manage.py llmrec build`: %s")
                % self.index_fault
            )
        if self.failing:
            found.append(
                ngettext(
                    "%(count)d item fails to be indexed: see its error in the backlog.",
                    "%(count)d items fail to be indexed: see their errors in the backlog.",
                    self.failing,
                )
                % {"count": self.failing}
            )
        if self.missed:
            found.append(
                ngettext(
                    "%(count)d change was saved and not marked: run `manage.py llmrec audit --repair`.",
                    "%(count)d changes were saved and not marked: run `manage.py llmrec audit --repair`.",
                    self.missed,
                )
                % {"count": self.missed}
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Status:
    """The whole state at one moment."""

    enabled: bool
    backend: str
    backend_error: str
    """Why the engine cannot be used; empty: it can."""
    documents: tuple[DocumentStatus, ...]
    services: tuple[health.Component, ...] = ()
    """The cache, the broker where there is one, and events that do not follow the site's rows."""
    workers: tuple[str, ...] | None = None
    """That answered; None: tasks do not go to workers."""
    forsaken: tuple[str, ...] = ()
    """Labels of which events are kept, and which no document has any more."""

    @property
    def ills(self) -> tuple[str, ...]:
        """Sentences on what the documents have in common; empty: all is well."""
        found = [f"{part.name}: {part.detail}" for part in self.services if part.code != health.OK]
        if self.workers == ():
            found.append(_("No worker answers: start one, or changes wait in the backlog."))
        for label in self.forsaken:
            found.append(
                _(
                    "Events are kept of “%(label)s”, which is no document any more; if it has another name "
                    "now: `manage.py llmrec rename-document %(label)s NEW`."
                )
                % {"label": label}
            )
        return tuple(found)

    @property
    def ready(self) -> bool:
        """Searches can be answered: the engine works and every document has a live index."""
        return not self.backend_error and all(document.index_version for document in self.documents)

    @property
    def healthy(self) -> bool:
        """Ready, and nothing asks for attention."""
        return self.ready and not self.ills and not any(document.ills for document in self.documents)

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        state = self.backend_error or _("works")
        yield _("Engine %(name)s: %(state)s") % {"name": self.backend, "state": state}
        for part in self.services:
            if part.code == health.OK:
                yield f"{part.name}: {_('works')}"
        if self.workers is not None:
            yield _("Workers: %(names)s") % {"names": ", ".join(self.workers) or "–"}
        for ill in self.ills:
            yield f"! {ill}"
        if not self.enabled:
            yield _('Switched off by LLMREC["ENABLED"]: plain word search only.')
        for document in self.documents:
            yield from _document_lines(document)
        if not self.documents:
            yield _("No document is registered: write one in search_documents.py of an app.")


def collect() -> Status:
    """The state now; loads no encoder."""
    settings = get_settings()
    backend_error = _backend_error()
    backlogs = waiting()
    building = dict(
        IndexVersion.objects.filter(state=IndexVersion.State.BUILDING).values_list("document", "name")
    )
    trainings, drifts = runs.latest(), drift.latest()
    documents = tuple(
        _document_status(
            document,
            outcomes=trainings.get(document.label, runs.Outcomes()),
            measured=drifts.get(document.label),
            backlog=backlogs.get(document.label, Backlog()),
            building=building.get(document.label, ""),
            reachable=not backend_error,
        )
        for document in registry
    )
    return Status(
        enabled=settings.ENABLED,
        backend=settings.BACKEND,
        backend_error=backend_error,
        documents=documents,
        services=(*health.services(), *health.ill_sources()),
        workers=health.workers() if health.uses_celery() else None,
        forsaken=tuple(renaming.forsaken_labels()),
    )


def _backend_error() -> str:
    try:
        get_backend().check()
    except LlmrecError as error:
        return str(error) or type(error).__name__
    return ""


def _document_status(
    document: SearchDocument[Any],
    *,
    outcomes: runs.Outcomes,
    measured: DriftReport | None,
    backlog: Backlog,
    building: str,
    reachable: bool,
) -> DocumentStatus:
    pair = _live(document.label)
    version = pair.index_version if pair else None
    model = pair.model_version if pair else None
    applies = measured is not None and model is not None and measured.model_version_id == model.pk
    return DocumentStatus(
        label=document.label,
        index_version=version.name if version else "",
        building=building,
        encoder=version.encoder_name if version else document.encoder_spec().name,
        encoder_id=version.encoder_id if version else "",
        model_version=model.pk if model else None,
        trained_at=model.created_at if model else None,
        retraining_due=bool(model and training_report.knows_erased(model)),
        retuning_due=bool(version and knows_erased(version)),
        training_since=_began(outcomes.training),
        training_error=outcomes.failed_training.error if outcomes.failed_training else "",
        tuning_since=_began(outcomes.tuning),
        tuning_error=outcomes.failed_tuning.error if outcomes.failed_tuning else "",
        drift=tuple(drift.sentences(measured)) if measured is not None and applies else (),
        items=_count(version) if version and reachable else None,
        index_fault=_fault(version) if version and reachable else "",
        backlog=backlog.entries,
        failing=backlog.failing,
        oldest=backlog.oldest,
        missed=_missed(document.label),
        stale=_differences(document, version) if version else (),
    )


def _began(run: TrainingRun | None) -> datetime | None:
    """When it did, if it goes on now."""
    return run.started_at if run is not None and run.state == TrainingRun.State.RUNNING else None


def _missed(label: str) -> int:
    found = missed_changes.noted(label)
    return 0 if found is None else found.count


def _live(label: str) -> LivePair | None:
    try:
        return live_pair(label)
    except NotBuilt:
        return None


def _fault(version: IndexVersion) -> str:
    try:
        fault = fault_of(version)
    except LlmrecError:  # the engine says so itself
        return ""
    return "" if fault is None else str(fault)


def _count(version: IndexVersion) -> int | None:
    try:
        return engine_of(version).count(version.name)
    except (BackendUnavailable, NotFound):
        return None


def _differences(document: SearchDocument[Any], version: IndexVersion) -> tuple[str, ...]:
    """What a new build would make otherwise; encoders are compared by name and options, unloaded."""
    spec = wanted_spec(document, version)
    schema = declared_schema(document)
    compared = {
        _("encoder"): (spec.name, dict(spec.options))
        != (version.encoder_name, dict(version.encoder_options)),
        _("text analysis"): version.analysis_id != analysis_of(document),
        _("fields"): schema != version.schema,
    }
    return tuple(name for name, differs in compared.items() if differs)


def _document_lines(document: DocumentStatus) -> Iterator[str]:
    items = "?" if document.items is None else str(document.items)
    yield f"{document.label}: {document.index_version or '–'}"
    yield "  " + _("%(items)s items, encoder %(encoder)s") % {"items": items, "encoder": document.encoder}
    if document.model_version is not None and document.trained_at is not None:
        yield (
            "  "
            + _("model version %(pk)d of %(at)s")
            % {
                "pk": document.model_version,
                "at": moments.local(document.trained_at).isoformat(" ", "minutes"),
            }
        )
    if document.training_since is not None:
        since = moments.local(document.training_since).isoformat(" ", "minutes")
        yield "  " + _("training since %(at)s") % {"at": since}
    if document.tuning_since is not None:
        since = moments.local(document.tuning_since).isoformat(" ", "minutes")
        yield "  " + _("the encoder is being tuned since %(at)s") % {"at": since}
    if document.building:
        yield "  " + _("under construction: %(name)s") % {"name": document.building}
    if document.backlog:
        yield (
            "  "
            + _("backlog: %(count)d, the oldest for %(seconds)d s")
            % {"count": document.backlog, "seconds": document.lag_seconds}
        )
    for ill in document.ills:
        yield f"  ! {ill}"
