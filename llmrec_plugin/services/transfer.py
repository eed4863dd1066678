"""Carries what one site learned to another: export, learning curves beside learning from nothing, adoption.

A source is a folder that `export-model` wrote, or another document of this site, such as one that public
interactions were imported for. No user and no item is in it: only the map from taste to next item, in the
space of an encoder.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.sources import TUNED, find_model
from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import (
    Case,
    Events,
    amounts_by_user,
    rank_cases,
    temporal_cases,
    temporal_split,
)
from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.exceptions import ConfigurationError, NotFound, TrainingFailed
from llmrec_plugin.learning.selection import Values
from llmrec_plugin.learning.setups import (
    HeadSettings,
    Setup,
    fit_setup,
    fit_text,
    likeness,
    recent,
    recent_amounts,
)
from llmrec_plugin.learning.transfer import RIDGE, Source, head_from, map_of
from llmrec_plugin.learning.trials import Scores
from llmrec_plugin.models import Configuration, ModelVersion
from llmrec_plugin.services import leases, private_learning, training
from llmrec_plugin.services.adaptation import Adaptation, item_vectors
from llmrec_plugin.services.live import LivePair, live_pair
from llmrec_plugin.types import Matrix

MODEL, MAP, ENCODER = "model.json", "map.safetensors", "encoder"
CURVE = (0, 100, 1_000, 10_000)
WEIGHT = 1_000.0
"""Own events that a source counts as much as; learning curves say whether that suits."""
CASES = 1_000
LEAST_CASES = 100
"""Latest events below which nothing is proven."""
CONFIDENCE = 0.9
METRIC = "NDCG@10"
LEAST_ITEMS = 2
SEED = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceModel:
    """What another site's events taught."""

    name: str
    """Where it comes from: a folder, or the label of a document of this site."""
    encoder_id: str
    encoder_name: str
    map: Matrix
    gamma: float
    mix: float
    events: int
    """That it was learned from."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the learning curves: NDCG@10 of likeness alone on the latest events."""

    events: int
    """Own events that were learned from, the latest before those it is measured on."""
    nothing: float
    """Learned from nothing else."""
    source: float
    """Learned towards the source."""


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    source: str
    cases: int
    frozen: float | None
    """NDCG@10 of the vectors as they are; None: too few events to measure anything."""
    curve: tuple[Point, ...]
    gain: float | None
    """Of what would be served with the source, over what is; None: too few events to tell."""
    low: float | None
    model_version: int | None = None
    """None: not taken over, nothing was changed."""


def export_model(label: str, folder: Path, *, overwrite: bool = False) -> list[str]:
    """Write what the live model of a document learned, for other sites, and return the names of the files.

    Raises NotFound where it learned nothing that can be carried over, TrainingFailed where it cannot be
    written.
    """
    from safetensors.numpy import save_file

    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise ConfigurationError(f"{folder} is not empty: name another folder, or add --overwrite.")
    pair = live_pair(label)
    source = _of_document(label)
    plain: dict[str, Any] = {
        "encoder_id": source.encoder_id,
        "encoder_name": source.encoder_name,
        "gamma": source.gamma,
        "mix": source.mix,
        "events": source.events,
        "exported_at": timezone.now().isoformat(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"map": np.ascontiguousarray(source.map)}, folder / MAP)
        if pair.index_version.encoder_name.startswith(TUNED):
            shutil.copytree(find_model(pair.index_version.encoder_name), folder / ENCODER, dirs_exist_ok=True)
        (folder / MODEL).write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"The model could not be written to {folder}: {error}.") from error
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_source(where: str) -> SourceModel:
    """The source of that folder or document; raises NotFound, naming what there is."""
    folder = Path(where).expanduser()
    if (folder / MODEL).is_file():
        return _of_folder(folder)
    if where in registry.labels():
        return _of_document(where)
    raise NotFound(
        f'"{where}" is no folder that `llmrec export-model` wrote, and no document of this site. '
        f"Documents: {', '.join(registry.labels())}."
    )


def _of_folder(folder: Path) -> SourceModel:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        plain = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        return SourceModel(
            name=str(folder),
            encoder_id=plain["encoder_id"],
            encoder_name=plain["encoder_name"],
            map=load_file(folder / MAP)["map"],
            gamma=float(plain["gamma"]),
            mix=float(plain["mix"]),
            events=int(plain["events"]),
        )
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ConfigurationError(
            f"{folder} is no complete export ({error!r}): export the model again."
        ) from error


def _of_document(label: str) -> SourceModel:
    pair = live_pair(label)
    adaptation = training.collaborative(pair.model_version).adaptation
    settings = adaptation.setup.head if adaptation else None
    if adaptation is None or adaptation.head is None or settings is None or settings.ridge is None:
        raise NotFound(
            f'The live model of "{label}" has learned no head, so there is nothing to carry over: its events '
            "did not prove one. `manage.py llmrec train` says at which step they stopped."
        )
    report = pair.model_version.report if pair.model_version else {}
    return SourceModel(
        name=label,
        encoder_id=adaptation.encoder_id,
        encoder_name=pair.index_version.encoder_name,
        map=map_of(adaptation.head, mix=settings.mix),
        gamma=adaptation.setup.gamma,
        mix=settings.mix,
        events=int(report.get("events", 0)),
    )


def transfer(
    label: str,
    where: str,
    *,
    by: str = "command",
    now: datetime | None = None,
    trust: bool = False,
    curve: Sequence[int] = CURVE,
) -> TransferReport:
    """Learn towards a source, show it beside learning from nothing, and take it over where it is better.

    Where there are too few events to tell, it is taken over only if the site trusts it. Raises NotFound,
    ConfigurationError where the encoders differ, NotBuilt, LeaseLost.
    """
    private_learning.refuse("Learning from a source")
    started = time.perf_counter()
    pair = live_pair(label)
    model = read_source(where)
    _check_space(pair, model)
    with leases.hold(training.lease_name(label), heartbeat=True):
        data = training.training_data(label, now=now or timezone.now())
        vectors, events = item_vectors(pair.index_version, data.keys, data.log)
        if len(vectors) < LEAST_ITEMS:
            raise ConfigurationError(
                f'"{label}" has {len(vectors)} items; at least {LEAST_ITEMS} are needed.'
            )
        measured = _Measured.of(events, vectors, pair, model, Source(model.map, WEIGHT))
        report = _measure(measured, model, curve)
        if (report.low or 0) > 0 or (report.low is None and trust):
            version = _adopt(
                pair, data, measured, events, report={"transfer": asdict(report)}, started=started, by=by
            )
            report = replace(report, model_version=version.pk)
    return report


def _check_space(pair: LivePair, model: SourceModel) -> None:
    """A map means nothing among the vectors of another encoder."""
    live = pair.index_version
    if model.encoder_id == live.encoder_id:
        return
    own = Path(model.name) / ENCODER
    declared = str(own) if own.is_dir() else model.encoder_name
    raise ConfigurationError(
        f'What "{model.name}" learned is in the space of {model.encoder_id}; "{live.document}" is encoded by '
        f'{live.encoder_id}. Declare the encoder "{declared}", run `manage.py llmrec build --document '
        f"{live.document}` and try again."
    )


def _measure(measured: _Measured, model: SourceModel, curve: Sequence[int]) -> TransferReport:
    cases = measured.cases
    gain = measured.gain() if len(cases) >= LEAST_CASES else None
    return TransferReport(
        source=model.name,
        cases=len(cases),
        frozen=measured.frozen() if cases else None,
        curve=tuple(measured.point(size) for size in _sizes(curve, measured.known)) if cases else (),
        gain=gain.difference if gain else None,
        low=gain.low if gain else None,
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """The latest events, and what is learned from those before them."""

    known: Events
    amounts: Mapping[int, Sequence[float]] | None
    """What each event of a user says, in order."""
    cases: list[Case]
    vectors: Matrix
    served: Setup
    """What answers now."""
    served_source: Source | None
    setup: Setup
    """The same with the settings of the source's head."""
    source: Source

    @classmethod
    def of(
        cls, events: Events, vectors: Matrix, pair: LivePair, model: SourceModel, source: Source
    ) -> _Measured:
        split = temporal_split(events, valid=0.0)
        served = training.collaborative(pair.model_version).adaptation
        if served is not None and served.encoder_id != pair.index_version.encoder_id:
            served = None
        now = served.setup if served else Setup(shares=Configuration.current().shares())
        cases = temporal_cases(events, split.test, rng=np.random.default_rng(SEED), most=CASES)
        return cls(
            known=events.part(slice(0, split.test.start)),
            amounts=amounts_by_user(events),
            cases=[case for case in cases if case.history],
            vectors=vectors,
            served=now,
            served_source=served.source if served else None,
            setup=replace(now, gamma=model.gamma, head=HeadSettings(ridge=RIDGE, mix=model.mix)),
            source=source,
        )

    def point(self, size: int) -> Point:
        known = self.known.part(slice(len(self.known) - size, len(self.known)))
        own = fit_text(self.setup, known, self.vectors)
        helped = head_from(self.source, self.setup, known, self.vectors)
        nothing, source = (
            self._mean(likeness(head, self.vectors, gamma=self.setup.gamma)) for head in (own, helped)
        )
        return Point(events=size, nothing=nothing, source=source)

    def frozen(self) -> float:
        return self._mean(likeness(None, self.vectors, gamma=self.setup.gamma))

    def gain(self) -> PairedDifference:
        """Of all that would be served with the source, over what is served."""
        before, after = (
            self._values(self._fitted(setup, source))
            for setup, source in ((self.served, self.served_source), (self.setup, self.source))
        )
        return paired_bootstrap(
            after,
            before,
            rng=np.random.default_rng(SEED),
            groups=[case.user for case in self.cases],
            confidence=CONFIDENCE,
        )

    def _fitted(self, setup: Setup, source: Source | None) -> Scores:
        fitted = fit_setup(setup, self.known, self.vectors)
        if source is None:
            return fitted
        head = head_from(source, setup, self.known, self.vectors)
        return replace(fitted, text=likeness(head, self.vectors, gamma=setup.gamma))

    def _mean(self, score: Scores) -> float:
        return float(np.nanmean(self._values(score)))

    def _values(self, score: Scores) -> Values:
        def by_case(batch: Sequence[Case]) -> Matrix:
            return score(recent(batch), recent_amounts(batch, self.amounts))

        return accuracy(rank_cases(by_case, self.cases).ranks)[METRIC]


def _sizes(curve: Sequence[int], known: Events) -> list[int]:
    """Those that there are events for, and all of them."""
    return sorted({size for size in curve if size < len(known)} | {len(known)})


def _adopt(
    pair: LivePair,
    data: training.TrainingData,
    measured: _Measured,
    events: Events,
    *,
    report: dict[str, Any],
    started: float,
    by: str,
) -> ModelVersion:
    """With a head from the source and all events; later trainings keep the source until it is beaten."""
    adaptation = Adaptation(
        encoder_id=pair.index_version.encoder_id,
        setup=measured.setup,
        head=head_from(measured.source, measured.setup, events, measured.vectors),
        source=measured.source,
    )
    return training.adopt(
        pair, data, adaptation, report=report, started=started, by=by, reason="learned from a source"
    )
