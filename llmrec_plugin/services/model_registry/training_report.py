"""Keeps the report of a training: what it learned from, how it chose and what it proved.

It is stored as JSON with the model version, and nothing else reads or writes that JSON. `VERSION` goes up
when what is stored changes its meaning. A report of another version is not guessed at: `report_of` raises,
`find_report` returns None, and only that users were erased since is counted and read whatever the version.
A row without a version, such as one made by hand, reports nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Q

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.figures import jsonable
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.learning.selection.stepwise import SelectionResult
from llmrec_plugin.models import ModelVersion
from llmrec_plugin.services.model_registry.adaptation import config_from_json

VERSION = 1
KNOWS_ERASED = Q(report__has_key="erased")
"""Of model versions: somebody they learned from was erased since."""


@dataclass(frozen=True, kw_only=True)
class PrivacyBill:
    """Holds what a training with noise may tell of any one user, and all such trainings so far together."""

    epsilon: float
    epsilon_of_all: float
    delta: float
    mu_of_all: float
    few_users: bool
    """Whether the noise may outweigh what the users tell."""


@dataclass(frozen=True, kw_only=True)
class LearningCurvePoint:
    """Holds one point of the learning curves: NDCG@10 of likeness alone on the latest events."""

    events: int
    """Own events that were learned from, the latest before those it is measured on."""
    nothing: float
    """Learned from nothing else."""
    source: float
    """Learned towards the source."""


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Holds what learning towards a source came to."""

    source: str
    cases: int
    frozen: float | None
    """NDCG@10 of the vectors as they are; None: too few events to measure anything."""
    curve: tuple[LearningCurvePoint, ...]
    gain: float | None
    """Of what would be served with the source, over what is; None: too few events to tell."""
    low: float | None
    broken: tuple[str, ...] = ()
    """What would pay for the gain: "new-items", which would be ranked worse among themselves, or "coverage",
    as lists would show too few different items."""
    model_version: int | None = None
    """None: not taken over, nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """Holds what one training came to."""

    version: int = VERSION
    events: int = 0
    users: int = 0
    items: int = 0
    method: str = ""
    """How neighbours were learned: "ease", "item-knn", "popularity" (not at all) or "private"."""
    kind: str = ""
    """The kind of event that most of it goes back to."""
    selection: SelectionResult | None = None
    """How the config was chosen; None: there was nothing to choose by."""
    selection_seconds: float = 0.0
    privacy: PrivacyBill | None = None
    """None: learned without noise."""
    transfer: TransferReport | None = None
    """None: not learned from a source."""
    seconds: float = 0.0
    erased: int = 0
    """Users whose events it learned from that were erased since."""

    @property
    def gate(self) -> SelectionStep | None:
        """Return whether the highest step beats what answered before; None: too few events to tell."""
        return self.selection.gate if self.selection else None

    @property
    def steps(self) -> tuple[SelectionStep, ...]:
        """Return the steps that were tried; none where there were too few events."""
        return self.selection.steps if self.selection else ()

    @property
    def highest_step(self) -> str:
        """Return the name of the highest step taken; empty where none was tried."""
        return self.selection.name if self.selection else ""

    def to_json(self) -> dict[str, Any]:
        """Return what is stored, and what `llmrec train --json` prints."""
        stored: dict[str, Any] = {
            "version": self.version,
            "events": self.events,
            "users": self.users,
            "items": self.items,
            "method": self.method,
            "kind": self.kind,
        }
        if self.selection is not None:
            stored |= _selection_to_json(self.selection)
            stored["ladder_seconds"] = self.selection_seconds
        if self.privacy is not None:
            stored["privacy"] = asdict(self.privacy)
        if self.transfer is not None:
            stored["transfer"] = asdict(self.transfer)
        stored["seconds"] = self.seconds
        if self.erased:
            stored["erased"] = self.erased
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TrainingReport:
        """Return the report that `to_json` stored; raises ConfigurationError for one of another version."""
        version = stored.get("version")
        if version is None:
            return cls(erased=stored.get("erased", 0))
        if version != VERSION:
            raise ConfigurationError(
                f"The report of a training has version {version}, and this release reads version {VERSION}: "
                "install the release that wrote it, or train anew."
            )
        return cls(
            events=stored["events"],
            users=stored["users"],
            items=stored["items"],
            method=stored["method"],
            kind=stored["kind"],
            selection=_selection_from_json(stored) if "ladder" in stored else None,
            selection_seconds=stored.get("ladder_seconds", 0.0),
            privacy=PrivacyBill(**stored["privacy"]) if "privacy" in stored else None,
            transfer=_transfer_from_json(stored["transfer"]) if "transfer" in stored else None,
            seconds=stored["seconds"],
            erased=stored.get("erased", 0),
        )


def report_of(version: ModelVersion) -> TrainingReport:
    """Return the report of a model version; raises ConfigurationError where another release wrote it."""
    return TrainingReport.from_json(version.report)


def find_report(version: ModelVersion) -> TrainingReport | None:
    """Return the report of a model version; None where another release wrote it."""
    return report_of(version) if version.report.get("version", VERSION) == VERSION else None


def newest_private(label: str) -> TrainingReport | None:
    """Return the report of the newest training of the document with noise; None: there was none."""
    newest = _newest(label, "privacy")
    return None if newest is None else report_of(newest)


def newest_transferred(label: str) -> TrainingReport | None:
    """Return the report of the newest training of the document from a source; None: there was none, or
    another release wrote its report."""
    newest = _newest(label, "transfer")
    return None if newest is None else find_report(newest)


def _newest(label: str, part: str) -> ModelVersion | None:
    versions = ModelVersion.objects.filter(document=label, report__has_key=part)
    return versions.order_by("-id").first()


def knows_erased(version: ModelVersion) -> bool:
    """Return whether a user whose events it learned from was erased since, whatever release wrote it."""
    return bool(version.report.get("erased"))


def count_erased(version: ModelVersion, users: int = 1) -> None:
    """Store that so many more users it learned from were erased, whatever release wrote its report."""
    version.report = {**version.report, "erased": version.report.get("erased", 0) + users}
    version.save(update_fields=["report"])


def _selection_to_json(selection: SelectionResult) -> dict[str, Any]:
    return {
        "validation_events": selection.cases,
        "ladder": [jsonable(asdict(step)) for step in selection.steps],
        "step": selection.name,
        "gate": None if selection.gate is None else jsonable(asdict(selection.gate)),
        "setup": asdict(selection.config),
        "pointwise": asdict(selection.pointwise) if selection.pointwise else None,
    }


def _selection_from_json(stored: Mapping[str, Any]) -> SelectionResult:
    gate, pointwise = stored["gate"], stored["pointwise"]
    return SelectionResult(
        config=config_from_json(stored["setup"]),
        steps=tuple(_step_from_json(step) for step in stored["ladder"]),
        gate=None if gate is None else _step_from_json(gate),
        cases=stored["validation_events"],
        pointwise=None if pointwise is None else Pointwise(**pointwise),
    )


def _step_from_json(stored: Mapping[str, Any]) -> SelectionStep:
    measured = {
        name: math.nan if stored[name] is None else stored[name] for name in ("value", "gain", "low", "high")
    }
    interval = stored["interval"]
    return SelectionStep(
        name=stored["name"],
        taken=stored["taken"],
        interval=None if interval is None else (interval[0], interval[1]),
        reason=stored["reason"],
        **measured,
    )


def _transfer_from_json(stored: Mapping[str, Any]) -> TransferReport:
    curve = tuple(LearningCurvePoint(**point) for point in stored["curve"])
    return TransferReport(**{**stored, "curve": curve, "broken": tuple(stored["broken"])})
