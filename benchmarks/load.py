"""Searches per second and their times through a production server, and what its processes hold in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from benchmarks import stack

CLIENTS = 8
SECONDS = 30
WEB_WORKERS = 2


def measure(queries: Sequence[str], work: Path) -> dict[str, Any]:
    """CLIENTS clients with one connection each, every query another one."""
    with stack.web(work, workers=WEB_WORKERS) as (port, processes):
        _run(port, queries, seconds=8)  # until each process has its encoder
        before = _cpu(processes)
        started = time.monotonic()
        times, failed = _run(port, queries[::-1], seconds=SECONDS)
        seconds = time.monotonic() - started
        spent = {name: at - before[name] for name, at in _cpu(processes).items()}
        memory = stack.memory(processes)
    return {
        "clients": float(CLIENTS),
        "web processes": float(WEB_WORKERS),
        "requests/s": len(times) / seconds,
        "p50 ms": float(np.percentile(times, 50)),
        "p95 ms": float(np.percentile(times, 95)),
        "failed or degraded": float(failed),
        **{f"CPU ms/request {name}": value * 1e3 / len(times) for name, value in spent.items()},
        **{f"{name} of a web process": value / WEB_WORKERS for name, value in memory.items()},
    }


def _cpu(web: Sequence[int]) -> dict[str, float]:
    groups = {"web": list(web)} | {name: [pid] for name, pid in stack.server_pids().items()}
    return {name: stack.cpu_seconds(pids) for name, pids in groups.items()}


def _run(port: int, queries: Sequence[str], *, seconds: float) -> tuple[list[float], int]:
    """Milliseconds of each request, and how many did not answer in full."""
    times: list[float] = []
    failed: list[str] = []
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_client, args=(port, queries[number::CLIENTS], end, times, failed))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(failed)


def _client(port: int, queries: Sequence[str], end: float, times: list[float], failed: list[str]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for query in queries:
        if time.monotonic() > end:
            break
        started = time.perf_counter()
        connection.request("GET", f"/api/search/?document=item&q={quote(query)}")
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - started) * 1e3)
        if answer.status != 200 or b'"degraded":[]' not in body:
            failed.append(query)
    connection.close()
