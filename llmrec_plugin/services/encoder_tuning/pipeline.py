"""Tunes the encoder of a document on the site's own events, and takes it over only if it is proven better.

The walk: events and texts into pairs -> a training process -> the tuned encoder beside the one that answers,
on the latest events -> a new index version, filled while the old one answers -> a head for it -> live.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.db import DatabaseError, transaction
from django.utils import timezone

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.encoders.base import load_encoder
from llmrec_plugin.encoders.sources import TUNED, tuned_folder
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.figures import jsonable
from llmrec_plugin.learning.selection.model_config import ScorerConfig
from llmrec_plugin.models import (
    Configuration,
    Embedding,
    IndexVersion,
    ModelVersion,
    TrainingRun,
    TunedEncoder,
    own,
)
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.encoder_tuning import child_process
from llmrec_plugin.services.encoder_tuning.acceptance import ComparisonData, GateDecision, compare_encoders
from llmrec_plugin.services.encoder_tuning.behaviour import Behaviour, behaviour_of, judged_from, on_rows
from llmrec_plugin.services.encoder_tuning.domain_texts import source_texts
from llmrec_plugin.services.encoder_tuning.jobs import Order, prepare
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.inference import item_embeddings
from llmrec_plugin.services.inference.encoder_selection import tuned_spec
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.inference.item_vectors import vector_matrix
from llmrec_plugin.services.items.preparation import prepared_items
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.training import model_fit, private, runs
from llmrec_plugin.training import card
from llmrec_plugin.training.base import EncoderTrainingReport, TrainingOptions
from llmrec_plugin.types import Progress

logger = logging.getLogger(__name__)

CHUNK = 500
MAX_ITEMS = 20_000
"""Items that two encoders are compared on: those with the most events first."""


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """Holds what came of it; without `index_version` nothing changed."""

    encoder: TunedEncoder
    training: EncoderTrainingReport
    verdict: GateDecision
    index_version: IndexVersion | None = None
    model_version: ModelVersion | None = None


def tune(
    label: str,
    *,
    options: TrainingOptions,
    by: str = "command",
    reason: str = "",
    now: datetime | None = None,
    seconds: int | None = None,
    restart: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> TuningReport:
    """Tune, compare and, if it is better, make live; whatever fails leaves the live pair as it is.

    Interrupted and called again with the same options it goes on from the last checkpoint, unless
    `restart`, or somebody was erased meanwhile. After `seconds` all of it is stopped, while the option of
    that name ends the training alone. `source`: the label or file of items that the option adversarial
    unlearns the difference to.

    Raises InvalidRequest for a source without that option or the reverse, NotBuilt, LeaseLost while
    another one runs, TrainingFailed, TrainingStopped, ConfigurationError.
    """
    private.refuse("Tuning an encoder")
    now = now or timezone.now()
    pair = live_pair(label)
    texts = _source(label, source, options)
    recorded = runs.recorded_run(label, by=by, reason=reason, seconds=seconds, kind=TrainingRun.Kind.TUNING)
    with recorded as run, locks.hold(f"tune:{label}", heartbeat=True) as lease:
        base = registry.get(label).encoder_spec()
        behaviour = behaviour_of(label, now=now)
        lease.beat()
        order = Order(label=label, base=base, options=options, source=texts, run=run.pk)
        folder, facts = prepare(order, behaviour, restart=restart)
        lease.beat()
        trained = child_process.run(folder, beat=lease.beat, progress=progress)
        with _recorded(order, trained, facts, by=by) as encoder:
            report = _try(encoder, trained, pair, behaviour, lease.beat, now=now)
        run.model_version = report.model_version
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _try(
    encoder: TunedEncoder,
    trained: EncoderTrainingReport,
    pair: LivePair,
    behaviour: Behaviour,
    beat: Callable[[], None],
    *,
    now: datetime,
) -> TuningReport:
    """Compare it with what is live, and make it so if it is better."""
    document = registry.get(encoder.document)
    verdict = _compare(document, encoder, pair, behaviour, beat)
    _decide(encoder, verdict)
    if not verdict.accepted:
        return TuningReport(encoder=encoder, training=trained, verdict=verdict)
    beat()
    spec = tuned_spec(encoder.name, document.encoder_spec())
    built = build(document.label, spec=spec, promote=False, by=encoder.by)
    model = model_fit.fit(document.label, index_version=built.index_version, now=now, by=encoder.by)
    _settle(encoder, TunedEncoder.State.ACCEPTED)
    return TuningReport(
        encoder=encoder,
        training=trained,
        verdict=verdict,
        index_version=built.index_version,
        model_version=model,
    )


def _source(label: str, source: str, options: TrainingOptions) -> tuple[str, ...]:
    if bool(source) != bool(options.adversarial):
        raise InvalidRequest(
            "An encoder learns from a source only not to tell it from the site: give both --source and "
            "--set adversarial=WEIGHT, or neither.",
            parameter="source",
        )
    return source_texts(source, own=label) if source else ()


@contextmanager
def _recorded(
    order: Order, trained: EncoderTrainingReport, facts: Mapping[str, Any], *, by: str
) -> Iterator[TunedEncoder]:
    """Yield the row of the encoder, while it is compared and built; if that does not come to its end, it says
    so.

    Whoever was erased since the data were read counts as known to it, as in `privacy.erase_user`, which
    marks the row itself from here on.
    """
    name = TUNED + Path(trained.folder).name
    spec = tuned_spec(name, order.base)
    identities = [load_encoder(one).id for one in (spec, order.base)]
    report: dict[str, Any] = {
        "training": {**asdict(trained), "folder": Path(trained.folder).name},
        "data": dict(facts),
    }
    with transaction.atomic(using=own.database()):
        erased = TrainingRun.objects.select_for_update().get(pk=order.run).erased
        broken_off = TunedEncoder.objects.filter(document=order.label, state=TunedEncoder.State.MEASURING)
        broken_off.update(state=TunedEncoder.State.BROKEN)  # by a kill: nobody else tunes this document now
        encoder = TunedEncoder.objects.create(
            document=order.label,
            name=name,
            options=dict(spec.options),
            encoder_id=identities[0],
            base_name=order.base.name,
            base_options=dict(order.base.options),
            base_id=identities[1],
            events_since=_moment(facts["first"]),
            events_until=_moment(facts["last"]),
            report={**report, "erased": erased} if erased else report,
            by=by,
        )
    try:
        yield encoder
    except BaseException:
        with suppress(DatabaseError):  # a full disk, perhaps; the next tuning finds the row as it is
            _settle(encoder, TunedEncoder.State.BROKEN)
        raise


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _compare(
    document: SearchDocument[Any],
    tuned: TunedEncoder,
    pair: LivePair,
    behaviour: Behaviour,
    beat: Callable[[], None],
) -> GateDecision:
    """Compare the tuned encoder with what answers, both on the items that have a vector by both."""
    live = pair.index_version
    encoder = load_encoder(tuned_spec(tuned.name, document.encoder_spec()))
    candidate = IndexVersion(
        document=document.label,
        name=tuned.name,
        encoder_name=tuned.name,
        encoder_options=tuned.options,
        encoder_id=encoder.id,
        dimensions=encoder.dimensions,
    )
    titles = _encode_catalogue(document, candidate, beat)
    keys, events = _on_items(behaviour, _stored_keys(live) & _stored_keys(candidate))
    if not len(events):
        return GateDecision(accepted=False, reasons=("few-events",), figures={"cases": 0})
    arena = ComparisonData(
        keys=keys,
        titles=titles,
        events=events,
        split=behaviour.split,
        clicks=_late_clicks(behaviour),
    )
    return compare_encoders(
        arena,
        before=(encoder_of(live), vector_matrix(live, keys)),
        after=(encoder, vector_matrix(candidate, keys)),
        incumbent=_incumbent(pair),
        label=document.label,
        beat=beat,
    )


def _incumbent(pair: LivePair) -> ScorerConfig:
    """Return what is served now, as far as it does not belong to the vectors of one encoder."""
    adaptation = learned_by(pair.model_version).adaptation
    return adaptation.config if adaptation else ScorerConfig(shares=Configuration.current().shares())


def _encode_catalogue(
    document: SearchDocument[Any], version: IndexVersion, beat: Callable[[], None]
) -> dict[str, str]:
    """Store the vector of every item, as a build would, and return the titles; a build finds them there."""
    titles: dict[str, str] = {}
    pks = list(document.get_queryset().order_by("pk").values_list("pk", flat=True).distinct())
    for start in range(0, len(pks), CHUNK):
        items = list(prepared_items(document, [str(pk) for pk in pks[start : start + CHUNK]]).values())
        found = item_embeddings.embed(items, version=version)
        item_embeddings.store(items, found.vectors, version=version)
        titles |= {item.key: item.title for item in items}
        beat()
    return titles


def _stored_keys(version: IndexVersion) -> set[str]:
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    return set(rows.values_list("item_id", flat=True))


def _on_items(behaviour: Behaviour, known: set[str]) -> tuple[list[str], Events]:
    """Return the items that are ranked, those with the most events first, and the events on their rows.

    No event is left out, so that the windows of the split stay where they are.
    """
    counts = np.bincount(behaviour.events.items, minlength=len(behaviour.keys))
    busy = [behaviour.keys[row] for row in np.argsort(-counts, kind="stable")]
    if not known.issuperset(busy):
        return [], Events.of([], [], [])
    keys = [*busy, *sorted(known.difference(busy))]
    place = {key: row for row, key in enumerate(keys)}
    rows = np.array([place[key] for key in behaviour.keys], np.int64)
    return keys, on_rows(behaviour.events, rows[behaviour.events.items])


def _late_clicks(behaviour: Behaviour) -> list[tuple[str, str]]:
    """Return the clicks of the time that neither encoder has seen."""
    begin, clicks = judged_from(behaviour), behaviour.clicks
    return [
        (clicks.queries[place], behaviour.keys[clicks.items[place]])
        for place in np.flatnonzero(clicks.times >= begin).tolist()
    ]


def _decide(encoder: TunedEncoder, verdict: GateDecision) -> None:
    """Keep the outcome; of an encoder that was refused nothing but the record stays."""
    logger.info(
        "encoder tuned document=%s accepted=%s reasons=%s",
        encoder.document,
        verdict.accepted,
        ",".join(verdict.reasons),
    )
    figures = jsonable(asdict(verdict))
    folder = tuned_folder() / encoder.name.removeprefix(TUNED)
    if verdict.accepted:
        _settle(encoder, TunedEncoder.State.MEASURING, verdict=figures)
        card.tell_worth(folder, figures["figures"])
        return
    _settle(encoder, TunedEncoder.State.REFUSED, verdict=figures)
    if not IndexVersion.objects.filter(encoder_id=encoder.encoder_id).exists():
        Embedding.objects.filter(document=encoder.document, encoder_id=encoder.encoder_id).delete()
        shutil.rmtree(folder, ignore_errors=True)


def _settle(encoder: TunedEncoder, state: str, **found: Any) -> None:
    """Store where it stands; what was marked in its report meanwhile stays."""
    with transaction.atomic(using=own.database()):
        stored = TunedEncoder.objects.select_for_update().get(pk=encoder.pk)
        encoder.state, encoder.report = state, {**stored.report, **found}
        encoder.save(update_fields=["state", "report"])
