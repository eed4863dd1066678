"""Who is erased while an encoder is tuned counts as known to it, and their words are not gone on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.models import IndexVersion, Interaction, TrainingRun, TunedEncoder
from llmrec_plugin.services import privacy
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.encoder_tuning import pipeline
from llmrec_plugin.services.encoder_tuning.jobs import job_folder
from llmrec_plugin.services.model_registry import retention as model_store
from llmrec_plugin.services.monitoring.status import DocumentStatus, collect
from llmrec_plugin.services.privacy import retention as privacy_retention
from llmrec_plugin.services.training.runs import why_due
from llmrec_plugin.training import job
from tests.services.encoder_tuning.test_tuning import OPTIONS, children, live, shop, tiny
from tests.support.families import Products, only_texts

__all__ = ["shop", "tiny"]

pytestmark = [pytest.mark.django_db, pytest.mark.model]
LONG = replace(OPTIONS, epochs=20, checks=20, patience=20)


def product_status() -> DocumentStatus:
    return next(one for one in collect().documents if one.label == "product")


def once(act: Callable[[], object], *, after: str) -> Callable[[int, int], None]:
    """For the progress of a training: does it once, when such a file is there."""
    done: list[int] = []

    def progress(step: int, total: int) -> None:
        if not done and list(job_folder("product").glob(after)):
            done.append(step)
            act()

    return progress


def interrupt() -> None:
    """Kill the training process once it has a checkpoint."""

    def kill_children() -> None:
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    kill = once(kill_children, after="checkpoints/*/complete")
    with pytest.raises(TrainingFailed, match="ended by signal 9"):
        pipeline.tune("product", options=LONG, by="test", progress=kill)


def test_a_user_erased_while_the_process_trains_marks_encoder_and_model(shop: Products) -> None:
    only_texts()
    live(shop, lambda family: family ^ 1)
    erase = once(lambda: privacy.erase_user("u3"), after="checkpoints")
    report = pipeline.tune("product", options=OPTIONS, by="test", progress=erase)
    assert report.verdict.accepted
    encoder = TunedEncoder.objects.get()
    assert (encoder.state, encoder.report["erased"]) == (TunedEncoder.State.ACCEPTED, 1)
    assert "verdict" in encoder.report
    shown = product_status()
    assert (shown.retuning_due, shown.retraining_due) == (True, True)
    assert why_due("product") == "the live model knows erased users"


def test_a_mark_that_comes_while_it_is_compared_is_not_written_over(shop: Products) -> None:
    live(shop, lambda family: family ^ 1)

    def erase(instance: TunedEncoder, created: bool, **named: object) -> None:
        if created:
            privacy.erase_user("u3")

    post_save.connect(erase, sender=TunedEncoder)
    try:
        pipeline.tune("product", options=OPTIONS, by="test")
    finally:
        post_save.disconnect(erase, sender=TunedEncoder)
    report = TunedEncoder.objects.get().report
    assert report["erased"] == 1
    assert "verdict" in report


def test_what_an_interrupted_training_holds_of_an_erased_user_is_not_gone_on_with(shop: Products) -> None:
    live(shop, lambda family: family ^ 1)
    interrupt()
    privacy.erase_user("u3")
    report = pipeline.tune("product", options=LONG, by="test")
    assert report.training.resumed_from == 0
    assert "erased" not in TunedEncoder.objects.get().report


def test_retention_removes_what_nobody_will_go_on_with(data_dir: Path) -> None:
    run = TrainingRun.objects.create(document="product", kind="tuning", state="failed", owner="x:1:2:")
    for name in ("kept", "incomplete"):
        (data_dir / "training" / name).mkdir(parents=True)
    job.write_json(data_dir / "training" / "kept" / job.JOB, {"note": {"run": run.pk}})
    with locks.hold("tune:product"):
        privacy_retention.apply_retention()
    assert len(list((data_dir / "training").iterdir())) == 2
    privacy_retention.apply_retention()
    assert [path.name for path in (data_dir / "training").iterdir()] == ["kept"]
    Interaction.objects.create(user_key="u3", document="product", item_id="1", kind="view", at=timezone.now())
    privacy.erase_user("u3")
    privacy_retention.apply_retention()
    assert not list((data_dir / "training").iterdir())


def test_retention_removes_data_that_are_too_old_to_go_on_with(data_dir: Path) -> None:
    run = TrainingRun.objects.create(document="product", kind="tuning", state="failed", owner="x:1:2:")
    (data_dir / "training" / "product").mkdir(parents=True)
    job.write_json(data_dir / "training" / "product" / job.JOB, {"note": {"run": run.pk}})
    privacy_retention.apply_retention(now=timezone.now() + model_store.TUNING_KEPT)
    assert not list((data_dir / "training").iterdir())


def test_a_training_whose_data_reach_into_what_it_is_judged_on_is_begun_anew(shop: Products) -> None:
    """Later events are deleted meanwhile, so the latest tenth of the events begins earlier than before."""
    live(shop, lambda family: family ^ 1)
    interrupt()
    late = Interaction.objects.order_by("-at").values("pk")[:300]
    Interaction.objects.filter(pk__in=list(late.values_list("pk", flat=True))).delete()
    assert pipeline.tune("product", options=LONG, by="test").training.resumed_from == 0


def test_what_breaks_off_after_the_training_is_said_and_not_trained_again(shop: Products) -> None:
    only_texts()
    live(shop, lambda family: family ^ 1)

    def fail(**named: object) -> None:
        raise OSError("No space left on device")

    pre_save.connect(fail, sender=IndexVersion)
    try:
        with pytest.raises(OSError, match="No space left"):
            pipeline.tune("product", options=OPTIONS, by="test")
    finally:
        pre_save.disconnect(fail, sender=IndexVersion)
    first = TunedEncoder.objects.get()
    assert first.state == TunedEncoder.State.BROKEN
    shown = product_status()
    assert "No space left" in shown.tuning_error
    assert shown.training_error == ""

    report = pipeline.tune("product", options=OPTIONS, by="test")
    assert report.index_version is not None
    assert report.training.seconds == first.report["training"]["seconds"]
    assert product_status().tuning_error == ""
    assert report.encoder.state == TunedEncoder.State.ACCEPTED
