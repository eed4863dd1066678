"""However a training ends, it is on record, and only a success changes what answers."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector, LeaseLost, NotFound, TrainingStopped
from llmrec_plugin.models import Arm, Deployment, Experiment, ModelArtefact, ModelVersion, TrainingRun
from llmrec_plugin.services import privacy
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry import retention as model_store
from llmrec_plugin.services.model_registry.training_report import count_erased, report_of
from llmrec_plugin.services.monitoring import health, status
from llmrec_plugin.services.privacy import retention as privacy_retention
from llmrec_plugin.services.training import runs
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db
DEAD = locks.prefix_of(2**22 + 1)  # beyond the largest process id that Linux gives


def product_status() -> status.DocumentStatus:
    return next(document for document in status.collect().documents if document.label == "product")


def break_embeddings() -> None:
    """A vector that is no number, as a broken encoder leaves it: learning cannot go on."""
    import numpy as np

    from llmrec_plugin.models import Embedding

    for row in Embedding.objects.filter(document="product"):
        row.vector = np.full(64, np.nan, "<f4").tobytes()
        row.save()


def busy_shop() -> None:
    """Enough events that settings are compared."""
    products = list(open_shop().values())
    for user in range(480):
        did(f"u{user}", "view", [products[(user + place) % len(products)] for place in range(6)])


def test_a_success_is_recorded_with_its_version_its_parent_and_its_window() -> None:
    products = list(open_shop(copies=1).values())
    did("1", "view", products[:3], at=timezone.now() - timedelta(days=3))
    did("1", "view", products[:2])
    first = runs.train("product", by="alice", reason="spring range")
    second = runs.train("product", by="bob")
    run = TrainingRun.objects.get(model_version=first)
    assert (run.state, run.by, run.reason, run.error) == ("done", "alice", "spring range", "")
    assert run.finished_at is not None
    assert (first.parent, second.parent) == (None, first)
    assert first.events_since is not None
    assert first.events_until is not None
    assert timedelta(days=2) < first.events_until - first.events_since < timedelta(days=4)


def test_a_failure_leaves_the_live_model_alone_and_says_why() -> None:
    busy_shop()
    before = runs.train("product", by="test")
    break_embeddings()
    with pytest.raises(InvalidVector):
        runs.train("product", by="test")
    assert live_pair("product").model_version == before
    assert ModelVersion.objects.count() == 1
    run = TrainingRun.objects.latest("id")
    assert run.state == TrainingRun.State.FAILED
    assert run.error
    shown = product_status()
    assert shown.training_error == run.error
    assert "what was live stays" in shown.ills[-1]
    assert run.error in "\n".join(status.collect().lines())


def test_an_error_that_quotes_a_row_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL names the failing row, and with it a user, below the first line of its message."""
    open_shop(copies=1)

    def refused(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith('INSERT INTO "llmrec_plugin_modelversion"'):
            raise IntegrityError("a value is null\nDETAIL:  Failing row contains (1, ada-lovelace)")
        return execute(sql, *arguments)

    out = StringIO()
    with (
        connection.execute_wrapper(refused),
        pytest.raises(CommandError, match=r"^IntegrityError: a value is null$"),
    ):
        call_command("llmrec", "train", "--document", "product", stdout=out)
    assert "ada-lovelace" not in out.getvalue() + caplog.text
    assert "error=IntegrityError at=" in caplog.text
    assert TrainingRun.objects.get().error == "IntegrityError: a value is null"
    caplog.clear()
    assert code_shown() == "training_failed"
    assert "a value is null" in caplog.text
    assert "ada-lovelace" not in caplog.text


def test_a_later_success_clears_the_alarm() -> None:
    open_shop(copies=1)
    TrainingRun.objects.create(document="product", state="failed", error="no luck", owner=DEAD)
    assert product_status().training_error == "no luck"
    runs.train("product", by="test")
    assert product_status().training_error == ""


def code_shown() -> str:
    return next(part.code for part in health.components() if part.name == "model product")


def test_a_failed_tuning_is_called_so_and_hides_no_failed_training() -> None:
    open_shop(copies=1)
    TrainingRun.objects.create(document="product", state="failed", error="no memory", owner=DEAD)
    tuning = TrainingRun.objects.create(
        document="product",
        kind="tuning",
        state="failed",
        error="no pairs",
        owner=DEAD,
        finished_at=timezone.now(),
    )
    shown = product_status()
    assert (shown.training_error, shown.tuning_error) == ("no memory", "no pairs")
    assert code_shown() == "training_failed"
    runs.train("product", by="test")
    assert (product_status().training_error, code_shown()) == ("", "tuning_failed")
    assert "The last tuning of the encoder failed, what was live stays: no pairs" in product_status().ills
    later = timezone.now() - model_store.TUNING_KEPT
    TrainingRun.objects.filter(pk=tuning.pk).update(finished_at=later)  # it cannot be gone on with any more
    assert (product_status().tuning_error, code_shown()) == ("", "ok")


def test_a_tuning_that_was_not_taken_over_clears_no_failed_training() -> None:
    open_shop(copies=1)
    TrainingRun.objects.create(document="product", state="failed", error="no luck", owner=DEAD)
    TrainingRun.objects.create(document="product", kind="tuning", state="done", owner=DEAD)
    assert product_status().training_error == "no luck"


def test_a_tuning_under_way_is_shown_as_one(admin_client: Client) -> None:
    open_shop(copies=1)
    TrainingRun.objects.create(document="product", kind="tuning", owner=locks.own_prefix())
    assert product_status().training_since is None
    assert "the encoder is being tuned since" in "\n".join(status.collect().lines())
    assert "being tuned for" in admin_client.get(reverse("admin:llmrec_plugin_status_changelist")).text
    listed = admin_client.get(reverse("admin:llmrec_plugin_trainingrun_changelist")).text
    assert "tuning of the encoder" in listed


def test_one_training_of_a_document_at_a_time() -> None:
    open_shop(copies=1)
    TrainingRun.objects.create(document="product", by="alice", owner=locks.own_prefix())
    with pytest.raises(LeaseLost, match="being trained by alice"):
        runs.train("product", by="bob")
    assert product_status().training_since is not None
    assert "training since" in "\n".join(status.collect().lines())


def test_a_run_whose_process_is_gone_has_failed_and_does_not_block_the_next() -> None:
    open_shop(copies=1)
    lost = TrainingRun.objects.create(document="product", by="task", owner=DEAD)
    assert "ended without a word" in product_status().training_error
    runs.train("product", by="test")
    lost.refresh_from_db()
    assert lost.state == TrainingRun.State.FAILED
    assert "ended without a word" in lost.error
    assert lost.finished_at is not None


def test_a_run_on_another_machine_is_lost_once_its_lease_is_over() -> None:
    open_shop(copies=1)
    run = TrainingRun.objects.create(document="product", by="task", owner="elsewhere:4026531836:77:")
    assert not runs.is_lost(run)
    TrainingRun.objects.update(started_at=timezone.now() - locks.duration() * 2)
    run.refresh_from_db()
    assert runs.is_lost(run)
    with locks.hold("train:product"):
        assert not runs.is_lost(run)


def test_a_training_over_its_time_budget_is_stopped_where_it_stands() -> None:
    open_shop(copies=1)
    before = live_pair("product")
    started = time.monotonic()
    with pytest.raises(TrainingStopped, match="time budget of 1 seconds"):
        runs.train("product", by="test", seconds=1, progress=lambda done, total: time.sleep(20))
    assert time.monotonic() - started < 10
    assert live_pair("product") == before
    assert "time budget" in TrainingRun.objects.get().error
    assert runs.train("product", by="test", seconds=60).pk  # the lock was given back


def test_whoever_is_erased_while_it_runs_is_not_forgotten() -> None:
    products = list(open_shop(copies=1).values())
    did("7", "view", products[:3])

    def erase(done: int, total: int) -> None:
        if done == 2:
            privacy.erase_user("7")

    version = runs.train("product", by="test", progress=erase)
    version.refresh_from_db()
    assert report_of(version).erased == 1
    assert runs.why_due("product") == "the live model knows erased users"


def test_a_version_that_read_events_which_are_gone_for_their_age_may_know_anybody() -> None:
    products = list(open_shop(copies=1).values())
    did("8", "view", products[:2], at=timezone.now() - timedelta(days=800))
    old = runs.train("product", by="test")
    privacy_retention.apply_retention()
    did("7", "view", products[:2])
    assert privacy.erase_user("7").model_versions == (old.pk,)


def test_enough_new_events_make_a_training_due() -> None:
    products = list(open_shop(copies=1).values())
    did("1", "view", products[:5])
    with override_settings(LLMREC={**settings.LLMREC, "TRAINING_MIN_EVENTS": 5}):
        assert runs.why_due("product") == "at least 5 new interactions"
        runs.train("product", by="test")
        assert runs.why_due("product") == ""
        did("1", "view", products[:4])
        assert runs.why_due("product") == ""
    assert runs.why_due("course") == ""  # nothing is live


def versions(count: int) -> list[ModelVersion]:
    products = list(open_shop().values())
    made = []
    for number in range(count):
        did("1", "view", [products[number]])
        made.append(runs.train("product", by="test"))
    return made


def kept() -> set[int]:
    return set(ModelVersion.objects.filter(artefact__isnull=False).values_list("pk", flat=True))


def test_old_versions_lose_what_they_learned_and_keep_their_history() -> None:
    made = versions(5)
    long_ago = timezone.now() - timedelta(days=30)
    Deployment.objects.update(at=long_ago)
    with override_settings(LLMREC={**settings.LLMREC, "LIMITS": {"models_kept": 2}}):
        assert privacy_retention.apply_retention().models == 3
        assert privacy_retention.apply_retention().models == 0
    assert kept() == {made[3].pk, made[4].pk}
    assert ModelArtefact.objects.count() == 2
    assert ModelVersion.objects.count() == 5
    assert report_of(made[0]).events == report_of(ModelVersion.objects.get(pk=made[0].pk)).events == 1


def test_the_live_version_and_those_within_their_grace_time_are_kept_however_old() -> None:
    made = versions(4)
    promotion.promote_model(made[0], by="test")
    now = timezone.now()
    with override_settings(LLMREC={**settings.LLMREC, "LIMITS": {"models_kept": 1}}):
        assert model_store.drop_old(now=now) == 0  # all were live a moment ago
        assert model_store.drop_old(now=now + timedelta(days=2)) == 2
    assert kept() == {made[0].pk, made[3].pk}
    promotion.rollback("product", by="test")
    assert live_pair("product").model_version == made[3]


def test_what_an_experiment_shows_is_kept_until_it_is_stopped() -> None:
    made = versions(2)
    experiment = Experiment.objects.create(name="old or new", document="product", state="running")
    Arm.objects.create(experiment=experiment, name="old", model_version=made[0])
    later = timezone.now() + timedelta(days=2)
    with override_settings(LLMREC={**settings.LLMREC, "LIMITS": {"models_kept": 1}}):
        assert model_store.drop_old(now=later) == 0
        Experiment.objects.update(state="stopped")
        assert model_store.drop_old(now=later) == 1
    assert kept() == {made[1].pk}


def test_what_is_not_kept_can_be_neither_promoted_nor_rolled_back_to() -> None:
    first, second = versions(2)
    ModelVersion.objects.filter(pk=first.pk).update(artefact=None)
    first.refresh_from_db()
    with pytest.raises(ConfigurationError, match="not kept any more"):
        promotion.promote_model(first, by="test")
    Deployment.objects.filter(model_version=None).delete()
    with pytest.raises(NotFound, match="nothing to roll back to"):
        promotion.rollback("product", by="test")
    assert live_pair("product").model_version == second


def test_versions_that_know_erased_users_do_not_count_among_the_kept() -> None:
    made = versions(3)
    count_erased(made[1])
    with override_settings(LLMREC={**settings.LLMREC, "LIMITS": {"models_kept": 2}}):
        model_store.drop_old(now=timezone.now() + timedelta(days=2))
    assert kept() == {made[0].pk, made[2].pk}


def test_the_command_goes_on_with_other_documents_and_fails_in_the_end() -> None:
    open_shop(copies=1)
    out = StringIO()
    with pytest.raises(CommandError, match="course"):
        call_command("llmrec", "train", "--document", "course", "--document", "product", stdout=out)
    assert "course: failed, what was live stays live" in out.getvalue()
    assert live_pair("product").model_version is not None


def test_the_command_trains_what_is_due_and_nothing_else() -> None:
    products = list(open_shop(copies=1).values())
    did("1", "view", products[:5])
    out = StringIO()
    call_command("llmrec", "train", "--due", stdout=out)
    assert "product: nothing to do" in out.getvalue()
    with override_settings(LLMREC={**settings.LLMREC, "TRAINING_MIN_EVENTS": 5}):
        call_command("llmrec", "train", "--due", "--by", "cron", stdout=out)
    run = TrainingRun.objects.get()
    assert (run.by, run.reason) == ("cron", "at least 5 new interactions")


def test_promotion_and_rollback_say_who_and_why() -> None:
    first, second = versions(2)
    call_command(
        "llmrec",
        "promote",
        str(first.pk),
        "--model",
        "--by",
        "alice",
        "--reason",
        "odd lists",
        stdout=StringIO(),
    )
    assert live_pair("product").model_version == first
    call_command("llmrec", "rollback", "--document", "product", "--by", "bob", stdout=StringIO())
    assert live_pair("product").model_version == second
    newest = list(Deployment.objects.values_list("by", "reason")[:2])
    assert newest == [("bob", "rollback"), ("alice", "odd lists")]
    with pytest.raises(CommandError, match="no model version 999"):
        call_command("llmrec", "promote", "999", "--model", stdout=StringIO())


def end_of(*arguments: str, patience: float = 30) -> list[tuple[str, str]]:
    """What is on record once a process that was started to train has come to its end."""
    process = subprocess.Popen([sys.executable, "-c", *arguments])
    runs._watch(process, ["product", "course"], "task", timezone.now(), patience)
    return list(TrainingRun.objects.order_by("document").values_list("document", "error"))


def test_a_process_that_ends_before_it_begins_is_on_record_for_all_it_was_to_do() -> None:
    found = end_of("raise SystemExit(3)")
    assert [document for document, _ in found] == ["course", "product"]
    assert "status 3 before it began" in found[0][1]


def test_a_process_that_found_another_at_work_is_no_failure() -> None:
    assert end_of("raise SystemExit(75)") == []
    open_shop(copies=1)
    with locks.hold("train:product"), pytest.raises(CommandError) as failed:
        call_command("llmrec", "train", "--document", "product", stdout=StringIO())
    assert failed.value.returncode == 75


def test_a_process_that_does_not_heed_its_time_budget_is_killed() -> None:
    started = time.monotonic()
    assert len(end_of("import time; time.sleep(60)", patience=0.2)) == 2
    assert time.monotonic() - started < 30


def test_settings_that_no_other_process_can_import_are_named() -> None:
    open_shop(copies=1)
    with (
        override_settings(SETTINGS_MODULE=""),
        pytest.raises(ConfigurationError, match="DJANGO_SETTINGS_MODULE"),
    ):
        runs.start(["product"], by="test")
    assert runs.start([], by="test") == 0
