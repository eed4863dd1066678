"""Learns towards what another site learned: learning curves beside learning from nothing, proof, adoption.

A source (`source_models`) is a folder that `export-model` wrote, or another document of this site, such as
one that public interactions were imported for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from django.utils import timezone

from llmrec_plugin.encoders.identity import same_vectors
from llmrec_plugin.evaluation.protocol import Events, amounts_by_user, temporal_cases, temporal_split
from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.selection.case_metrics import CaseMetrics, Scores
from llmrec_plugin.learning.selection.model_config import (
    HeadConfig,
    ScorerConfig,
    fit_scorer,
    fit_text,
    likeness,
    recent_amounts,
)
from llmrec_plugin.learning.selection.stepwise import COLD_KEPT, COVERAGE_KEPT
from llmrec_plugin.learning.selection.transfer import RIDGE, Source, head_from
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.source_models import ENCODER, SourceModel, read_source
from llmrec_plugin.services.model_registry.training_report import (
    LearningCurvePoint,
    TrainingReport,
    TransferReport,
)
from llmrec_plugin.services.training import event_data, model_fit, private, runs
from llmrec_plugin.services.training.adaptation import item_vectors
from llmrec_plugin.services.training.event_data import EventData
from llmrec_plugin.types import Matrix

CURVE = (0, 100, 1_000, 10_000)
WEIGHT = 1_000.0
"""Own events that a source counts as much as; learning curves say whether that suits."""
CASES = 1_000
MIN_CASES = 100
"""Latest events below which nothing is proven."""
CONFIDENCE = 0.9
MIN_ITEMS = 2
SEED = 0


def transfer(
    label: str,
    where: str,
    *,
    by: str = "command",
    reason: str = "",
    now: datetime | None = None,
    seconds: int | None = None,
    trust: bool = False,
    curve: Sequence[int] = CURVE,
) -> TransferReport:
    """Learn towards a source, show it beside learning from nothing, and take it over where it is better and
    neither new items nor the breadth of the lists pay for it.

    Where there are too few events to tell, it is taken over only if the site trusts it. On record like any
    training, and stopped after `seconds`. Raises NotFound, ConfigurationError where the encoders differ or
    the source is no complete one, NotBuilt, LeaseLost, TrainingStopped.
    """
    private.refuse("Learning from a source")
    pair = live_pair(label)
    model = read_source(where)
    _check_space(pair, model)
    recorded = runs.recorded_run(label, by=by, reason=reason or f"source {model.name}", seconds=seconds)
    with recorded as run, locks.hold(model_fit.lease_name(label), heartbeat=True):
        started = time.perf_counter()
        data = event_data.read_event_data(label, now=now or timezone.now())
        vectors, events = item_vectors(pair.index_version, data.keys, data.log)
        if len(vectors) < MIN_ITEMS:
            raise ConfigurationError(f'"{label}" has {len(vectors)} items; at least {MIN_ITEMS} are needed.')
        measured = _Measured.of(events, vectors, pair, model, Source(model.map, WEIGHT))
        report = _measure(measured, model, curve)
        if _is_taken(report, trust=trust):
            trained = _trained(pair, data, measured, events, report)
            run.model_version = model_fit.publish(
                trained, started=started, by=by, reason="learned from a source"
            )
            report = replace(report, model_version=run.model_version.pk)
    return report


def _is_taken(report: TransferReport, *, trust: bool) -> bool:
    if report.low is None:
        return trust
    return report.low > 0 and not report.broken


def _check_space(pair: LivePair, model: SourceModel) -> None:
    """A map means nothing among the vectors of another encoder."""
    live = pair.index_version
    same = same_vectors(model.encoder_id, live.encoder_id)
    if same and len(model.map) == live.dimensions:
        return
    if same:
        raise ConfigurationError(
            f'The map of "{model.name}" has {len(model.map)} dimensions, but its encoder has '
            f"{live.dimensions}: export the model again."
        )
    own = Path(model.name) / ENCODER
    declared = str(own) if own.is_dir() else model.encoder_name
    raise ConfigurationError(
        f'What "{model.name}" learned is in the space of {model.encoder_id}; "{live.document}" is encoded by '
        f'{live.encoder_id}. Declare the encoder "{declared}", run `manage.py llmrec build --document '
        f"{live.document}` and try again."
    )


def _measure(measured: _Measured, model: SourceModel, curve: Sequence[int]) -> TransferReport:
    cases = len(measured.metrics.cases)
    report = TransferReport(
        source=model.name,
        cases=cases,
        frozen=measured.frozen() if cases else None,
        curve=tuple(measured.point(size) for size in _sizes(curve, measured.known)) if cases else (),
        gain=None,
        low=None,
    )
    if cases < MIN_CASES:
        return report
    gain, broken = measured.gain()
    return replace(report, gain=gain.difference, low=gain.low, broken=broken)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Holds the latest events, and what is learned from those before them."""

    known: Events
    metrics: CaseMetrics
    """Measures on the latest events."""
    vectors: Matrix
    served: ScorerConfig
    """What answers now."""
    served_source: Source | None
    config: ScorerConfig
    """The same with the settings of the source's head."""
    source: Source

    @classmethod
    def of(
        cls, events: Events, vectors: Matrix, pair: LivePair, model: SourceModel, source: Source
    ) -> _Measured:
        split = temporal_split(events, valid=0.0)
        known = events.part(slice(0, split.test.start))
        served = learned_by(pair.model_version).adaptation
        if served is not None and served.encoder_id != pair.index_version.encoder_id:
            served = None
        now = served.config if served else ScorerConfig(shares=Configuration.current().shares())
        drawn = temporal_cases(events, split.test, rng=np.random.default_rng(SEED), most=CASES)
        cases = [case for case in drawn if case.history]
        return cls(
            known=known,
            metrics=CaseMetrics.of(
                cases,
                events=known,
                items=len(vectors),
                past_amounts=recent_amounts(cases, amounts_by_user(events)),
            ),
            vectors=vectors,
            served=now,
            served_source=served.source if served else None,
            config=replace(now, gamma=model.gamma, head=HeadConfig(ridge=RIDGE, mix=model.mix)),
            source=source,
        )

    def point(self, size: int) -> LearningCurvePoint:
        known = self.known.part(slice(len(self.known) - size, len(self.known)))
        own = fit_text(self.config, known, self.vectors)
        helped = head_from(self.source, self.config, known, self.vectors)
        nothing, source = (
            self._mean(likeness(head, self.vectors, gamma=self.config.gamma)) for head in (own, helped)
        )
        return LearningCurvePoint(events=size, nothing=nothing, source=source)

    def frozen(self) -> float:
        return self._mean(likeness(None, self.vectors, gamma=self.config.gamma))

    def gain(self) -> tuple[PairedDifference, tuple[str, ...]]:
        """Return the gain of all that would be served with the source, over what is served; and what would
        pay for it."""
        before = self._fitted(self.served, self.served_source)
        after = self._fitted(self.config, self.source)
        gain = paired_bootstrap(
            self.metrics.ndcg(after),
            self.metrics.ndcg(before),
            rng=np.random.default_rng(SEED),
            groups=self.metrics.users,
            confidence=CONFIDENCE,
        )
        broken = []
        cold_before, cold_after = self.metrics.cold_mean(before), self.metrics.cold_mean(after)
        if cold_after < COLD_KEPT * cold_before:  # NaN, too few to tell, is not less
            broken.append("new-items")
        if self.metrics.coverage(after) < COVERAGE_KEPT * self.metrics.coverage(before):
            broken.append("coverage")
        return gain, tuple(broken)

    def _fitted(self, config: ScorerConfig, source: Source | None) -> Scores:
        fitted = fit_scorer(config, self.known, self.vectors)
        if source is None:
            return fitted
        head = head_from(source, config, self.known, self.vectors)
        return replace(fitted, text=likeness(head, self.vectors, gamma=config.gamma))

    def _mean(self, score: Scores) -> float:
        return float(self.metrics.ndcg(score).mean())


def _sizes(curve: Sequence[int], known: Events) -> list[int]:
    """Return those that there are events for, and all of them."""
    return sorted({size for size in curve if size < len(known)} | {len(known)})


def _trained(
    pair: LivePair, data: EventData, measured: _Measured, events: Events, report: TransferReport
) -> model_fit.TrainedModel:
    """Learn with a head from the source and all events; later trainings keep it until it is beaten."""
    adaptation = Adaptation(
        encoder_id=pair.index_version.encoder_id,
        config=measured.config,
        head=head_from(measured.source, measured.config, events, measured.vectors),
        source=measured.source,
    )
    return model_fit.complete(pair, data, adaptation, TrainingReport(transfer=report))
