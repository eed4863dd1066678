"""A young site starts from what another one learned, and keeps it until it knows better."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from safetensors.numpy import save_file

from llmrec_plugin.exceptions import ConfigurationError, LeaseLost, NotFound
from llmrec_plugin.models import Interaction, ModelVersion, TrainingRun
from llmrec_plugin.services import privacy
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry import source_models
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.training import model_fit, transfer
from tests.hostapp.models import Product
from tests.services.training.test_adaptation import live, next_family, shop
from tests.support.families import families_for, numbered, only_texts
from tests.support.interruptions import before_statement
from tests.support.snapshots import built_once
from tests.support.training_reports import gate_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(data_dir: Path) -> Path:
    """What a site learned where each family is followed by the next."""
    folder = data_dir / "export"
    built_once("a site that exported what it learned", lambda: _learn_and_export(folder))
    return folder


def _learn_and_export(folder: Path) -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    assert gate_of(model_fit.fit("product", by="test")).taken
    files = source_models.export_model("product", folder)
    assert files == ["map.safetensors", "model.json"]
    start_anew()


@pytest.fixture
def products(export: Path) -> dict[tuple[int, int], Product]:
    return numbered()


def start_anew() -> None:
    """The same catalogue, without any event and with nothing learned."""
    Interaction.objects.all().delete()
    model_fit.fit("product", by="test")
    assert learned_by(live_pair("product").model_version).adaptation is None


def run(*arguments: str) -> dict[str, dict[str, object]]:
    out = io.StringIO()
    call_command("llmrec", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_site_without_events_starts_from_another_if_it_trusts_it(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    assert transfer.transfer("product", str(export), by="test").model_version is None
    assert families_for(products, 2).count("wool") > 4
    Interaction.objects.all().delete()

    report = run("train", "--source", str(export), "--trust-source", "--document", "product")["product"]
    assert report["gain"] is None
    assert report["model_version"] == ModelVersion.objects.latest("id").pk
    assert families_for(products, 2).count("glass") > 5

    # A later training that has too few events to tell leaves it in its place.
    model_fit.fit("product", by="test")
    assert families_for(products, 2).count("glass") > 5


def test_learning_curves_show_what_a_source_is_worth(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    live(products, next_family)
    report = transfer.transfer("product", str(export), by="test")
    assert [point.events for point in report.curve] == [0, 100, 1_000, report.curve[-1].events]
    first, *_, last = report.curve
    assert first.source > 2 * first.nothing
    assert report.curve[1].source > report.curve[1].nothing
    assert last.source == pytest.approx(last.nothing, rel=0.15)
    assert report.low is not None
    assert report.low > 0
    assert report.model_version is not None


def test_a_source_that_misleads_is_not_taken_over(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    live(products, lambda family: family - 1)
    model_fit.fit("product", by="test")
    before = live_pair("product")
    report = transfer.transfer("product", str(export), by="test", trust=True)
    assert report.low is not None
    assert report.low < 0
    assert report.model_version is None
    assert live_pair("product") == before


def test_own_events_overrule_a_source_that_misleads(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    transfer.transfer("product", str(export), by="test", trust=True)
    live(products, lambda family: family - 1)
    model_fit.fit("product", by="test")
    assert families_for(products, 2).count("pine") > 4


def test_another_document_can_be_the_source(products: dict[tuple[int, int], Product], export: Path) -> None:
    live(products, next_family)
    version = model_fit.fit("product", by="test")
    source = source_models.read_source("product")
    assert source.map.shape == (64, 64)
    assert source.events == report_of(version).events > 0


def test_what_cannot_be_a_source_is_said(
    products: dict[tuple[int, int], Product], export: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no folder that `llmrec export-model` wrote"):
        source_models.read_source(str(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="has learned no head"):
        source_models.export_model("product", tmp_path / "other")
    with pytest.raises(ConfigurationError, match="is not empty"):
        source_models.export_model("product", export)
    with pytest.raises(ConfigurationError, match="is no folder to write to"):
        source_models.export_model("product", export / "model.json")
    plain = json.loads((export / "model.json").read_text())
    (export / "model.json").write_text(json.dumps({**plain, "encoder_id": "another", "encoder_name": "e5"}))
    with pytest.raises(ConfigurationError, match='Declare the encoder "e5"'):
        transfer.transfer("product", str(export))
    (export / "map.safetensors").write_bytes(b"nothing")
    with pytest.raises(CommandError, match="no complete export"):
        call_command("llmrec", "train", "--source", str(export), "--document", "product")


SQUARE = np.eye(64, dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "matrix", "message"),
    [
        ({}, SQUARE * np.nan, "numbers that are not finite"),
        ({}, SQUARE[:, :1], r"shape \(64, 1\), which is no square"),
        ({}, SQUARE[0], r"shape \(64,\)"),
        ({}, np.eye(65, dtype=np.float32), "has 65 dimensions, but its encoder has 64"),
        ({}, np.empty((9_000, 0), np.float32), "no square of an encoder"),
        ({"gamma": math.nan}, SQUARE, "gamma is nan"),
        ({"gamma": 0}, SQUARE, "gamma is 0.0"),
        ({"mix": math.inf}, SQUARE, "mix is inf"),
        ({"mix": -2}, SQUARE, "mix is -2.0"),
        ({"events": "many"}, SQUARE, "could not convert string to float: 'many'"),
        ({"exported_at": "x" * 1_000_000}, SQUARE, "more than 1,000,000 bytes"),
    ],
)
def test_an_export_that_would_break_lists_is_refused(
    export: Path, changes: dict[str, object], matrix: np.ndarray, message: str
) -> None:
    before = live_pair("product")
    plain = json.loads((export / "model.json").read_text())
    (export / "model.json").write_text(json.dumps({**plain, **changes}))
    save_file({"map": np.ascontiguousarray(matrix)}, export / "map.safetensors")
    with pytest.raises(ConfigurationError, match=message):
        transfer.transfer("product", str(export), trust=True)
    assert live_pair("product") == before


def test_an_encoder_that_lies_under_another_name_is_the_same(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    """As one does that was tuned there: its folder is named by its content there, and as one likes here."""
    plain = json.loads((export / "model.json").read_text())
    renamed = f"tuned-0123456789-{plain['encoder_id'].rpartition('-')[2]}"
    (export / "model.json").write_text(json.dumps({**plain, "encoder_id": renamed}))
    assert transfer.transfer("product", str(export), trust=True).model_version is not None
    assert families_for(products, 2).count("glass") > 5


def test_learning_from_a_source_is_on_record_like_any_training(export: Path) -> None:
    run("train", "--source", str(export), "--document", "product", "--by", "alice", "--reason", "new shop")
    done = TrainingRun.objects.latest("id")
    assert (done.state, done.by, done.reason) == (TrainingRun.State.DONE, "alice", "new shop")
    assert done.model_version is None  # too few events to prove anything

    TrainingRun.objects.create(document="product", by="schedule", owner=locks.own_prefix())
    with pytest.raises(LeaseLost, match='"product" is being trained by schedule'):
        transfer.transfer("product", str(export), trust=True)


def test_whoever_is_erased_while_a_source_is_learned_towards_is_not_forgotten(
    products: dict[tuple[int, int], Product], export: Path
) -> None:
    live(products, next_family)
    with before_statement('FROM "llmrec_plugin_embedding"', lambda: privacy.erase_user("u1")):
        report = transfer.transfer("product", str(export), by="test")
    version = ModelVersion.objects.get(pk=report.model_version or 0)
    assert report_of(version).erased == 1


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("COLD_KEPT", "new items would be ranked worse among themselves"),
        ("COVERAGE_KEPT", "lists would show too few different items"),
    ],
)
def test_a_source_that_new_items_or_breadth_would_pay_for_is_not_taken_over(
    products: dict[tuple[int, int], Product],
    export: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    said: str,
) -> None:
    """A limit that nothing can hold, and things that nobody took before the latest events."""
    live(products, next_family)
    past = Interaction.objects.filter(at__lt=timezone.now()).order_by("at")
    moments = list(past.values_list("at", flat=True))
    new = [str(product.pk) for (_, thing), product in products.items() if thing > 7]
    Interaction.objects.filter(item_id__in=new, at__lt=moments[int(0.95 * len(moments))]).delete()
    monkeypatch.setattr(transfer, limit, 1e9)
    before, out = live_pair("product"), io.StringIO()
    call_command("llmrec", "train", "--source", str(export), "--document", "product", stdout=out)
    assert f"It is not taken over, nothing was changed: {said}." in out.getvalue()
    assert "gain +" in out.getvalue()
    assert live_pair("product") == before
    assert TrainingRun.objects.latest("id").model_version is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trust-source"], "--trust-source says something about --source"),
        (["--set", "loss=bce"], "--set says something about --encoder"),
        (["--restart"], "--restart says something about --encoder"),
        (["--due", "--source", "x"], "--due and --source exclude each other"),
        (["--search", "--encoder"], "--search and --encoder exclude each other"),
    ],
)
def test_options_that_nobody_would_read_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("llmrec", "train", *arguments)
