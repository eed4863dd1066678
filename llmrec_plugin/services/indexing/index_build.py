"""Making an index anew while the former one answers, and going on where an interrupted build stopped."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder
from llmrec_plugin.exceptions import BackendUnavailable, EncoderUnavailable, IndexDamaged
from llmrec_plugin.models import Configuration, Embedding, IndexVersion, OutboxEntry
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import dictionaries, promotion, retirement
from llmrec_plugin.services.deployment.engines import attached_engine_of, engine_of, fault_of, schema_of
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.indexing import index_audit, outbox
from llmrec_plugin.services.indexing.outbox_drain import DrainReport, drain_batch
from llmrec_plugin.services.indexing.similarity_floor import Measured, measure_floor
from llmrec_plugin.services.inference.encoder_selection import wanted_spec
from llmrec_plugin.services.items.preparation import analysis_of, declared_schema, sample
from llmrec_plugin.types import Progress

POLL_SECONDS = 0.2
"""While another process finishes what it has claimed of this build."""
SAMPLE = 32
VECTOR_COPIES = 2
"""One in the database, one in the engine."""
TEXT_COPIES = 4
"""Terms, their index and the filters take about this many times the plain text."""


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    index_version: IndexVersion
    created: bool
    """False: the live index was what the site asks for already, and was only brought up to date."""
    written: int
    encoded: int
    failed: int
    """Items that wait in the backlog with their error."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a build would take, measured on a few items."""

    items: int
    to_encode: int
    seconds: float
    """Of encoding on this machine."""
    bytes: int
    """Of vectors and index together."""


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """What makes two indexes interchangeable."""

    encoder_id: str
    analysis_id: str
    schema: dict[str, Any]

    def matches(self, version: IndexVersion) -> bool:
        return (self.encoder_id, self.analysis_id, self.schema) == (
            version.encoder_id,
            version.analysis_id,
            version.schema,
        )


def build(
    label: str,
    *,
    progress: Progress | None = None,
    rebuild: bool = False,
    promote: bool = True,
    keep_former: bool = True,
    by: str = "command",
    spec: EncoderSpec | None = None,
) -> BuildReport:
    """See that the live index of a document is what the site declares, and holds all its items.

    `spec`: another encoder than the declared one, or the one tuned from it that answers now.

    A new version is made when the encoder, the text analysis or the fields changed, or with `rebuild`;
    the former one answers until the new one is complete. Killed and run again, it goes on where it
    stopped, and stored vectors are not computed again. Without `keep_former` what was replaced is dropped
    at once, and with it the way back: after a restore of the database it is right no more.

    Raises LeaseLost while another build of the document runs, EncoderUnavailable or BackendUnavailable when
    it cannot go on now.
    """
    document = registry.get(label)
    with locks.hold(f"build:{label}") as lease:
        outbox.release_dead()
        spec = spec or _wanted_spec(document)
        encoder = load_encoder(spec)
        version, created = _version_for(document, encoder, spec, rebuild=rebuild)
        if attached := attached_engine_of(version):
            attached.check_declaration()
        engine_of(version).create_index(version.name, schema_of(version))
        if version.state == IndexVersion.State.BUILDING:
            _mark_items(document, version, lease)
        else:
            index_audit.mark_differences(document, version)
        waiting = Q(index_version=version) | Q(index_version=None)
        outbox.retry(OutboxEntry.objects.filter(waiting, document=label, attempts__gt=0))
        report = _fill(version, lease, progress)
        engine_of(version).refresh(version.name)
        if version.state == IndexVersion.State.BUILDING:
            measured = measure_floor(document, version, encoder)
            lease.beat()
            _become_ready(version, measured)
            report += _fill(version, lease, None)  # what changed meanwhile, or waited before the build
        if promote and not _is_live(version):
            promotion.promote(version, by=by, reason="build")
        if _is_live(version):
            _drop_others(version, damaged_alone=keep_former)
    retirement.sweep()
    return BuildReport(
        index_version=version,
        created=created,
        written=report.written,
        encoded=report.encoded,
        failed=_waiting_for(version).filter(attempts__gt=0).values("item_id").distinct().count(),
    )


def _version_for(
    document: SearchDocument[Any], encoder: Encoder, spec: EncoderSpec, *, rebuild: bool
) -> tuple[IndexVersion, bool]:
    """The version to work on: one under way, one at hand, or a new one; and whether it is new."""
    identity = _Identity(
        encoder_id=encoder.id,
        analysis_id=analysis_of(document),
        schema=declared_schema(document),
    )
    versions = IndexVersion.objects.filter(document=document.label)
    started = versions.filter(state=IndexVersion.State.BUILDING).first()
    if started is not None:
        if identity.matches(started):
            return _with_options(started, spec), True
        retirement.drop(started)
    if not rebuild:
        for version in _live_first(versions.filter(state=IndexVersion.State.READY), document.label):
            if identity.matches(version) and not isinstance(fault_of(version), IndexDamaged):
                return _with_options(version, spec), False
    return (
        IndexVersion.objects.create(
            document=document.label,
            name=_physical_name(document.label),
            encoder_name=spec.name,
            encoder_options=dict(spec.options),
            encoder_id=identity.encoder_id,
            dimensions=encoder.dimensions,
            analysis_id=identity.analysis_id,
            dictionary=dictionaries.kept(document),
            schema=identity.schema,
        ),
        True,
    )


def _wanted_spec(document: SearchDocument[Any]) -> EncoderSpec:
    pair = find_live_pair(document.label)
    return wanted_spec(document, pair.index_version if pair else None)


def _live_first(versions: Any, label: str) -> list[IndexVersion]:
    return sorted(versions.order_by("-id"), key=lambda version: not _is_live(version))


def _is_live(version: IndexVersion) -> bool:
    pair = find_live_pair(version.document)
    return pair is not None and pair.index_version.pk == version.pk


def _drop_others(version: IndexVersion, *, damaged_alone: bool) -> None:
    others = IndexVersion.objects.filter(document=version.document, state=IndexVersion.State.READY)
    for other in others.exclude(pk=version.pk):
        if not damaged_alone or isinstance(fault_of(other), IndexDamaged):
            retirement.drop(other)


def _with_options(version: IndexVersion, spec: EncoderSpec) -> IndexVersion:
    """Options that do not change the vectors, such as threads, are taken over."""
    if (version.encoder_name, version.encoder_options) != (spec.name, dict(spec.options)):
        version.encoder_name, version.encoder_options = spec.name, dict(spec.options)
        with transaction.atomic(using=outbox.alias()):
            version.save(update_fields=["encoder_name", "encoder_options"])
            Configuration.begin_edition(using=outbox.alias())  # processes remember the live one
    return version


def _physical_name(label: str) -> str:
    """Never used before, so that an engine that outlived its database holds no index of that name."""
    plain = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return f"{get_settings().INDEX_PREFIX}-{plain or 'index'}-{secrets.token_hex(4)}".lower()


def _mark_items(document: SearchDocument[Any], version: IndexVersion, lease: locks.HeldLease) -> None:
    """One entry per item for this version alone; how far it came is saved with each chunk."""
    items = document.get_queryset().using(router.db_for_write(document.model)).order_by("pk")
    while not version.marking_done:
        lease.beat()
        last = document.to_pk(version.marked_until) if version.marked_until else None
        page = items if last is None else items.filter(pk__gt=last)
        pks = list(page.values_list("pk", flat=True).distinct()[: outbox.CHUNK])
        version.marking_done = len(pks) < outbox.CHUNK
        version.marked_until = str(pks[-1]) if pks else version.marked_until
        version.total += len(pks)
        with transaction.atomic(using=outbox.alias()):
            outbox.append(
                (OutboxEntry(document=document.label, item_id=str(pk), index_version=version) for pk in pks),
                announce_it=False,
            )
            version.save(update_fields=["marking_done", "marked_until", "total"])


def _fill(version: IndexVersion, lease: locks.HeldLease, progress: Progress | None) -> DrainReport:
    """Drain until every entry that the version waits for now was tried once, by this process or another.

    Not those that come meanwhile: a site that is never still would keep the build from ever ending.
    """
    report = DrainReport()
    newest = _waiting_for(version).order_by("-pk").values_list("pk", flat=True).first() or 0
    total = _untried(version, newest)
    while waiting := _untried(version, newest):
        lease.beat()
        if progress is not None:
            progress(total - min(waiting, total), total)
        batch = drain_batch(get_settings().LIMITS.drain_batch, version=version)
        _stop_at_outage(version)
        if batch is None:
            outbox.release_dead()
            time.sleep(POLL_SECONDS)
        else:
            report += batch
    if progress is not None:
        progress(total, total)
    return report


def _untried(version: IndexVersion, newest: int) -> int:
    """What fails gets a time for its next attempt, and does not hold up the build."""
    return _waiting_for(version).filter(not_before=None, pk__lte=newest).count()


def _waiting_for(version: IndexVersion) -> QuerySet[OutboxEntry]:
    """What a version lacks: its own entries and, once it is complete but for changes, those for all."""
    waiting = Q(index_version=version)
    if version.state == IndexVersion.State.READY:
        waiting |= Q(index_version=None, document=version.document)
    return OutboxEntry.objects.filter(waiting)


def _stop_at_outage(version: IndexVersion) -> None:
    """An index must not become ready for want of its encoder or engine."""
    waiting = Q(index_version=version) | Q(index_version=None, document=version.document)
    down = OutboxEntry.objects.filter(waiting, outage=True).first()
    if down is not None:
        failure = EncoderUnavailable if down.last_error.startswith("Encoder") else BackendUnavailable
        raise failure(f"{down.last_error} The build goes on where it stopped when it is run again.")


def _become_ready(version: IndexVersion, measured: Measured) -> None:
    version.state = IndexVersion.State.READY
    version.ready_at = timezone.now()
    version.floor = measured.floor
    version.floor_samples = measured.samples()
    version.save(update_fields=["state", "ready_at", "floor", "floor_samples"])


def estimate(label: str) -> Estimate:
    """Time and space of a build, from encoding a few items here and now."""
    document = registry.get(label)
    encoder = load_encoder(_wanted_spec(document))
    count = document.get_queryset().count()
    stored = Embedding.objects.filter(document=label, encoder_id=encoder.id).count()
    to_encode = max(count - stored, 0)
    passages = [found.passage for found in sample(document, SAMPLE)]
    if not passages:
        return Estimate(items=count, to_encode=to_encode, seconds=0.0, bytes=0)
    encoder.encode_document(passages[:1])  # loading and warming up is no part of the rate
    started = time.perf_counter()
    encoder.encode_document(passages)
    seconds = (time.perf_counter() - started) / len(passages)
    text = sum(len(passage.encode()) for passage in passages) / len(passages)
    return Estimate(
        items=count,
        to_encode=to_encode,
        seconds=to_encode * seconds,
        bytes=round(count * (encoder.dimensions * 4 * VECTOR_COPIES + text * TEXT_COPIES)),
    )
