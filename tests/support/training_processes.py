"""Scenarios of trainings in processes of their own, with a real worker, beat and Redis, run as a script.

    python -m tests.support.training_processes loop     people act, it is learned, lists change, and back
    python -m tests.support.training_processes killed   kill -9 in training, then the next one
    python -m tests.support.training_processes full     the disk is full when the model is to be stored

Prints one line of JSON. The script starts its own Redis, and ends all that it started.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.programs import Celery, tell, until, worker


def main(scenario: str) -> None:
    tell(lambda redis: SCENARIOS[scenario]())


@contextmanager
def beat() -> Iterator[None]:
    """Sends what settings say: here, trainings that are due every second."""
    scheduler = Celery("beat", "--pidfile=", "-l", "INFO", "-s", os.environ["LLMREC_TEST_DATA"] + "-beat")
    try:
        yield
    finally:
        scheduler.end(signal.SIGTERM)


def live_model() -> int | None:
    from llmrec_plugin.services.deployment.live import live_pair

    version = live_pair("product").model_version
    return version.pk if version else None


def run() -> Any:
    from llmrec_plugin.models import TrainingRun

    return TrainingRun.objects.order_by("-id").first()


def ended() -> Any:
    newest = run()
    return newest if newest is not None and newest.state != "running" else None


def error_shown() -> str:
    from llmrec_plugin.services.monitoring import status

    return next(one for one in status.collect().documents if one.label == "product").training_error


def loop() -> dict[str, Any]:
    """Interactions arrive -> beat -> train -> gate -> promote -> results change -> rollback."""
    from django.core.management import call_command

    from llmrec_plugin.models import Deployment
    from llmrec_plugin.services.model_registry.training_report import report_of
    from tests.services.training.test_adaptation import live, next_family, shop
    from tests.support.families import families_for, only_texts

    products = shop()
    only_texts()
    before = families_for(products, 2)
    with worker(), beat():
        live(products, next_family)
        run_ended = until(ended, "beat has the events learned")
        after = families_for(products, 2)
    call_command("llmrec", "rollback", "--document", "product", "--by", "alice", stdout=sys.stderr)
    report = report_of(run_ended.model_version)
    return {
        "before": before.count("wool"),
        "after": after.count("glass"),
        "back": families_for(products, 2).count("wool"),
        "state": run_ended.state,
        "by": run_ended.by,
        "gate": report.gate is not None and report.gate.taken,
        "step": report.highest_step,
        "audit": list(Deployment.objects.order_by("id").values_list("by", "reason")),
    }


def training_child(celery: Celery) -> int:
    """The process that trains; it leads a group of its own, so it outlives its worker."""
    newest = until(lambda: (found := run()) and found.state == "running" and found, "a training begins")
    pid = int(newest.owner.split(":")[-2])
    assert pid not in celery.children()
    return pid


def killed() -> dict[str, Any]:
    """The first kill leaves the worker alive, which says so at once; the second takes the worker along."""
    from django.db import transaction

    from llmrec_plugin.celery_tasks import fit_model
    from llmrec_plugin.services.search import search
    from llmrec_plugin.services.training import runs
    from llmrec_plugin.types import SearchRequest
    from tests.services.training.test_adaptation import live, next_family, shop

    products = shop()
    live(products, next_family)
    before = runs.train("product", by="test").pk
    errors = []
    for with_worker in (False, True):
        with worker() as celery:
            fit_model.delay("product")
            pid = training_child(celery)
            with transaction.atomic():  # SQLite has one writer: now the training cannot come to its end
                if with_worker:
                    celery.end()
                os.kill(pid, signal.SIGKILL)
            if not with_worker:
                errors.append(until(ended, "the worker notices").error)
        untouched = live_model() == before
    lost = until(error_shown, "a process that is gone is missed")
    found = bool(search(SearchRequest(document="product", text="oak")).results)
    with worker():
        fit_model.delay("product")
        done = until(lambda: (one := ended()) and one.state == "done" and one, "the next training")
    return {
        "noticed": errors[0],
        "lost": lost,
        "untouched": untouched,
        "searched": found,
        "next": done.state,
        "replaced": live_model() != before,
    }


def full() -> dict[str, Any]:
    """The database may not grow: what SQLite answers when the disk is full."""
    from django.db import connection

    from llmrec_plugin.services.training import runs
    from tests.services.training.test_adaptation import live, next_family, shop

    live(shop(), next_family)
    before = runs.train("product", by="test").pk
    from llmrec_plugin.models import Interaction

    Interaction.objects.filter(user_key="u1").delete()  # so that another model comes out
    connection.cursor().execute("VACUUM")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages + 4}")
    try:
        runs.train("product", by="test")
        error = ""
    except Exception as failure:
        error = type(failure).__name__
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1000000")
    shown = error_shown()
    untouched = live_model() == before
    runs.train("product", by="test")
    return {"error": error, "shown": shown, "untouched": untouched, "next": run().state}


SCENARIOS: dict[str, Callable[[], dict[str, Any]]] = {
    "loop": loop,
    "killed": killed,
    "full": full,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
