"""An encoder is tuned on the site's own events, and taken over only where that is proven to pay."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone

from llmrec_plugin.encoders.base import EncoderSpec, forget_encoders, load_encoder
from llmrec_plugin.exceptions import EncoderUnavailable, InvalidRequest, TrainingFailed
from llmrec_plugin.models import (
    Deployment,
    IndexVersion,
    Interaction,
    TrainingRun,
    TunedEncoder,
)
from llmrec_plugin.services import privacy
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.encoder_tuning import pipeline
from llmrec_plugin.services.encoder_tuning.jobs import job_folder
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.privacy import retention
from llmrec_plugin.services.search import search
from llmrec_plugin.training.base import TrainingOptions
from llmrec_plugin.types import SearchRequest
from tests.contracts.tiny_model import make_tiny_model
from tests.hostapp.models import Course
from tests.support import families
from tests.support.families import FAMILIES, THINGS, Products, families_for, only_texts, wares

pytestmark = [pytest.mark.django_db, pytest.mark.model]

USERS, LENGTH = 220, 9
OPTIONS = TrainingOptions(
    loss="ranking", epochs=2, learning_rate=3e-3, scale=10, anchor=0.02, most_pairs=1_000, checks=3
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def shop(tiny: Path, data_dir: Path) -> Iterator[Products]:
    """By a small transformer that was never taught anything; what it is taught costs a model this small its
    sense for single words, so there are no titles."""
    llmrec = {**django_settings.LLMREC, "ENCODER": str(tiny), "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=llmrec):
        forget_encoders()
        yield wares(lambda of, what: ("", f"{of} {what}"))
        forget_encoders()


def live(products: Products, following: Callable[[int], int]) -> None:
    families.live(products, following, users=USERS, length=LENGTH)


def test_a_better_encoder_is_filled_in_beside_the_old_one_and_goes_live(
    shop: Products, data_dir: Path
) -> None:
    only_texts()
    live(shop, lambda family: family ^ 1)
    before = live_pair("product").index_version
    report = pipeline.tune("product", options=OPTIONS, by="test")
    assert report.verdict.accepted, report.verdict
    assert report.verdict.figures["low"] > 0
    assert report.training.valid_loss["after"] < report.training.valid_loss["before"]

    after = live_pair("product")
    assert after.index_version == report.index_version != before
    assert after.model_version == report.model_version
    assert Deployment.objects.latest("id").by == "test"
    assert after.index_version.encoder_name == report.encoder.name
    assert set(families_for(shop, 2)) <= {"wool", "glass"}  # wool is followed by glass
    assert search(SearchRequest(document="product", text="wool cup")).degraded == ()

    folder = data_dir / "encoders" / report.encoder.name.removeprefix("tuned:")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"Gain {report.verdict.figures['gain']:+.4f}" in card
    assert "Not measured yet" not in card
    assert f"| interactions | {USERS * LENGTH} |" in card

    # The site still declares the first encoder; another build keeps what was tuned from it.
    again = build("product")
    assert (again.created, again.index_version) == (False, after.index_version)
    promotion.rollback("product", by="test")
    assert live_pair("product").index_version == before
    assert build("product").index_version == before


def test_events_at_random_leave_everything_as_it_is(shop: Products, data_dir: Path) -> None:
    draw = np.random.default_rng(1)
    live(shop, lambda family: int(draw.integers(len(FAMILIES))))
    before = live_pair("product")
    report = pipeline.tune("product", options=OPTIONS, by="test")
    assert not report.verdict.accepted
    assert "not-proven" in report.verdict.reasons
    assert live_pair("product") == before
    assert IndexVersion.objects.count() == 1
    assert TunedEncoder.objects.get().state == TunedEncoder.State.REFUSED
    run = TrainingRun.objects.get()
    assert (run.state, run.model_version) == (TrainingRun.State.DONE, None)
    assert not list((data_dir / "encoders").iterdir())
    assert not job_folder("product").exists()


def test_a_killed_training_process_is_gone_on_with(shop: Products) -> None:
    """The training process is killed at its first checkpoint; what answers stays, the next call goes on."""
    live(shop, lambda family: family ^ 1)
    before = live_pair("product")
    checkpoints = job_folder("product") / "checkpoints"

    def kill(done: int, total: int) -> None:
        if list(checkpoints.glob("*/complete")):
            (child,) = children()
            os.kill(child, signal.SIGKILL)

    options = replace(OPTIONS, epochs=20, checks=20, patience=20)
    with pytest.raises(TrainingFailed, match=r"ended by signal 9\. Run the same command again"):
        pipeline.tune("product", options=options, by="test", progress=kill)
    assert live_pair("product") == before
    assert not TunedEncoder.objects.exists()

    report = pipeline.tune("product", options=options, by="test")
    assert report.training.resumed_from > 0
    assert not checkpoints.exists()


def children() -> list[int]:
    """Processes of ours that train."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return [
        int(pid) for pid in found if b"llmrec_plugin.training" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_only_a_model_of_this_machine_can_be_tuned() -> None:
    build("product")
    with pytest.raises(CommandError, match="no sentence-transformers model of this machine"):
        call_command("llmrec", "train", "--encoder", "--document", "product")


def test_too_few_events_are_said_before_anything_is_trained(shop: Products) -> None:
    with pytest.raises(CommandError, match="0 pairs to learn from and 0 to stop by"):
        call_command("llmrec", "train", "--encoder", "--document", "product")
    run = TrainingRun.objects.get()
    assert (run.state, run.kind, run.by) == (TrainingRun.State.FAILED, TrainingRun.Kind.TUNING, "command")
    TrainingRun.objects.update(state=TrainingRun.State.RUNNING)
    with pytest.raises(CommandError, match='The encoder of "product" is being tuned by command'):
        call_command("llmrec", "train", "--encoder", "--document", "product")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("los=bce", 'Did you mean "loss"'),
        ("loss", "write NAME=VALUE"),
        ("epochs=many", "must be a number"),
    ],
)
def test_options_of_the_command_are_checked(given: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("llmrec", "train", "--encoder", "--set", given)


@pytest.mark.parametrize("as_file", [False, True])
def test_the_texts_of_a_source_are_learned_not_to_be_told_from_the_sites_own(
    shop: Products, tmp_path: Path, as_file: bool
) -> None:
    live(shop, lambda family: family ^ 1)
    titles = [f"lesson {number} of {THINGS[number]}" for number in range(6)]
    Course.objects.bulk_create(Course(title=title) for title in titles)
    file = tmp_path / "items.jsonl"
    lines = [json.dumps({"id": title, "text": {"title": title}}) for title in titles]
    file.write_text("\n".join(lines), encoding="utf-8")
    options = replace(OPTIONS, adversarial=0.1, epochs=0.2, checks=1)
    report = pipeline.tune("product", options=options, source=str(file) if as_file else "course")
    assert report.training.steps > 0
    assert report.encoder.base_name == django_settings.LLMREC["ENCODER"]
    assert not job_folder("product").exists()


@pytest.mark.parametrize(
    ("source", "weight", "message"),
    [
        ("course", 0.0, "give both --source and --set adversarial=WEIGHT"),
        ("", 0.1, "give both --source and --set adversarial=WEIGHT"),
        ("product", 0.1, "cannot be the source of itself"),
        ("coarse", 0.1, r"neither a file of items nor one of the other documents \(course\)"),
        ("course", 0.1, '"course" has no texts'),
    ],
)
def test_a_source_that_cannot_be_one_is_said_before_anything_is_done(
    shop: Products, source: str, weight: float, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        pipeline.tune("product", options=replace(OPTIONS, adversarial=weight), source=source)
    assert not TrainingRun.objects.exists()


def test_a_bad_line_of_a_source_is_named(shop: Products, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text(
        '{"id": "1", "text": {"title": "Red mug"}}\n{"id": "2", "text": "mug"}\n', encoding="utf-8"
    )
    with pytest.raises(InvalidRequest, match=r"items.jsonl, line 2"):
        pipeline.tune("product", options=replace(OPTIONS, adversarial=0.1), source=str(file))


def test_erasure_marks_the_encoder_that_knew_the_user(admin_client: Client) -> None:
    Interaction.objects.create(user_key="u", document="product", item_id="1", kind="view", at=timezone.now())
    encoder = TunedEncoder.objects.create(
        document="product", name="tuned:abc", encoder_id="abc", base_name="base", base_id="b", by="test"
    )
    privacy.erase_user("u")
    encoder.refresh_from_db()
    assert encoder.report == {"erased": 1}
    page = admin_client.get(f"/admin/llmrec_plugin/tunedencoder/{encoder.pk}/change/")
    assert b"It is being measured" in page.content
    assert b"There are none: it ended before its first measurement" in page.content


def test_an_encoder_that_was_tuned_elsewhere_is_asked_for() -> None:
    with pytest.raises(EncoderUnavailable, match="tuned on another machine"):
        load_encoder(EncoderSpec(name="tuned:0123456789abcdef0123"))


def test_folders_of_encoders_go_once_nothing_uses_them(data_dir: Path) -> None:
    build("product")
    IndexVersion.objects.update(encoder_name="tuned:used")
    for name in ("used", "recorded", "left"):
        (data_dir / "encoders" / name).mkdir(parents=True)
    later = timezone.now() + timedelta(days=2)
    recorded = TunedEncoder.objects.create(
        document="product", name="tuned:recorded", encoder_id="r", base_name="b", base_id="b", by="test"
    )
    TunedEncoder.objects.filter(pk=recorded.pk).update(created_at=later)

    assert retention.apply_retention().encoders == 0  # all came a moment ago
    with locks.hold("tune:product"):
        assert retention.apply_retention(now=later).encoders == 0
    assert retention.apply_retention(now=later).encoders == 1
    assert {path.name for path in (data_dir / "encoders").iterdir()} == {"used", "recorded"}
