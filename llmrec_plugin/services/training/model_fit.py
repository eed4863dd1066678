"""Learns neighbours and popularity from interactions in closed form, and serves what was learned."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from llmrec_plugin.learning.scorers.neighbours import TOP, Neighbours, taken, taken_together
from llmrec_plugin.learning.scorers.sequential import neighbours_from
from llmrec_plugin.learning.selection.model_config import ScorerConfig, fit_prior
from llmrec_plugin.models import Configuration, IndexVersion, ModelArtefact, ModelVersion, own
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import LearnedModel, learned_by, to_bytes
from llmrec_plugin.services.model_registry.training_report import TrainingReport
from llmrec_plugin.services.training import private
from llmrec_plugin.services.training.adaptation import adapt, whitened_rows
from llmrec_plugin.services.training.event_data import EventData, read_event_data
from llmrec_plugin.services.training.private import Budget
from llmrec_plugin.types import Progress

MIN_EVENTS = 20
"""Below, what people took together is chance: popularity alone is learned."""
STEPS = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedModel:
    """Holds what a training came to, before it is live."""

    document: str
    learned: LearnedModel
    report: TrainingReport
    """But for the seconds it took."""
    parent: ModelVersion | None
    """What was live when it was learned."""
    since: datetime | None
    """When the first event was that it learned from."""
    until: datetime | None
    index_version: IndexVersion | None
    """With which it goes live; None: with the one that is live then."""

    @classmethod
    def of(
        cls,
        pair: LivePair,
        data: EventData,
        learned: LearnedModel,
        report: TrainingReport,
        *,
        index_version: IndexVersion | None = None,
    ) -> TrainedModel:
        """Return it ready to be published; `report`: how it was learned; what it was learned from is
        added."""
        return cls(
            document=pair.index_version.document,
            learned=learned,
            report=replace(
                report, events=data.events, users=data.users, items=len(learned.keys), kind=learned.kind
            ),
            parent=pair.model_version,
            since=data.since,
            until=data.until,
            index_version=index_version,
        )


def fit(
    label: str,
    *,
    now: datetime | None = None,
    by: str = "command",
    index_version: IndexVersion | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """Learn from the consented interactions up to `now` and make the result live with the live index, or
    with a ready `index_version` that takes its place.

    Raises NotBuilt when no index is live, LeaseLost while another training of the document runs. Any number
    of events will do, none included.
    """
    started = time.perf_counter()
    now = now or timezone.now()
    report_step = progress or (lambda done, total: None)
    pair = live_pair(label)  # before any work is done
    with locks.hold(lease_name(label), heartbeat=True) as lease:
        data = read_event_data(label, now=now)
        report_step(1, STEPS)
        lease.beat()
        allowed = private.budget()
        if allowed is not None:
            model = _learn_privately(pair, data, allowed, index_version=index_version)
        else:
            model = _learn(pair, data, index_version=index_version, beat=lease.beat)
        report_step(2, STEPS)
        lease.beat()
        version = publish(model, started=started, by=by)
    report_step(STEPS, STEPS)
    return version


def publish(model: TrainedModel, *, started: float, by: str, reason: str = "trained") -> ModelVersion:
    """Store what was learned and make it live. The caller holds the lock.

    `started`: by time.perf_counter, for the seconds it took.
    """
    report = replace(model.report, seconds=round(time.perf_counter() - started, 3))
    content = to_bytes(model.learned)
    sha256 = hashlib.sha256(content).hexdigest()
    with transaction.atomic(using=own.database()):
        artefact, _ = ModelArtefact.objects.get_or_create(sha256=sha256, defaults={"content": content})
        version = ModelVersion.objects.create(
            document=model.document,
            artefact=artefact,
            report=report.to_json(),
            parent=model.parent,
            events_since=model.since,
            events_until=model.until,
        )
        index = model.index_version or live_pair(model.document).index_version
        promotion.promote(index, model_version=version, by=by, reason=reason)
    return version


def complete(
    pair: LivePair,
    data: EventData,
    adaptation: Adaptation | None,
    report: TrainingReport,
    *,
    index_version: IndexVersion | None = None,
) -> TrainedModel:
    """Learn neighbours and popularity in the way of the adaptation, which `report` says how it was found."""
    config = adaptation.config if adaptation else ScorerConfig()
    parts, method = _no_neighbours(len(data.keys)), "popularity"
    if data.events >= MIN_EVENTS:
        index = index_version or pair.index_version
        others, whitened = whitened_rows(index, data.keys, config=config.neighbours)
        size = len(data.keys) + len(others)
        neighbours, method = neighbours_from(
            data.log, catalogue=size, config=config.neighbours, whitened=whitened
        )
        together = taken_together(taken(data.log.users, data.log.items, catalogue=size), neighbours)
        parts = {"neighbours": neighbours, "together": together, "others": others}
    learned = LearnedModel(
        keys=data.keys,
        **parts,
        prior=fit_prior(data.log, config.popularity, len(data.keys)),
        kind=data.kind,
        adaptation=adaptation,
    )
    return TrainedModel.of(pair, data, learned, replace(report, method=method), index_version=index_version)


def lease_name(label: str) -> str:
    """Return the name of the lock that one training of the document at a time holds."""
    return f"train:{label}"


def _learn(
    pair: LivePair, data: EventData, *, index_version: IndexVersion | None, beat: Callable[[], None]
) -> TrainedModel:
    """Choose by the events what they can carry, and learn that."""
    index = index_version or pair.index_version
    adaptation, report = adapt(
        index,
        data.keys,
        data.log,
        incumbent=_incumbent(pair, index),
        configured=Configuration.current().shares(),
        progress=lambda done, total: beat(),
    )
    return complete(pair, data, adaptation, report, index_version=index_version)


def _learn_privately(
    pair: LivePair, data: EventData, allowed: Budget, *, index_version: IndexVersion | None
) -> TrainedModel:
    """Learn with noise; it goes live in place of whatever answers, which may have been learned without."""
    found = private.learn(
        index_version or pair.index_version,
        data.keys,
        data.log,
        allowed,
        configured=Configuration.current().shares(),
    )
    learned = LearnedModel(
        keys=found.keys,
        **_no_neighbours(len(found.keys)),
        prior=found.prior,
        kind=data.kind,
        adaptation=found.adaptation,
    )
    report = replace(found.report, method="private")
    return TrainedModel.of(pair, data, learned, report, index_version=index_version)


def _incumbent(pair: LivePair, index: IndexVersion) -> Adaptation | None:
    """Return what answers now; for another index than the live one its config, to be fitted on those
    vectors."""
    adaptation = learned_by(pair.model_version).adaptation
    if adaptation is not None and index.pk != pair.index_version.pk:
        return replace(adaptation, encoder_id=index.encoder_id)
    return adaptation


def _no_neighbours(items: int) -> dict[str, Any]:
    size = (items, TOP)
    none = Neighbours(indices=np.full(size, -1, np.int32), weights=np.zeros(size, np.float32))
    return {"neighbours": none, "together": np.zeros(size, np.bool_)}
