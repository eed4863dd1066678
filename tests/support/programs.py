"""Programs of a site that tests start, listen to and end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from tests.support import servers

PATIENCE = 60
"""Seconds until what has to happen counts as not happening."""
ROOT = Path(__file__).resolve().parents[2]


def until(happens: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := happens()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)
    return value


def tell(scenario: Callable[[servers.Server], dict[str, Any]]) -> None:
    """Run it in a migrated site with a Redis of its own, and print one line of JSON of what it came to."""
    redis = servers.new_redis()
    os.environ["LLMREC_TEST_REDIS"] = redis.url
    try:
        redis.start()
        django.setup()
        call_command("migrate", run_syncdb=True, verbosity=0)
        report = scenario(redis)
    finally:
        redis.discard()
    print(json.dumps(report))


class Program:
    """A module that is run, with its children, in a group of their own."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.log = Path(tempfile.mkdtemp(prefix="llmrec-program-")) / "output.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
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


class Celery(Program):
    """A `celery` process."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("celery", "-A", "workers", *arguments)

    def tasks(self) -> list[str]:
        """Names of the tasks that it was given."""
        given = re.compile(r"Task llmrec_plugin\.(\w+)\[[^]]+\] received")
        return given.findall(self.log.read_text(errors="replace"))


@contextmanager
def worker(name: str = "one", *arguments: str, processes: int = 1) -> Iterator[Celery]:
    celery = Celery(
        "worker",
        "-n", f"{name}@tests", "-c", str(processes), "-l", "INFO",
        "--without-gossip", "--without-mingle", "--without-heartbeat", *arguments,
    )  # fmt: skip
    try:
        until(lambda: celery.said("ready."), "the worker starts")
        yield celery
    finally:
        celery.end()


@contextmanager
def web(*, processes: int = 2) -> Iterator[tuple[Program, int]]:
    """gunicorn as in production, and its port."""
    port = servers.free_port()
    sizes = {"PORT": str(port), "WEB_WORKERS": str(processes)}
    config = str(ROOT / "gunicorn.conf.py")
    server = Program("gunicorn", "--config", config, "project.wsgi", environment=sizes)
    try:
        until(lambda: server.said("") and servers.site_answers(port), "the web server answers")
        yield server, port
    finally:
        server.end()
