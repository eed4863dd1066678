"""Scenarios of real Celery workers, a real Redis and a site that saves meanwhile, run as a script.

    python -m tests.support.worker_processes killed 20     kill -9 what drains, while items are saved
    python -m tests.support.worker_processes racing        two workers and a rebuild
    python -m tests.support.worker_processes outage        Redis gone, frozen and back
    python -m tests.support.worker_processes asked         SIGTERM in mid-drain
    python -m tests.support.worker_processes late          a drain whose time is up while it encodes
    python -m tests.support.worker_processes beat          a schedule that an editor changed
    python -m tests.support.worker_processes queues        one worker for each queue, as in the README
    python -m tests.support.worker_processes look          the site overwrites what a worker wrote
    python -m tests.support.worker_processes busy          somebody always saves

Prints one line of JSON. The script starts its own Redis, and ends all that it started.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from redis import Redis

from tests.support import servers
from tests.support.processes import WORDS, counts, fork, save_until_told, stop, title
from tests.support.programs import PATIENCE, ROOT, Celery, tell, until, worker

ITEMS = 60
BUSY_SECONDS = 8
RANDOM = random.Random(5)


def main(scenario: str, *arguments: str) -> None:
    tell(lambda redis: SCENARIOS[scenario](redis, *arguments))


def stock() -> None:
    from llmrec_plugin.services.indexing.index_build import build
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
    from llmrec_plugin.celery_tasks import drain_outbox
    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services.indexing import outbox

    outbox.retry(OutboxEntry.objects.filter(attempts__gt=0))
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
                child = until(lambda celery=celery: draining(celery.children() - gone), "a child drains")  # type: ignore[misc]
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
    from llmrec_plugin.services.indexing.index_build import build

    stock()
    savers = [fork(lambda seed=seed: save_until_told(seed, pause=0.1)) for seed in (1, 2)]  # type: ignore[misc]
    with worker("one"), worker("two"):
        built = {build("product", rebuild=True).index_version.name for _ in range(2)}
        saved = [stop(saver) for saver in savers]
        until(emptied, "the backlog is drained")
    return result(built=len(built), savers_lived_and_left=all(saved))


def outage(redis: servers.Server) -> dict[str, Any]:
    from llmrec_plugin.receivers import dispatch

    stock()
    report: dict[str, Any] = {}
    with worker():
        for phase in ("before", "gone", "frozen", "back"):
            if phase == "gone":
                redis.stop(kill=True)
            elif phase == "frozen":
                redis.start()
                redis.freeze()
            elif phase == "back":
                redis.thaw()
            dispatch.pause.end()  # as in a process that has not saved for a while
            report[phase] = shop(seconds=2)
        until(emptied, "the backlog is drained")
    return result(**report)


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


def begun(celery: Celery) -> int:
    """Change all items; the child that drains them once it has claimed some."""
    from llmrec_plugin.celery_tasks import drain_outbox
    from tests.hostapp.models import Product

    for product in Product.objects.all():
        product.title = title(RANDOM)
        product.save()
    drain_outbox.delay()
    return int(until(lambda: draining(celery.children()), "a child drains"))


def claims() -> int:
    from llmrec_plugin.models import OutboxEntry

    return OutboxEntry.objects.exclude(lease_owner="").count()


def asked(redis: servers.Server) -> dict[str, Any]:
    """SIGTERM to the process that drains, then to the worker, then to all of it at once."""
    from llmrec_plugin.models import OutboxEntry

    stock()
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


def ended(redis: servers.Server) -> dict[str, Any]:
    """By the database itself, in the middle of what it is asked: see `ended_at_begin`."""
    from llmrec_plugin.models import OutboxEntry

    stock()
    with worker() as celery:
        child = begun(celery)
        until(lambda: child not in celery.children(), "the child ends")
        left = OutboxEntry.objects.filter(lease_owner__contains=f":{child}:").count()
    return {"left": left}


def late(redis: servers.Server) -> dict[str, Any]:
    from llmrec_plugin.celery_tasks import TIDY_UP, drain_outbox
    from llmrec_plugin.models import OutboxEntry
    from tests.hostapp.models import Product

    stock()
    product = Product.objects.all()[0]
    Product.objects.filter(pk=product.pk).update(title="never read before")
    OutboxEntry.objects.create(document="product", item_id=str(product.pk))
    os.environ["LLMREC_TEST_ENCODER_SECONDS"] = str(2 * PATIENCE)
    with worker() as celery:
        (child,) = celery.children()
        drain_outbox.apply_async(soft_time_limit=2, time_limit=2 + TIDY_UP)
        until(lambda: draining(celery.children()), "the child drains")
        until(lambda: not OutboxEntry.objects.exclude(lease_owner="").exists(), "the claim is given back")
        until(lambda: celery.said("SoftTimeLimitExceeded"), "the worker says why")
        alive = celery.children() == {child}
        waits = list(OutboxEntry.objects.values_list("item_id", "attempts", "last_error"))
    return {"waits": waits, "expected": [[str(product.pk), 0, ""]], "alive": alive}


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
            until(lambda: scheduler.said("task llmrec: drain_outbox"), "beat has the backlog drained")
            until(lambda: not OutboxEntry.objects.exists(), "the backlog is drained")
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


def queues(redis: servers.Server) -> dict[str, Any]:
    """Which tasks the worker of each queue was given."""
    from llmrec_plugin import celery_tasks as tasks

    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    starts = [line for line in lines if line.startswith("celery -A workers worker -Q")]
    workers: dict[str, Celery] = {}
    try:
        for start in starts:
            arguments = start.partition("#")[0].split()[3:]
            queue = arguments[arguments.index("-Q") + 1]
            workers[queue] = Celery(*arguments, "-n", f"{queue}@tests", "-l", "INFO")
        for celery in workers.values():
            until(lambda celery=celery: celery.said(" ready."), "the worker starts")  # type: ignore[misc]
        sent = [tasks.drain_outbox, tasks.audit_indexes, tasks.fit_models, tasks.apply_retention]
        for task in sent:
            task.delay()
        until(
            lambda: sum(len(celery.tasks()) for celery in workers.values()) >= len(sent) + 1,
            "each task is taken, and the audit of a document that one of them sends",
        )
        return {queue: sorted(celery.tasks()) for queue, celery in workers.items()}
    finally:
        for celery in workers.values():
            celery.end(signal.SIGTERM)


def look(redis: servers.Server) -> dict[str, Any]:
    """Seconds for which the site's own writes, right after a worker's, leave documents without a vector."""
    from elasticsearch import Elasticsearch

    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services.deployment.live import live_pair
    from llmrec_plugin.services.indexing.index_build import build
    from tests.attached.site import Site, body
    from tests.hostapp.models import Product

    rng = random.Random(13)
    gaps = []
    with Elasticsearch(os.environ["LLMREC_TEST_ELASTICSEARCH"], request_timeout=60) as client, worker():
        site = Site(client)
        site.clean()
        site.create()
        products = [Product.objects.create(title=title(rng)) for _ in range(8)]
        site.put(*products)
        build("attached")
        field = live_pair("attached").index_version.name.replace("-", "_")

        def digest(product: Product) -> str:
            source = client.get(index=site.index, id=f"product-{product.pk}").body["_source"]
            return str(source.get(field, {}).get("digest", ""))

        until(emptied, "the backlog is drained")
        for product in products:
            former = digest(product)
            product.title = title(rng)
            product.save()
            until(lambda p=product, f=former: digest(p) not in ("", f), "the worker has written the vector")  # type: ignore[misc]
            client.index(index=site.index, id=f"product-{product.pk}", document=body(product))
            lost = time.monotonic()
            if not OutboxEntry.objects.filter(document="attached", item_id=product.pk).exists():
                continue  # the worker had looked already: the machine was too slow for this attempt
            until(lambda p=product: digest(p), "the worker looks again")  # type: ignore[misc]
            gaps.append(time.monotonic() - lost)
        site.clean()
    return {"gaps": gaps}


def busy(redis: servers.Server) -> dict[str, Any]:
    """Messages that wait after some seconds in which somebody always saves."""
    from tests.hostapp.models import Product

    stock()
    rng = random.Random(17)
    products = list(Product.objects.all())
    waiting = []
    with worker():
        end = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < end:
            product = rng.choice(products)
            product.title = title(rng)
            product.save()
            waiting.append(queued(redis))
        until(emptied, "the backlog is drained")
    return result(most=max(waiting), saves=len(waiting))


def queued(redis: servers.Server) -> int:
    """Messages that no worker has taken yet."""
    with Redis.from_url(redis.url) as client:
        return int(client.llen("index"))


SCENARIOS: dict[str, Callable[..., dict[str, Any]]] = {
    "killed": killed,
    "racing": racing,
    "outage": outage,
    "asked": asked,
    "ended": ended,
    "late": late,
    "beat": beat,
    "queues": queues,
    "look": look,
    "busy": busy,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
