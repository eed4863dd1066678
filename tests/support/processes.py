"""Scenarios of several real processes on one database file and one data folder, run as a script.

    python -m tests.support.processes crash 20        kill drains and builds while items are saved
    python -m tests.support.processes freshness       how soon one process sees what another indexed

Prints one line of JSON. Children are forked, so that a round costs no start-up.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

ITEMS = 150
WORDS = [
    *("amber", "brass", "cedar", "delft", "ebony", "flint", "glass", "ivory"),
    *("jade", "linen", "maple", "onyx", "pearl", "quartz", "satin", "teak"),
]


def main(scenario: str, *arguments: str) -> None:
    settings.LLMREC = {**settings.LLMREC, "LIMITS": {"drain_batch": 16}}
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    report = crash(int(arguments[0])) if scenario == "crash" else freshness()
    print(json.dumps(report))


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child that inherits no connection; returns its process id."""
    from django.db import connections

    connections.close_all()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def kill(child: int) -> bool:
    """Kill -9; False if it had ended by itself."""
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended:
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def stop(child: int) -> bool:
    """Ask it to end after what it is doing; True if it was alive and did so without an error.

    A process that is killed between an autocommitted save and its entry leaves a difference for the
    audit, and that is not what is tested here.
    """
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    return status == 0


def crash(rounds: int) -> dict[str, Any]:
    from llmrec_plugin.models import IndexVersion
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing.index_build import build
    from tests.hostapp.models import Brand, Category, Product

    rng = random.Random(rounds)
    brands = [Brand.objects.create(name=name) for name in WORDS[:4]]
    for name in WORDS[4:7]:
        Category.objects.create(name=name)
    Product.objects.bulk_create(
        Product(title=title(rng), brand=rng.choice(brands), is_draft=rng.random() < 0.1) for _ in range(ITEMS)
    )
    build("product")
    saver = fork(lambda: save_until_told(rng.randrange(2**32)))
    killed = 0
    for number in range(rounds):
        work = drain_for_ever if number % 2 else build_for_ever
        child = fork(work)
        time.sleep(rng.uniform(0.05, 0.8))
        killed += kill(child)
    saved = stop(saver)
    promoted = IndexVersion.objects.count()
    build("product")
    settle()
    audit = indexing.audit("product")
    return {
        "killed": killed,
        "saver_lived_and_left": saved,
        "versions": promoted,
        "items": audit.checked,
        "missing": audit.missing,
        "stale": audit.stale,
        "orphaned": audit.orphaned,
        "failing": audit.failing,
        "pending": audit.pending,
        **counts(),
    }


def title(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=4))


def save_until_told(seed: int, *, pause: float = 0.002) -> None:
    """Every kind of change that a site makes, some in transactions that are undone.

    Ends with its parent as well: it would hold the pipe open that whoever started that one reads.
    """
    from django.db import transaction

    from llmrec_plugin.services import indexing
    from tests.hostapp.models import Brand, Category, Product

    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    rng = random.Random(seed)
    parent = os.getppid()
    while not told and os.getppid() == parent:
        item = Product.objects.order_by("?").first()
        brand = Brand.objects.order_by("?").first()
        chance = rng.random()
        if chance < 0.2 or item is None or brand is None:
            Product.objects.create(title=title(rng), brand=brand)
        elif chance < 0.35:
            item.delete()
        elif chance < 0.7:
            item.title, item.price = title(rng), rng.randrange(100)
            item.save()
        elif chance < 0.8:
            item.categories.set(Category.objects.order_by("?")[: rng.randrange(3)])
        elif chance < 0.85:
            brand.name = title(rng)
            brand.save()
        elif chance < 0.95:
            with transaction.atomic():
                some = Product.objects.filter(brand=brand)
                some.update(title=title(rng))
                indexing.mark(some)
        else:
            with transaction.atomic():
                item.title = "never to be seen"
                item.save()
                transaction.set_rollback(True)
        time.sleep(pause)


def drain_for_ever() -> None:
    from llmrec_plugin.services import indexing

    while True:
        indexing.drain()
        time.sleep(0.01)


def build_for_ever() -> None:
    from llmrec_plugin.services.indexing.index_build import build

    while True:
        build("product", rebuild=True)


def settle() -> None:
    """Drain until nothing waits; what was postponed is tried at once."""
    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing import outbox

    for _ in range(20):
        outbox.retry(OutboxEntry.objects.all())
        if not indexing.drain().remaining:
            break


def counts() -> dict[str, int]:
    """What there is too much or too little of, beside what the audit names."""
    from llmrec_plugin.backends import get_backend
    from llmrec_plugin.models import Embedding, OutboxEntry
    from llmrec_plugin.services.deployment.live import live_pair
    from llmrec_plugin.types import EngineQuery

    name = live_pair("product").index_version.name
    listing = get_backend().search(name, EngineQuery(limit=100_000)).listing
    return {
        "waiting": OutboxEntry.objects.count(),
        "indexed": get_backend().count(name),
        "listed": len(listing),
        "distinct": len({hit.key for hit in listing}),
        "vectors": Embedding.objects.filter(document="product").count(),
    }


def freshness() -> dict[str, Any]:
    """Seconds from the end of a worker's drain to the first search of this process that finds it."""
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing.index_build import build
    from tests.hostapp.models import Product
    from tests.support.indexed import found, listed

    build("product")
    delays: list[float] = []
    for word in WORDS:
        found("product", word)  # this process has the index open and its matrix cached
        reader, writer = os.pipe()

        def work(word: str = word, writer: int = writer) -> None:
            Product.objects.create(title=word)
            indexing.drain()
            os.write(writer, repr(time.time()).encode())

        child = fork(work)
        written = float(os.read(reader, 100))
        while not found("product", word):
            time.sleep(0.005)
        delays.append(time.time() - written)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    return {"worst": max(delays), "listed": len(listed("product")), "expected": len(WORDS)}


if __name__ == "__main__":
    main(*sys.argv[1:])
