"""Scenarios of real Celery workers, a real Redis and a site that saves meanwhile, run as a script.

    python -m tests.flows.worker_processes killed 20     kill -9 what drains, while items are saved
    python -m tests.flows.worker_processes racing        two workers and a rebuild
    python -m tests.flows.worker_processes outage        Redis gone, frozen and back
    python -m tests.flows.worker_processes asked         SIGTERM in mid-drain
    python -m tests.flows.worker_processes beat          a schedule that an editor changed

Prints one line of JSON. The script starts its own Redis, and ends all that it started.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

from tests import servers
from tests.flows.processes import WORDS, counts, fork, save_until_told, stop, title

PATIENCE = 60
"""Seconds until what has to happen counts as not happening."""
ITEMS = 60


def main(scenario: str, *arguments: str) -> None:
    redis = servers.new_redis()
    os.environ["LLMREC_TEST_REDIS"] = redis.url
    try:
        redis.start()
        django.setup()
        from django.core.management import call_command

        call_command("migrate", run_syncdb=True, verbosity=0)
        report = SCENARIOS[scenario](redis, *arguments)
    finally:
        redis.discard()
    print(json.dumps(report))


def until(happens: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := happens()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)
    return value


class Celery:
    """A `celery` process with its children, in a group of their own."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path(tempfile.mkdtemp(prefix="llmrec-worker-")) / "output.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "workers", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, words: str) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text(errors="replace")[-3000:])
        return words in self.log.read_text(errors="replace")

    def children(self) -> set[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def end(self, number: int = signal.SIGKILL) -> int:
        """Signal the group, wait for the end and drop the log; returns the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        status = self.process.wait(PATIENCE)
        shutil.rmtree(self.log.parent, ignore_errors=True)
        return status


@contextmanager
def worker(name: str = "one", *, processes: int = 1) -> Iterator[Celery]:
    celery = Celery(
        "worker",
        "-n", f"{name}@tests", "-c", str(processes), "-l", "INFO",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    try:
        until(lambda: celery.said("ready."), "the worker starts")
        yield celery
    finally:
        celery.end()


def stock() -> None:
    from llmrec_plugin.services.build import build
    from tests.hostapp.models import Brand, Category, Product

    rng = random.Random(1)
    brands = [Brand.objects.create(name=name) for name in WORDS[:4]]
    for name in WORDS[4:7]:
        Category.objects.create(name=name)
    Product.objects.bulk_create(Product(title=title(rng), brand=rng.choice(brands)) for _ in range(ITEMS))
    build("product")


def draining(children: set[int]) -> int | None:
    """A child that has claimed entries at this moment."""
    from llmrec_plugin.models import OutboxEntry

    owners = OutboxEntry.objects.exclude(lease_owner="").values_list("lease_owner", flat=True).distinct()
    return next((pid for owner in owners if (pid := int(owner.split(":")[-2])) in children), None)


def emptied() -> bool:
    """As beat does: send a drain now and then, until nothing waits."""
    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services import indexing
    from llmrec_plugin.tasks import drain_outbox

    indexing.retry(OutboxEntry.objects.filter(attempts__gt=0))
    drain_outbox.delay()
    time.sleep(0.3)
    return not OutboxEntry.objects.exists()


def result(**further: Any) -> dict[str, Any]:
    from llmrec_plugin.services import indexing

    audit = indexing.audit("product")
    found = {
        name: list(getattr(audit, name)) for name in ("missing", "stale", "orphaned", "failing", "pending")
    }
    return {"items": audit.checked, "differences": found, **counts(), **further}


def killed(redis: servers.Server, rounds: str) -> dict[str, Any]:
    """Every fifth time the whole worker, else the process that encodes."""
    stock()
    saver = fork(lambda: save_until_told(7))
    gone: set[int] = set()
    """Children that were killed; until the worker has buried them they are still listed, and hold leases."""
    done = 0
    while done < int(rounds):
        with worker() as celery:
            for _ in range(5):
                child = until(lambda celery=celery: draining(celery.children() - gone), "a child drains")
                done += 1
                if done % 5 == 0:
                    celery.end()
                    break
                os.kill(child, signal.SIGKILL)
                gone.add(child)
    saved = stop(saver)
    with worker():
        until(emptied, "the backlog is drained")
    return result(killed=done, saver_lived_and_left=saved)


def racing(redis: servers.Server) -> dict[str, Any]:
    from llmrec_plugin.services.build import build

    stock()
    savers = [fork(lambda seed=seed: save_until_told(seed, pause=0.1)) for seed in (1, 2)]
    with worker("one"), worker("two"):
        built = {build("product", rebuild=True).index_version.name for _ in range(2)}
        saved = [stop(saver) for saver in savers]
        until(emptied, "the backlog is drained")
    return result(built=len(built), savers_lived_and_left=all(saved))


def outage(redis: servers.Server) -> dict[str, Any]:
    from llmrec_plugin import receivers

    stock()
    report: dict[str, Any] = {}
    with worker():
        for phase in ("before", "gone", "frozen", "back"):
            if phase == "gone":
                redis.stop(kill=True)
            elif phase == "frozen":
                redis.start()
                freeze(redis, signal.SIGSTOP)
            elif phase == "back":
                freeze(redis, signal.SIGCONT)
            receivers.pause.end()  # as in a process that has not saved for a while
            report[phase] = shop(seconds=2)
        until(emptied, "the backlog is drained")
    return result(**report)


def freeze(redis: servers.Server, number: int) -> None:
    assert redis.process is not None
    os.killpg(redis.process.pid, number)


def shop(*, seconds: float) -> dict[str, Any]:
    """Save and search for that long, and say how it went: statuses, and the longest and middle times."""
    from django.test import Client

    from tests.hostapp.models import Product

    rng = random.Random(3)
    client = Client()
    saves, searches, statuses = [], [], set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        Product.objects.create(title=title(rng))
        saves.append(time.monotonic() - started)
        started = time.monotonic()
        answer = client.get("/api/search/", {"q": title(rng), "document": "product"})
        searches.append(time.monotonic() - started)
        statuses.add(answer.status_code)
    return {
        "statuses": sorted(statuses),
        "saves": len(saves),
        "slowest_save": max(saves),
        "slowest_search": max(searches),
        "usual_save": sorted(saves)[len(saves) // 2],
        "usual_search": sorted(searches)[len(searches) // 2],
    }


def asked(redis: servers.Server) -> dict[str, Any]:
    """SIGTERM to the process that drains, then to the worker, then to all of it at once."""
    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.tasks import drain_outbox
    from tests.hostapp.models import Product

    stock()
    rng = random.Random(5)

    def begun(celery: Celery) -> int:
        for product in Product.objects.all():
            product.title = title(rng)
            product.save()
        drain_outbox.delay()
        return int(until(lambda: draining(celery.children()), "a child drains"))

    def claims() -> int:
        return OutboxEntry.objects.exclude(lease_owner="").count()

    with worker() as celery:
        child = begun(celery)
        os.kill(child, signal.SIGTERM)
        until(lambda: child not in celery.children(), "the child ends")
        requeued = until(lambda: not OutboxEntry.objects.exists(), "another child takes the message")
    with worker() as celery:
        begun(celery)
        os.kill(celery.process.pid, signal.SIGTERM)
        alone = celery.process.wait(PATIENCE)
        finished = not OutboxEntry.objects.exists()
    with worker() as celery:
        begun(celery)
        celery.end(signal.SIGTERM)
        left = claims()
    return {"requeued": requeued, "status": alone, "finished": finished, "left": left}


def beat(redis: servers.Server) -> dict[str, Any]:
    from django.core.management import call_command
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services import indexing
    from tests.hostapp.models import Product

    stock()
    call_command("llmrec", "schedule", "--write", stdout=sys.stderr)
    rows = PeriodicTask.objects.filter(name__startswith="llmrec: ")
    written = rows.count()
    edited, off = rows.get(name="llmrec: drain_outbox"), rows.get(name="llmrec: fit_models")
    edited.interval = IntervalSchedule.objects.create(every=1, period="seconds")
    edited.save()
    off.enabled = False
    off.save()
    call_command("llmrec", "schedule", "--write", stdout=sys.stderr)
    indexing.mark(Product.objects.all())
    scheduler = Celery(
        "beat", "-S", "django_celery_beat.schedulers:DatabaseScheduler", "--pidfile=", "-l", "INFO"
    )
    try:
        with worker():
            until(lambda: not OutboxEntry.objects.exists(), "beat has the backlog drained")
    finally:
        scheduler.end(signal.SIGTERM)
    edited.refresh_from_db()
    off.refresh_from_db()
    return {
        "written": written,
        "rows": rows.count(),
        "every": edited.interval.every,
        "enabled": off.enabled,
        "runs": edited.total_run_count,
    }


SCENARIOS: dict[str, Callable[..., dict[str, Any]]] = {
    "killed": killed,
    "racing": racing,
    "outage": outage,
    "asked": asked,
    "beat": beat,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
