"""The servers and processes of a site in production, started for a benchmark and ended with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import servers

ELASTICSEARCH = "8.19.9"
START_SECONDS = 180


def start_servers() -> None:
    """PostgreSQL, Elasticsearch and Redis, named in the environment as the site reads it."""
    os.environ["DATABASE_URL"] = servers.postgresql().url
    os.environ["ELASTICSEARCH_URL"] = servers.elasticsearch(ELASTICSEARCH).url
    os.environ["CELERY_BROKER_URL"] = servers.redis().url


@contextmanager
def web(work: Path, *, workers: int) -> Iterator[tuple[int, list[int]]]:
    """gunicorn with as many processes; yields its port and their ids once all can answer."""
    port = servers.free_port()
    config = Path(__file__).resolve().parents[1] / "gunicorn.conf.py"
    environment = {"PORT": str(port), "WEB_WORKERS": str(workers)}
    command = [_program("gunicorn"), "--config", str(config), "benchmarks.site.wsgi"]
    with _running(command, environment, work / "web.log") as master:
        _wait_until(lambda: servers.site_answers(port) and len(children(master)) == workers, work / "web.log")
        yield port, children(master)


@contextmanager
def worker(work: Path) -> Iterator[list[int]]:
    """One Celery worker with one process for the tasks; yields the ids of both."""
    command = [_program("celery"), "-A", "workers", "worker", "--concurrency", "1", "--loglevel", "INFO"]
    log = work / "worker.log"
    with _running(command, {}, log) as parent:
        _wait_until(lambda: " ready." in log.read_text(errors="replace"), log)
        yield [parent, *children(parent)]


def memory(pids: Iterable[int]) -> dict[str, float]:
    """Resident memory of the processes in MB, and their proportional share of it, summed up."""
    sums = {"resident MB": 0.0, "proportional MB": 0.0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Rss", "Pss"):
                sums["resident MB" if name == "Rss" else "proportional MB"] += int(rest.split()[0]) / 1024
    return sums


def cpu_seconds(pids: Iterable[int]) -> float:
    """Of these processes and all below them, those that ended included."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(after_name[1])
            ticks[int(folder.name)] = sum(map(int, after_name[11:15]))
    wanted = set(pids)
    while below := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= below
    return sum(ticks.get(pid, 0) for pid in wanted) / os.sysconf("SC_CLK_TCK")


def server_pids() -> dict[str, int]:
    """Of the servers that run."""
    running = {
        "Elasticsearch": servers.elasticsearch(ELASTICSEARCH).process,
        "PostgreSQL": servers.postgresql().process,
    }
    return {name: process.pid for name, process in running.items() if process is not None}


def children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found]


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@contextmanager
def _running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"It did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)
