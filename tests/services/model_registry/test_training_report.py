"""The report of a training comes back as it was stored, and one of another release is not guessed at."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.scorers.catalogue_scores import Shares, Weights
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.selection.model_config import HeadConfig, ScorerConfig
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.learning.selection.stepwise import SelectionResult
from llmrec_plugin.models import ModelVersion
from llmrec_plugin.services.model_registry.training_report import (
    VERSION,
    LearningCurvePoint,
    PrivacyBill,
    TrainingReport,
    TransferReport,
    count_erased,
    find_report,
    knows_erased,
    newest_private,
    newest_transferred,
    report_of,
)

CONFIG = ScorerConfig(
    shares=Shares(taste=0.3, neighbours=0.6, popularity=0.1),
    weights=Weights(taste=1.0, neighbours=2.0, popularity=0.5),
    gamma=0.8,
    head=HeadConfig(ridge=0.01, mix=3.0),
    neighbours=NeighbourConfig(method="item-knn", recency=0.3, order=0.1),
    neighbour_gamma=0.9,
    popularity="recent",
)
STEP = SelectionStep(name="head", value=0.2, gain=0.1, low=0.05, high=0.15, taken=True, interval=(0.1, 0.3))
WHOLE = TrainingReport(
    events=9,
    users=3,
    items=4,
    method="item-knn",
    kind="purchase",
    selection=SelectionResult(
        config=CONFIG,
        steps=(replace(STEP, name="popularity"), STEP),
        gate=replace(STEP, name="served", reason="coverage"),
        cases=250,
        pointwise=Pointwise(taste=1.0, neighbours=2.0, popularity=0.0, bias=-1.0),
    ),
    selection_seconds=1.5,
    privacy=PrivacyBill(epsilon=1.0, epsilon_of_all=2.0, delta=1e-5, mu_of_all=0.5, few_users=True),
    transfer=TransferReport(
        source="old",
        cases=120,
        frozen=0.05,
        curve=(LearningCurvePoint(events=100, nothing=0.1, source=0.2),),
        gain=0.1,
        low=0.02,
        broken=("coverage",),
    ),
    seconds=2.5,
    erased=1,
)


def stored(report: TrainingReport) -> dict[str, object]:
    """As a database hands it back."""
    found: dict[str, object] = json.loads(json.dumps(report.to_json()))
    return found


@pytest.mark.parametrize("report", [WHOLE, TrainingReport(), TrainingReport(events=7, method="popularity")])
def test_a_report_comes_back_as_it_was_stored(report: TrainingReport) -> None:
    assert TrainingReport.from_json(stored(report)) == report


def test_what_could_not_be_measured_is_no_number_again() -> None:
    choice = SelectionResult(config=CONFIG, steps=(replace(STEP, gain=math.nan),))
    text = json.dumps(TrainingReport(selection=choice).to_json(), allow_nan=False)
    (step,) = TrainingReport.from_json(json.loads(text)).steps
    assert math.isnan(step.gain)
    assert step.low == 0.05


def test_a_report_of_another_release_says_what_to_do() -> None:
    version = ModelVersion(report={"version": VERSION + 1, "gate": "?"})
    with pytest.raises(ConfigurationError, match="install the release that wrote it, or train anew"):
        report_of(version)
    assert find_report(version) is None


@pytest.mark.django_db
def test_erased_users_are_counted_whatever_release_wrote_the_report() -> None:
    version = ModelVersion.objects.create(document="product", report={"version": VERSION + 1, "new": 1})
    assert not knows_erased(version)
    count_erased(version)
    count_erased(version, 2)
    version.refresh_from_db()
    assert knows_erased(version)
    assert version.report == {"version": VERSION + 1, "new": 1, "erased": 3}


@pytest.mark.django_db
def test_a_row_without_a_version_reports_nothing_but_erased_users() -> None:
    version = ModelVersion.objects.create(document="product")
    count_erased(version)
    assert report_of(version) == TrainingReport(erased=1)


@pytest.mark.django_db
def test_the_newest_report_with_a_part_is_found_by_document() -> None:
    for document, report in (("product", WHOLE), ("product", TrainingReport()), ("course", TrainingReport())):
        ModelVersion.objects.create(document=document, report=report.to_json())
    assert newest_private("product") == newest_transferred("product") == WHOLE
    assert newest_private("course") is newest_transferred("course") is None


@pytest.mark.django_db
def test_a_budget_that_another_release_wrote_is_not_guessed() -> None:
    ModelVersion.objects.create(document="product", report={"version": VERSION + 1, "privacy": {}})
    with pytest.raises(ConfigurationError, match="install the release"):
        newest_private("product")
