"""A young site starts from what another one learned, and keeps it until it knows better."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from llmrec_plugin.exceptions import ConfigurationError, NotFound
from llmrec_plugin.models import Interaction, ModelVersion
from llmrec_plugin.services import training, transfer
from llmrec_plugin.services.live import live_pair
from tests.flows.test_adaptation import families_for, live, next_family, only_texts, shop
from tests.hostapp.models import Product

pytestmark = pytest.mark.django_db


@pytest.fixture
def products() -> dict[tuple[int, int], Product]:
    found = shop()
    only_texts()
    return found


@pytest.fixture
def export(products: dict[tuple[int, int], Product], tmp_path: Path) -> Path:
    """What a site learned where each family is followed by the next."""
    live(products, next_family)
    assert training.fit("product", by="test").report["gate"]["taken"]
    folder = tmp_path / "export"
    files = transfer.export_model("product", folder)
    assert files == ["map.safetensors", "model.json"]
    start_anew()
    return folder


def start_anew() -> None:
    """The same catalogue, without any event and with nothing learned."""
    Interaction.objects.all().delete()
    training.fit("product", by="test")
    assert training.collaborative(live_pair("product").model_version).adaptation is None


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
    training.fit("product", by="test")
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
    training.fit("product", by="test")
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
    training.fit("product", by="test")
    assert families_for(products, 2).count("pine") > 4


def test_another_document_can_be_the_source(products: dict[tuple[int, int], Product], export: Path) -> None:
    live(products, next_family)
    version = training.fit("product", by="test")
    source = transfer.read_source("product")
    assert source.map.shape == (64, 64)
    assert source.events == version.report["events"] > 0


def test_what_cannot_be_a_source_is_said(
    products: dict[tuple[int, int], Product], export: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no folder that `llmrec export-model` wrote"):
        transfer.read_source(str(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="has learned no head"):
        transfer.export_model("product", tmp_path / "other")
    with pytest.raises(ConfigurationError, match="is not empty"):
        transfer.export_model("product", export)
    plain = json.loads((export / "model.json").read_text())
    (export / "model.json").write_text(json.dumps({**plain, "encoder_id": "another", "encoder_name": "e5"}))
    with pytest.raises(ConfigurationError, match='Declare the encoder "e5"'):
        transfer.transfer("product", str(export))
    (export / "map.safetensors").write_bytes(b"nothing")
    with pytest.raises(CommandError, match="no complete export"):
        call_command("llmrec", "train", "--source", str(export), "--document", "product")
