"""Learns neighbours and popularity from interactions in closed form, and serves what was learned."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.scorers.neighbours import TOP, Neighbours, taken, taken_together
from llmrec_plugin.learning.scorers.sequential import neighbours_from
from llmrec_plugin.learning.selection.model_config import ScorerConfig, fit_prior
from llmrec_plugin.models import Configuration, IndexVersion, Interaction, ModelArtefact, ModelVersion
from llmrec_plugin.ranking.profile import liking
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import LearnedModel, learned_by, to_bytes
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.training import private
from llmrec_plugin.services.training.adaptation import adapt, whitened_rows
from llmrec_plugin.services.training.private import Budget
from llmrec_plugin.types import Progress

MIN_EVENTS = 20
"""Below, what people took together is chance: popularity alone is learned."""
STEPS = 3


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
    index = index_version or pair.index_version
    with locks.hold(lease_name(label), heartbeat=True) as lease:
        data = training_data(label, now=now)
        report_step(1, STEPS)
        lease.beat()
        allowed = private.budget()
        if allowed is not None:
            version = _adopt_private(pair, index_version, data, allowed, started=started, by=by)
            report_step(STEPS, STEPS)
            return version
        adaptation, ladder = adapt(
            index,
            data.keys,
            data.log,
            incumbent=_incumbent(pair, index),
            configured=Configuration.current().shares(),
            progress=lambda done, total: lease.beat(),
        )
        report_step(2, STEPS)
        lease.beat()
        version = adopt(
            pair, data, adaptation, report=ladder, index_version=index_version, started=started, by=by
        )
    report_step(STEPS, STEPS)
    return version


def adopt(
    pair: LivePair,
    data: TrainingData,
    adaptation: Adaptation | None,
    *,
    report: Mapping[str, Any],
    started: float,
    by: str,
    index_version: IndexVersion | None = None,
    reason: str = "trained",
) -> ModelVersion:
    """Learn neighbours and popularity in the way of the adaptation, and make all of it live.

    `report`: how it was found; `started`: by time.perf_counter, for the seconds it took. The caller holds
    the lock.
    """
    learned, method = _learn(data, adaptation, index_version or pair.index_version)
    return _adopt(
        pair,
        data,
        learned,
        method,
        report,
        started=started,
        by=by,
        index_version=index_version,
        reason=reason,
    )


def _adopt_private(
    pair: LivePair,
    index_version: IndexVersion | None,
    data: TrainingData,
    allowed: Budget,
    *,
    started: float,
    by: str,
) -> ModelVersion:
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
    return _adopt(
        pair, data, learned, "private", found.report, started=started, by=by, index_version=index_version
    )


def _adopt(
    pair: LivePair,
    data: TrainingData,
    learned: LearnedModel,
    method: str,
    report: Mapping[str, Any],
    *,
    started: float,
    by: str,
    index_version: IndexVersion | None = None,
    reason: str = "trained",
) -> ModelVersion:
    whole = {
        "events": data.events,
        "users": data.users,
        "items": len(learned.keys),
        "method": method,
        "kind": learned.kind,
        **report,
        "seconds": round(time.perf_counter() - started, 3),
    }
    lineage = {"parent": pair.model_version, "events_since": data.since, "events_until": data.until}
    label = pair.index_version.document
    return _publish(index_version, label, to_bytes(learned), whole, lineage=lineage, by=by, reason=reason)


def lease_name(label: str) -> str:
    """Of the lock that one training of the document at a time holds."""
    return f"train:{label}"


def _incumbent(pair: LivePair, index: IndexVersion) -> Adaptation | None:
    """What answers now; for another index than the live one its setup, to be fitted on those vectors."""
    adaptation = learned_by(pair.model_version).adaptation
    if adaptation is not None and index.pk != pair.index_version.pk:
        return replace(adaptation, encoder_id=index.encoder_id)
    return adaptation


def _publish(
    index_version: IndexVersion | None,
    label: str,
    content: bytes,
    report: dict[str, Any],
    *,
    lineage: dict[str, Any],
    by: str,
    reason: str,
) -> ModelVersion:
    sha256 = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        artefact, _ = ModelArtefact.objects.get_or_create(sha256=sha256, defaults={"content": content})
        version = ModelVersion.objects.create(document=label, artefact=artefact, report=report, **lineage)
        index = index_version or live_pair(label).index_version
        promotion.promote(index, model_version=version, by=by, reason=reason)
    return version


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    keys: tuple[str, ...]
    events: int
    users: int
    kind: str
    since: datetime | None
    until: datetime | None
    log: Events
    """All events by rows of users and of `keys`; an event of the weightiest kind says most."""


def training_data(label: str, *, now: datetime) -> TrainingData:
    """Events in favour of an item that is still visible, by users who have not refused."""
    weights = {kind: weight for kind, weight in Configuration.current().kind_weights.items() if weight > 0}
    strongest = max(weights.values(), default=1.0)
    visible = {str(pk) for pk in registry.get(label).get_queryset().order_by().values_list("pk", flat=True)}
    events = (
        consent.consented(Interaction.objects.filter(document=label, kind__in=weights, at__lte=now))
        .order_by()
        .values_list("user_key", "item_id", "kind", "value", "at")
    )
    log: list[tuple[str, str, float, float]] = []
    kinds: Counter[str] = Counter()
    since: datetime | None = None
    until: datetime | None = None
    for user, key, kind, value, at in events.iterator(chunk_size=10_000):
        liked = liking(kind, value)
        if key not in visible or liked <= 0:
            continue
        log.append((user, key, at.timestamp(), weights[kind] / strongest * liked))
        kinds[kind] += 1
        since = at if since is None else min(at, since)
        until = at if until is None else max(at, until)
    users = {user: row for row, user in enumerate(sorted({user for user, *_ in log}))}
    keys = tuple(sorted({key for _, key, *_ in log}))
    columns = {key: column for column, key in enumerate(keys)}
    main = max(kinds, key=lambda kind: (kinds[kind] * weights[kind], kind), default="")
    return TrainingData(
        keys=keys,
        events=kinds.total(),
        users=len(users),
        kind=main,
        since=since,
        until=until,
        log=Events.of(
            [users[user] for user, *_ in log],
            [columns[key] for _, key, *_ in log],
            [at for _, _, at, _ in log],
            [amount for *_, amount in log],
        ),
    )


def _learn(
    data: TrainingData, adaptation: Adaptation | None, index: IndexVersion
) -> tuple[LearnedModel, str]:
    """In the way that was found to tell most; and by what method neighbours were learned."""
    config = adaptation.config if adaptation else ScorerConfig()
    parts, method = _no_neighbours(len(data.keys)), "popularity"
    if data.events >= MIN_EVENTS:
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
    return learned, method


def _no_neighbours(items: int) -> dict[str, Any]:
    size = (items, TOP)
    none = Neighbours(indices=np.full(size, -1, np.int32), weights=np.zeros(size, np.float32))
    return {"neighbours": none, "together": np.zeros(size, np.bool_)}
