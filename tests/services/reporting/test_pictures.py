"""What was learned, as charts: their marks are the numbers of the reports, in the admin and in files."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.learning.selection.model_config import ScorerConfig
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.learning.selection.stepwise import SelectionResult
from llmrec_plugin.models import Deployment, DriftReport, ModelVersion, TunedEncoder
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry.training_report import (
    LearningCurvePoint,
    TransferReport,
    report_of,
)
from llmrec_plugin.services.reporting import embedding_map, model_charts, tuning_charts
from llmrec_plugin.services.reporting.model_charts import wilson
from llmrec_plugin.services.training import model_fit
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

STEP = SelectionStep(
    name="head", value=0.12, gain=0.02, low=0.011, high=0.03, taken=True, interval=(0.1, 0.14)
)
REFUSED = replace(STEP, name="prior", gain=-0.01, low=-0.02, high=0.001, taken=False)
CHOICE = SelectionResult(config=ScorerConfig(), steps=(STEP, REFUSED), gate=STEP, cases=300)
DRIFT = {
    "events": {"auc": 0.7, "before": 900, "now": 200},
    "queries": {"auc": None, "before": 0, "now": 0},
    "unseen_share": 0.25,
    "ranking": {"promises": [[0.25, 0.2, 40], [0.85, 0.9, 60]], "difference": 0.1},
}


TUNING = {
    "metric": "NDCG@10",
    "curve": [
        {"step": 0, "epoch": 0.0, "train_loss": None, "valid_loss": 0.9, "metric": 0.1},
        {"step": 10, "epoch": 0.5, "train_loss": 1.2, "valid_loss": 0.8, "metric": 0.2},
        {"step": 20, "epoch": 1.0, "train_loss": 1.1, "valid_loss": 0.7, "metric": None},
    ],
}


def learned() -> ModelVersion:
    """A shop with all that there are pictures of."""
    products = list(open_shop().values())
    did("1", "purchase", products[:10])
    version = model_fit.fit("product", by="test")
    version.report = replace(report_of(version), selection=CHOICE).to_json()
    version.save()
    DriftReport.objects.create(document="product", model_version=version, level="warn", report=DRIFT)
    TunedEncoder.objects.create(document="product", name="tuned", report={"training": TUNING})
    return version


def names() -> list[str]:
    return [picture.chart.name for picture in model_charts.pictures("product")]


def test_a_site_without_an_index_has_nothing_to_show(admin_client: Client) -> None:
    assert names() == []
    page = admin_client.get(reverse("admin:llmrec_plugin_modelversion_pictures")).text
    assert "Nothing to show yet" in page


def test_what_there_is_is_drawn() -> None:
    open_shop(copies=1)
    assert names() == ["map-product"]
    did("1", "purchase", [])
    model_fit.fit("product", by="test")  # too few events: no ladder, no gate
    assert names() == ["map-product"]


def test_each_picture_shows_the_numbers_of_its_report() -> None:
    version = learned()
    found = {picture.chart.name.split("-")[0]: picture for picture in model_charts.pictures("product")}
    assert list(found) == ["versions", "ladder", "calibration", "drift", "tuning", "map"]
    names = [picture.chart.name for picture in model_charts.pictures("product")]
    assert names[4:6] == ["tuning-product", "tuning-metric-product"]
    new, before = found["versions"].chart.series
    assert [(mark.y, mark.low, mark.high) for mark in new.marks] == [(0.12, 0.1, 0.14)]
    assert before.marks[0].y == pytest.approx(0.10)  # 0.12 with a gain of 0.02
    assert found["versions"].rows[0][0].startswith(str(version.pk))
    taken, refused = found["ladder"].chart.series
    assert [(mark.x, mark.low, mark.high) for mark in taken.marks] == [(0.02, 0.011, 0.03)]
    assert [mark.x for mark in refused.marks] == [-0.01]
    assert found["calibration"].rows[0][:2] == ("0.25", "0.20")
    assert [one.name for one in found["drift"].chart.series] == ["events", "share on unknown items"]
    assert found["drift"].rows[0][1:] == ("0.70", "–", "0.25", "drifting")
    assert {row[0]: row[1] for row in found["map"].rows} == {
        "people took it": "10",
        "nobody took it yet": "20",
    }


def test_the_curves_of_a_tuning_show_losses_and_metric_beside_the_encoder_as_it_was(
    admin_client: Client,
) -> None:
    encoder = TunedEncoder.objects.create(document="product", name="tuned", report={"training": TUNING})
    losses, worth = tuning_charts.curves(encoder)
    later, learned_from = losses.chart.series
    assert [(mark.x, mark.y) for mark in later.marks] == [(0, 0.9), (10, 0.8), (20, 0.7)]
    assert [(mark.x, mark.y) for mark in learned_from.marks] == [(10, 1.2), (20, 1.1)]
    assert losses.chart.thresholds[0].at == 0.9
    assert list(losses.rows) == [("0", "0.9000", "–"), ("10", "0.8000", "1.2000"), ("20", "0.7000", "1.1000")]
    assert [(mark.x, mark.y) for mark in worth.chart.series[0].marks] == [(0, 0.1), (10, 0.2)]
    assert (worth.chart.y.name, worth.chart.thresholds[0].at) == ("NDCG@10", 0.1)
    page = admin_client.get(reverse("admin:llmrec_plugin_tunedencoder_change", args=[encoder.pk])).text
    assert page.count('role="img"') == 2
    assert "Learning curve of the tuned encoder: product" in page


def test_the_curves_of_a_transfer_show_what_the_source_was_worth() -> None:
    version = learned()
    assert "transfer-product" not in names()
    points = (
        LearningCurvePoint(events=0, nothing=0.1, source=0.2),
        LearningCurvePoint(events=1_000, nothing=0.3, source=0.3),
    )
    found = TransferReport(source="old", cases=120, frozen=0.05, curve=points, gain=0.1, low=0.02)
    version.report = replace(report_of(version), transfer=found).to_json()
    version.save()
    picture = next(one for one in model_charts.pictures("product") if one.chart.name == "transfer-product")
    assert picture.rows == [("0", "0.1000", "0.2000"), ("1,000", "0.3000", "0.3000")]
    nothing, source = picture.chart.series
    assert ([mark.y for mark in nothing.marks], [mark.y for mark in source.marks]) == ([0.1, 0.3], [0.2, 0.3])
    assert [threshold.at for threshold in picture.chart.thresholds] == [0.05]
    # A site that trusted the source without an event of its own has nothing to draw.
    empty = replace(found, frozen=None, curve=(), gain=None, low=None)
    version.report = replace(report_of(version), transfer=empty).to_json()
    version.save()
    assert "transfer-product" not in names()


def test_a_tuning_without_measurements_has_no_curve() -> None:
    for told in ({}, {"metric": "AUC", "curve": TUNING["curve"][:1]}):
        encoder = TunedEncoder.objects.create(document="product", name="t", report={"training": told})
        assert list(tuning_charts.curves(encoder)) == []


def test_items_of_the_map_can_be_told_apart_by_a_filter(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    learned()
    with django_assert_max_num_queries(9):
        picture = embedding_map.draw("product", colour="category")
    assert picture is not None
    assert {row[0]: row[1] for row in picture.rows} == {"coffee": "10", "garden": "10", "desk": "10"}
    titles = {mark.title for series in picture.chart.series for mark in series.marks}
    assert "steel garden hose" in titles


def test_like_texts_lie_near_each_other_on_the_map() -> None:
    rng = np.random.default_rng(0)
    ends = np.zeros((2, 16), np.float32)
    ends[0, 3], ends[1, 7] = 1, 1
    rows = np.concatenate([ends[0] + rng.normal(0, 0.05, (20, 16)), ends[1] + rng.normal(0, 0.05, (20, 16))])
    placed = embedding_map.plane(rows.astype(np.float32))
    one, other = placed[:20], placed[20:]
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 5 * one.std(axis=0).max()


def test_an_interval_of_a_share_holds_it_and_narrows_with_its_cases() -> None:
    low, high = wilson(0.5, 100)  # (0.404, 0.596) in any textbook
    assert (low, high) == (pytest.approx(0.404, abs=0.001), pytest.approx(0.596, abs=0.001))
    assert wilson(0.0, 10)[0] == 0.0
    assert wilson(1.0, 10)[1] == pytest.approx(1.0)


def test_the_command_writes_files_that_stand_alone(tmp_path: Path) -> None:
    learned()
    out = StringIO()
    call_command(
        "llmrec",
        "plots",
        "--document",
        "product",
        "--output",
        str(tmp_path / "new"),
        "--colour",
        "brand",
        stdout=out,
    )
    files = sorted((tmp_path / "new").iterdir())
    assert len(files) == 7
    for file in files:
        assert ET.parse(file).getroot().tag.endswith("svg")
        assert file.name in out.getvalue()
    with pytest.raises(CommandError, match='has no filter "colour"'):
        call_command(
            "llmrec", "plots", "--document", "product", "--output", str(tmp_path), "--colour", "colour"
        )
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="Cannot write"):
        call_command("llmrec", "plots", "--document", "product", "--output", str(tmp_path / "file"))
    out = StringIO()
    call_command("llmrec", "plots", "--document", "course", "--output", str(tmp_path), stdout=out)
    assert "Nothing to show yet" in out.getvalue()


def test_the_admin_shows_them_to_whoever_may_see_models(admin_client: Client, client: Client) -> None:
    learned()
    url = reverse("admin:llmrec_plugin_modelversion_pictures")
    page = admin_client.get(url, {"document": "product", "colour": "brand"}).text
    assert page.count('role="img"') == 7
    assert '<title id="ladder-product-title">Steps of the ladder: product</title>' in page
    assert '<th scope="col" class="number">NDCG@10</th>' in page
    assert admin_client.get(url, {"document": "nothing", "colour": "x"}).status_code == 200
    reader = User.objects.create_user("reader", is_staff=True)
    client.force_login(reader)
    assert client.get(url).status_code == 403
    reader.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    assert client.get(url).status_code == 200


def test_a_model_version_is_made_live_from_the_admin_with_a_reason(admin_client: Client) -> None:
    first = learned()
    second = model_fit.fit("product", by="test")
    listed = admin_client.get(reverse("admin:llmrec_plugin_modelversion_changelist")).text
    url = reverse("admin:llmrec_plugin_modelversion_promote", args=[first.pk])
    assert url in listed
    assert reverse("admin:llmrec_plugin_modelversion_promote", args=[second.pk]) not in listed  # it is live
    asked = admin_client.get(url).text
    assert "Make a model version live" in asked
    assert "beats what answered before" in asked
    answer = admin_client.post(url, {"reason": "odd lists"}, follow=True).text
    assert "is live from the next request on" in answer
    deployment = Deployment.objects.latest("id")
    assert (deployment.model_version, deployment.by, deployment.reason) == (first, "admin", "odd lists")
    ModelVersion.objects.filter(pk=second.pk).update(artefact=None)
    gone = reverse("admin:llmrec_plugin_modelversion_promote", args=[second.pk])
    assert "not kept any more" in admin_client.post(gone, follow=True).text
    assert live_pair("product").model_version == first


def test_trainings_and_drift_are_listed_with_what_they_mean(admin_client: Client) -> None:
    from llmrec_plugin.models import TrainingRun

    learned()
    run = TrainingRun.objects.create(document="product", state="failed", error="No luck.", owner="x:1:2:")
    report = DriftReport.objects.get()
    for model, row, words in (
        ("trainingrun", run, "failed: No luck."),
        ("driftreport", report, "can be told from before the last training"),
    ):
        url = reverse(f"admin:llmrec_plugin_{model}_change", args=[row.pk])
        assert words in admin_client.get(url).text
        assert admin_client.get(reverse(f"admin:llmrec_plugin_{model}_changelist")).status_code == 200
