"""Scenarios of several real processes on one PostgreSQL database, run as a script.

    python -m tests.support.on_postgresql migrations  from nothing, back and forward again
    python -m tests.support.on_postgresql claims      two claims at once, the first not yet committed
    python -m tests.support.on_postgresql drainers 4  one drainer, then four, and four while items are saved
    python -m tests.support.on_postgresql restored    from an older dump, while Elasticsearch has gone on

LLMREC_TEST_DB names the empty database. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from threading import Thread
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from tests.support.server_programs import postgresql_programs

ITEMS = 240
BATCH = 10
PAUSE = 0.08
"""Seconds that the encoder takes for a batch, as a model server would; the others need not wait for it."""


def main(scenario: str, *arguments: str) -> None:
    if scenario == "migrations":
        settings.MIGRATION_MODULES = {}
    settings.LLMREC = {
        **settings.LLMREC,
        "LIMITS": {"drain_batch": BATCH},
        "ENCODER": "tests.support.pausing_encoder",
        "ENCODER_OPTIONS": {"seconds": PAUSE},
    }
    if scenario == "restored":
        settings.LLMREC |= {
            "BACKEND": "llmrec_plugin.backends.elasticsearch",
            "BACKEND_OPTIONS": {"hosts": os.environ["LLMREC_TEST_ELASTICSEARCH"], "refresh": True},
            "INDEX_PREFIX": "restored",
        }
    django.setup()
    scenarios: dict[str, Callable[..., dict[str, Any]]] = {
        "migrations": migrations,
        "claims": claims,
        "drainers": drainers,
        "restored": restored,
    }
    print(json.dumps(scenarios[scenario](*map(int, arguments))))


def migrations() -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    first = tables()
    call_command("migrate", "llmrec_plugin", "zero", verbosity=0)
    none = tables()
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "llmrec_plugin", check=True, dry_run=True, verbosity=0)
    return {"first": len(first), "none": none, "again": tables() == first}


def tables() -> list[str]:
    from django.db import connection

    return sorted(name for name in connection.introspection.table_names() if name.startswith("llmrec_"))


def claims() -> dict[str, Any]:
    from django.db import connection, transaction

    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services.indexing import outbox

    migrate()
    OutboxEntry.objects.bulk_create(OutboxEntry(document="product", item_id=str(n)) for n in range(30))
    second: list[int] = []

    def claim() -> None:
        second.extend(entry.pk for entry in outbox.claim(20))
        connection.close()

    with transaction.atomic():
        first = [entry.pk for entry in outbox.claim(20)]
        started = time.monotonic()
        other = Thread(target=claim)
        other.start()
        other.join(timeout=30)
        waited = time.monotonic() - started
        returned = not other.is_alive()
    other.join()
    return {"first": first, "second": second, "returned": returned, "waited": waited}


def drainers(number: int) -> dict[str, Any]:
    """The times are of the same work; each process says how many entries it had."""
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing.index_build import build
    from tests.hostapp.models import Brand, Category, Product
    from tests.support import processes

    migrate()
    rng = random.Random(number)
    brands = [Brand.objects.create(name=name) for name in processes.WORDS[:4]]
    Category.objects.create(name=processes.WORDS[4])
    Product.objects.bulk_create(
        Product(title=processes.title(rng), brand=rng.choice(brands)) for _ in range(ITEMS)
    )
    build("product")
    alone, _ = timed(1)
    together, shares = timed(number)
    saver = processes.fork(lambda: processes.save_until_told(rng.randrange(2**32)))
    stopped = time.monotonic() + 3
    crowd = [processes.fork(lambda: drain_until(stopped)) for _ in range(number)]
    ended = [os.waitpid(child, 0)[1] for child in crowd]
    saved = processes.stop(saver)
    processes.settle()
    report = indexing.audit("product")
    return {
        "alone": alone,
        "together": together,
        "shares": shares,
        "entries": ITEMS,
        "drainers_failed": sum(status != 0 for status in ended),
        "saver_lived_and_left": saved,
        "items": report.checked,
        "missing": report.missing,
        "stale": report.stale,
        "orphaned": report.orphaned,
        "failing": report.failing,
        "pending": report.pending,
        **processes.counts(),
    }


def restored() -> dict[str, Any]:
    """As docs/production.md says of a backup: the index has seen later revisions than the site."""
    from llmrec_plugin.backends import get_backend
    from llmrec_plugin.models import OutboxEntry
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing.index_build import build
    from tests.hostapp.models import Product
    from tests.support.indexed import found

    migrate()
    Product.objects.bulk_create(Product(title=f"lamp {number}") for number in range(20))
    build("product")
    dump = Path(tempfile.mkdtemp()) / "site.dump"
    database = os.environ["LLMREC_TEST_DB"]
    programs = postgresql_programs()
    run([programs / "pg_dump", "--dbname", database, "--format", "custom", "--file", dump], check=True)
    for number in range(3):
        Product.objects.create(title=f"comet {number}")
        Product.objects.filter(title=f"lamp {number}").get().delete()
        indexing.drain()
    later = Product.objects.get(title="lamp 5")
    later.title = "comet 5"
    later.save()
    indexing.drain()
    connections.close_all()
    run([programs / "pg_restore", "--dbname", database, "--clean", "--if-exists", dump], check=True)
    shutil.rmtree(dump.parent)
    changed = Product.objects.get(title="lamp 5")
    changed.title = "torch 5"
    changed.save()
    refused = indexing.drain()
    before = indexing.audit("product")
    built = build("product", rebuild=True, keep_former=False)
    after = indexing.audit("product")
    report = {
        "refused": refused.failed,
        "before": [len(before.missing), len(before.orphaned)],
        "encoded": built.encoded,
        "items": after.checked,
        "differences": [*after.missing, *after.stale, *after.orphaned, *after.failing, *after.pending],
        "comets": len(found("product", "comet")),
        "waiting": OutboxEntry.objects.count(),
        "indexes": len(get_backend().index_names()),
        "torches": len(found("product", "torch")),
    }
    for name in get_backend().index_names():
        get_backend().drop_index(name)
    return report


def timed(number: int) -> tuple[float, list[int]]:
    """Seconds that so many processes need for all items with new texts, and the entries that each had."""
    from django.db.models import F, Value
    from django.db.models.functions import Concat

    from llmrec_plugin.services import indexing
    from tests.hostapp.models import Product
    from tests.support.processes import fork

    Product.objects.update(title=Concat(F("title"), Value(f" for {number}")))
    indexing.mark(Product.objects.all())
    reader, writer = os.pipe()
    started = time.monotonic()

    def work() -> None:
        os.write(writer, f"{indexing.drain().entries}\n".encode())

    children = [fork(work) for _ in range(number)]
    for child in children:
        os.waitpid(child, 0)
    took = time.monotonic() - started
    os.close(writer)
    with os.fdopen(reader) as answers:
        return took, [int(line) for line in answers]


def drain_until(deadline: float) -> None:
    from llmrec_plugin.services import indexing

    while time.monotonic() < deadline:
        indexing.drain(limit=BATCH)


def migrate() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
