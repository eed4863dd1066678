"""Tunes the encoder of a document on the site's own events, and takes it over only if it is proven better.

The walk: events and texts into pairs -> a training process -> the tuned encoder beside the one that answers,
on the latest events -> a new index version, filled while the old one answers -> a head for it -> live.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone
from django.utils.translation import gettext as _

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
from llmrec_plugin.encoders.description import ModelDescription, describe
from llmrec_plugin.encoders.sources import TUNED, tuned_folder
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.learning.setups import Setup
from llmrec_plugin.models import (
    Configuration,
    Embedding,
    IndexVersion,
    ModelVersion,
    TunedEncoder,
)
from llmrec_plugin.services import embedding, leases, runs, training, tuning_process
from llmrec_plugin.services.build import build
from llmrec_plugin.services.encoders import tuned_spec
from llmrec_plugin.services.live import LivePair, encoder_of, live_pair
from llmrec_plugin.services.projection import prepared_items
from llmrec_plugin.services.tuning_data import Behaviour, behaviour_of, make_training_data, on_rows
from llmrec_plugin.services.tuning_gate import Arena, Verdict, judge
from llmrec_plugin.services.tuning_source import source_texts
from llmrec_plugin.training import job
from llmrec_plugin.training.base import BaseModel, TrainingOptions, TrainingReport
from llmrec_plugin.types import Matrix, Progress

logger = logging.getLogger(__name__)

CHUNK = 500
MOST_ITEMS = 20_000
"""Items that two encoders are compared on: those with the most events first."""
JOB_KEPT = timedelta(days=7)
"""An interrupted training that is older is begun anew: its events are too old."""


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """What came of it; without `index_version` nothing changed."""

    encoder: TunedEncoder
    training: TrainingReport
    verdict: Verdict
    index_version: IndexVersion | None = None
    model_version: ModelVersion | None = None


def tune(
    label: str,
    *,
    options: TrainingOptions,
    by: str = "command",
    now: datetime | None = None,
    restart: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> TuningReport:
    """Tune, compare and, if it is better, make live; whatever fails leaves the live pair as it is.

    Interrupted and called again with the same options it goes on from the last checkpoint, unless
    `restart`. `source`: the label or file of items that the option adversarial unlearns the difference to.
    Raises InvalidRequest for a source without that option or the reverse, NotBuilt, LeaseLost while
    another one runs, TrainingFailed, ConfigurationError.
    """
    now = now or timezone.now()
    pair = live_pair(label)
    texts = _source(label, source, options)
    recorded = runs.on_record(label, by=by, reason=_("the encoder is tuned"))
    with recorded as run, leases.hold(f"tune:{label}") as lease:
        document = registry.get(label)
        base = document.encoder_spec()
        description = describe(base)
        behaviour = behaviour_of(label, now=now)
        lease.beat()
        folder = job_folder(label)
        if restart or not _unfinished(folder, description, options, texts):
            shutil.rmtree(folder, ignore_errors=True)
            _write_job(folder, base, description, behaviour, options, texts)
        lease.beat()
        trained = tuning_process.run(folder, beat=lease.beat, progress=progress)
        encoder = _record(document, base, trained, behaviour, by=by)
        verdict = _compare(document, encoder, pair, behaviour, lease.beat)
        _decide(encoder, verdict)
        shutil.rmtree(folder, ignore_errors=True)
        if not verdict.accepted:
            return TuningReport(encoder=encoder, training=trained, verdict=verdict)
        lease.beat()
        spec = tuned_spec(encoder.name, base)
        built = build(label, spec=spec, promote=False, by=by)
        model = training.fit(label, index_version=built.index_version, now=now, by=by)
        run.model_version = model
    return TuningReport(
        encoder=encoder,
        training=trained,
        verdict=verdict,
        index_version=built.index_version,
        model_version=model,
    )


def job_folder(label: str) -> Path:
    """Where the training of a document is kept while it runs."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label)
    return get_settings().data_dir / "training" / plain


def _source(label: str, source: str, options: TrainingOptions) -> tuple[str, ...]:
    if bool(source) != bool(options.adversarial):
        raise InvalidRequest(
            "An encoder learns from a source only not to tell it from the site: give both --source and "
            "--set adversarial=WEIGHT, or neither.",
            parameter="source",
        )
    return source_texts(source, own=label) if source else ()


def _unfinished(
    folder: Path, description: ModelDescription, options: TrainingOptions, source: Sequence[str]
) -> bool:
    """Whether the same training was begun before and can be gone on with."""
    path = folder / job.JOB
    plain = job.read_json(path)
    if not plain:
        return False
    age = timezone.now().timestamp() - path.stat().st_mtime
    same = plain["options"] == asdict(options) and plain["base"]["folder"] == str(description.folder)
    if source:
        prompted = [description.document_prompt + text for text in source]
        same = same and plain["texts"][-len(prompted) :] == prompted
    return same and age < JOB_KEPT.total_seconds()


def _write_job(
    folder: Path,
    base: EncoderSpec,
    description: ModelDescription,
    behaviour: Behaviour,
    options: TrainingOptions,
    source: Sequence[str],
) -> None:
    model = BaseModel(
        folder=str(description.folder),
        name=base.name,
        pooling=description.pooling,
        license=description.license,
        query_prompt=description.query_prompt,
        document_prompt=description.document_prompt,
    )
    data = make_training_data(
        behaviour,
        load_encoder(base),
        options,
        prompts=(description.query_prompt, description.document_prompt),
        source=source,
    )
    job.write_job(folder, model, data, options, tuned_folder())


def _record(
    document: SearchDocument[Any],
    base: EncoderSpec,
    trained: TrainingReport,
    behaviour: Behaviour,
    *,
    by: str,
) -> TunedEncoder:
    name = TUNED + Path(trained.folder).name
    spec = tuned_spec(name, base)
    return TunedEncoder.objects.create(
        document=document.label,
        name=name,
        options=dict(spec.options),
        encoder_id=load_encoder(spec).id,
        base_name=base.name,
        base_options=dict(base.options),
        base_id=load_encoder(base).id,
        events_until=behaviour.until,
        report={"training": {**asdict(trained), "folder": Path(trained.folder).name}},
        by=by,
    )


def _compare(
    document: SearchDocument[Any],
    tuned: TunedEncoder,
    pair: LivePair,
    behaviour: Behaviour,
    beat: Callable[[], None],
) -> Verdict:
    """The tuned encoder against what answers, both on the items that have a vector by both."""
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
        return Verdict(accepted=False, reasons=("few-events",), figures={"cases": 0})
    arena = Arena(
        keys=keys,
        titles=titles,
        events=events,
        split=behaviour.split,
        clicks=_late_clicks(behaviour),
    )
    return judge(
        arena,
        before=(encoder_of(live), _vectors(live, keys)),
        after=(encoder, _vectors(candidate, keys)),
        incumbent=_incumbent(pair),
        label=document.label,
        beat=beat,
    )


def _incumbent(pair: LivePair) -> Setup:
    """What is served now, as far as it does not belong to the vectors of one encoder."""
    adaptation = training.collaborative(pair.model_version).adaptation
    return adaptation.setup if adaptation else Setup(shares=Configuration.current().shares())


def _encode_catalogue(
    document: SearchDocument[Any], version: IndexVersion, beat: Callable[[], None]
) -> dict[str, str]:
    """Store the vector of every item, as a build would, and return the titles; a build finds them there."""
    titles: dict[str, str] = {}
    pks = list(document.get_queryset().order_by("pk").values_list("pk", flat=True).distinct())
    for start in range(0, len(pks), CHUNK):
        items = list(prepared_items(document, [str(pk) for pk in pks[start : start + CHUNK]]).values())
        found = embedding.embed(items, version=version)
        embedding.store(items, found.vectors, version=version)
        titles |= {item.key: item.title for item in items}
        beat()
    return titles


def _stored_keys(version: IndexVersion) -> set[str]:
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    return set(rows.values_list("object_id", flat=True))


def _on_items(behaviour: Behaviour, known: set[str]) -> tuple[list[str], Events]:
    """The items that are ranked, those with the most events first, and the events on their rows.

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


def _vectors(version: IndexVersion, keys: Sequence[str]) -> Matrix:
    place = {key: row for row, key in enumerate(keys)}
    vectors = np.zeros((len(keys), version.dimensions), np.float32)
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    for row in rows.only("object_id", "vector").iterator(chunk_size=2_000):
        if row.object_id in place:
            vectors[place[row.object_id]] = row.as_array()
    return vectors


def _late_clicks(behaviour: Behaviour) -> list[tuple[str, str]]:
    """Of the time that neither encoder has seen."""
    times = behaviour.events.times
    start = behaviour.split.test.start
    begin = times[start] if start < len(times) else np.inf
    clicks = behaviour.clicks
    return [
        (clicks.queries[place], behaviour.keys[clicks.items[place]])
        for place in np.flatnonzero(clicks.times >= begin).tolist()
    ]


def _decide(encoder: TunedEncoder, verdict: Verdict) -> None:
    """Keep the outcome; of an encoder that was refused nothing but the record stays."""
    encoder.state = TunedEncoder.State.ACCEPTED if verdict.accepted else TunedEncoder.State.REFUSED
    encoder.report = {**encoder.report, "verdict": _jsonable(asdict(verdict))}
    encoder.save(update_fields=["state", "report"])
    logger.info(
        "encoder tuned document=%s accepted=%s reasons=%s",
        encoder.document,
        verdict.accepted,
        ",".join(verdict.reasons),
    )
    if not verdict.accepted and not IndexVersion.objects.filter(encoder_id=encoder.encoder_id).exists():
        Embedding.objects.filter(document=encoder.document, encoder_id=encoder.encoder_id).delete()
        shutil.rmtree(tuned_folder() / encoder.name.removeprefix(TUNED), ignore_errors=True)


def _jsonable(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    return None if isinstance(value, float) and value != value else value
