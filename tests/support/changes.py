"""A site in production changes its encoder, fields and dictionary while visitors search and editors save.

    python -m tests.support.changes

Real gunicorn, Celery worker, Redis, PostgreSQL (LLMREC_TEST_DB, an empty database) and Elasticsearch
(LLMREC_TEST_ELASTICSEARCH). Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.changing.encoder import CLOUD, QUERIES, THINGS
from tests.support.processes import fork, stop
from tests.support.programs import Program, tell, until, web, worker

DOCUMENT = "sold"
SPARE = 100
GRACE = 1
VISITORS = 3
PAUSE = 0.05
"""Between two searches of a visitor: the machine is also the server."""
CLOUD_TITLE = f"{CLOUD}实战"
FIRST = {"ENCODER_OPTIONS": {"turn": 0}, "filter_fields": ["in_stock"]}
TURNED = {**FIRST, "ENCODER_OPTIONS": {"turn": 1}}
MAPPED = {**TURNED, "filter_fields": ["in_stock", "price"], "BACKEND_OPTIONS": {"quantization": "hnsw"}}


@dataclass(frozen=True, kw_only=True)
class Answer:
    began: float
    status: int
    space: str
    """ "0" or "1", whose known answer it is; "both": the answer of both; else what was wrong."""


@dataclass(eq=False)
class Load:
    """Visitors who search without end, each query one that words alone do not answer."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Load]:
        visitors = [threading.Thread(target=self._visit, args=(seed,)) for seed in range(VISITORS)]
        for visitor in visitors:
            visitor.start()
        try:
            yield self
        finally:
            self._over.set()
            for visitor in visitors:
                visitor.join()

    def since(self, moment: float) -> list[Answer]:
        return [answer for answer in self.answers if answer.began > moment]

    def _visit(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._over.wait(PAUSE):
            place = rng.randrange(len(QUERIES) + 1)
            began = time.monotonic()
            status, page = get(self.port, q=CLOUD if place == len(QUERIES) else QUERIES[place])
            self.answers.append(Answer(began=began, status=status, space=judged(place, page)))


def get(port: int, **parameters: str) -> tuple[int, Any]:
    query = urllib.parse.urlencode({"document": DOCUMENT, **parameters})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/search/?{query}", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, repr(error)


def judged(place: int, page: Any) -> str:
    if not isinstance(page, dict):
        return f"failed: {page}"
    if page["degraded"] or not page["results"]:
        return f"degraded {page['degraded']}, {len(page['results'])} results"
    first = page["results"][0]["title"]
    if place == len(QUERIES):
        return "both" if first == CLOUD_TITLE else f"cloud answered by {first}"
    found = {THINGS[place]: "0", THINGS[(place + 1) % len(THINGS)]: "1"}
    return found.get(first, f"{QUERIES[place]} answered by {first}")


def main() -> None:
    settle_on(FIRST)
    tell(lambda redis: changes())


def settle_on(settings: Mapping[str, Any]) -> None:
    """What each process that starts from now on has in its settings."""
    Path(os.environ["LLMREC_TEST_CHANGES"]).write_text(json.dumps(settings))


def changes() -> dict[str, Any]:
    from llmrec_plugin.backends import get_backend
    from llmrec_plugin.services import indexing
    from tests.hostapp.models import Product

    for name in get_backend().index_names():
        get_backend().drop_index(name)
    Product.objects.bulk_create(Product(title=title) for title in [*THINGS, CLOUD_TITLE])
    Product.objects.bulk_create(Product(title=f"spare part {number}") for number in range(SPARE))
    indexing.build(DOCUMENT)
    editor = fork(edit_until_told)
    dictionary = Path(os.environ["LLMREC_TEST_CHANGES"]).with_name("dictionary.txt")
    dictionary.write_text(f"{CLOUD}\n")
    cut = {**MAPPED, "DICTIONARY": str(dictionary)}
    report: dict[str, Any] = {}
    with web() as (server, port), Load(port).running() as load:
        until(lambda: len(load.answers) > 20, "visitors are answered")
        report["encoder"] = changed(load, TURNED, expected="1", killed=True)
        report["mapping"] = changed(load, MAPPED, expected="1")
        report["quantization"] = quantization()
        report["dictionary"] = changed(load, cut, expected="1")
        os.kill(server.process.pid, signal.SIGHUP)  # the web processes are replaced, one after the other
        by_price = {"q": QUERIES[0], "price__lte": "5"}
        until(lambda: get(port, **by_price)[0] == 200, "a web process knows of the new filter")
        report["swept"] = swept(load, {**cut, "LIMITS": {"version_grace_seconds": GRACE}})
        report["editor_lived_and_left"] = stop(editor)
        report["answers"] = Counter(answer.space for answer in load.answers)
        report["statuses"] = sorted({answer.status for answer in load.answers})
    return {**report, **remaining()}


def changed(
    load: Load, settings: Mapping[str, Any], *, expected: str, killed: bool = False
) -> dict[str, Any]:
    """The way of docs/production.md: workers, build, promote; and a rollback and its undoing."""
    from llmrec_plugin.models import IndexVersion
    from llmrec_plugin.services.deployment import promotion
    from llmrec_plugin.services.deployment.live import live_pair

    settle_on(settings)
    with worker():
        report: dict[str, Any] = {"killed_in": killed_build() if killed else None}
        built = command("build", "--no-promote", "--document", DOCUMENT)[DOCUMENT]
        version = IndexVersion.objects.get(name=built["index_version"])
        former = live_pair(DOCUMENT).index_version
        began = time.monotonic()
        promotion.promote(version, by="test")
        until(lambda: settled(load, began, expected), "the new index answers")
        report["taken_over_after"] = time.monotonic() - began
        # in all web processes the former encoder is in memory: the very next search is answered by it
        promotion.rollback(DOCUMENT, by="test")
        back = time.monotonic()
        until(lambda: len(load.since(back)) > 20, "visitors search")
        report["after_rollback"] = sorted({answer.space for answer in load.since(back)} - {"both"})
        promotion.rollback(DOCUMENT, by="test")
    return {**report, "built": built["index_version"], "replaced": former.name}


def killed_build() -> str:
    """The index that was being built when the command was killed."""
    from llmrec_plugin.models import IndexVersion

    building = IndexVersion.objects.filter(state=IndexVersion.State.BUILDING, marking_done=True)
    program = Program("django", "llmrec", "build", "--document", DOCUMENT, "--no-promote")
    name = until(lambda: program.said("") and building.values_list("name", flat=True).first(), "a build")
    program.end()
    if not building.exists():
        raise RuntimeError("the build was over before it was killed: give it more items")
    return str(name)


def command(*arguments: str) -> Any:
    """The JSON that `manage.py llmrec … --json` prints, with today's settings."""
    program = Program("django", "llmrec", *arguments, "--json")
    until(lambda: program.process.poll() is not None, f"{arguments} ends")
    output = program.log.read_text()
    if program.end() != 0:
        raise RuntimeError(output)
    return json.loads(next(line for line in reversed(output.splitlines()) if line.startswith("{")))


def settled(load: Load, since: float, expected: str) -> bool:
    """The latest answers, of both web processes surely, are all as expected."""
    latest = [answer.space for answer in load.since(since) if answer.space != "both"][-30:]
    return len(latest) == 30 and set(latest) == {expected}


def quantization() -> str:
    """How the live index keeps its vectors."""
    from llmrec_plugin.services.deployment.live import live_pair

    name = live_pair(DOCUMENT).index_version.name
    address = f"{os.environ['LLMREC_TEST_ELASTICSEARCH']}/{name}/_mapping"
    with urllib.request.urlopen(address, timeout=60) as answer:
        (about,) = json.load(answer).values()
    return str(about["mappings"]["properties"]["vector"]["index_options"]["type"])


def swept(load: Load, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The grace time over, the next build drops what it replaced; visitors do not notice."""
    from llmrec_plugin.backends import get_backend

    before = len(get_backend().index_names())
    settle_on(settings)
    time.sleep(GRACE + 0.1)
    command("build", "--document", DOCUMENT)
    moment = time.monotonic()
    until(lambda: len(load.since(moment)) > 20, "visitors search")
    return {"before": before, "after": get_backend().index_names()}


def remaining() -> dict[str, Any]:
    """What is left to do or differs once all is still; in this process the first settings hold."""
    from llmrec_plugin.models import IndexVersion, OutboxEntry
    from llmrec_plugin.services.deployment.live import live_pair

    command("drain")
    audit = command("audit", "--document", DOCUMENT)
    ready = IndexVersion.objects.filter(document=DOCUMENT, state=IndexVersion.State.READY)
    return {
        "live": live_pair(DOCUMENT).index_version.name,
        "ready": list(ready.values_list("name", flat=True)),
        "audit": audit[DOCUMENT],
        "waiting": OutboxEntry.objects.count(),
    }


def edit_until_told() -> None:
    """What editors do meanwhile: prices change, parts come and go; titles that have a known answer stay."""
    from tests.hostapp.models import Product

    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    rng = random.Random(11)
    parent = os.getppid()
    while not told and os.getppid() == parent:
        item = Product.objects.filter(title__in=THINGS).order_by("?").first()
        if item is not None:
            item.price = rng.randrange(10)
            item.save()
        Product.objects.create(title=f"spare part {rng.random()}")
        oldest = Product.objects.filter(title__startswith="spare part").order_by("id").first()
        if oldest is not None:
            oldest.delete()
        time.sleep(0.2)


if __name__ == "__main__":
    main()
