"""From a save to the first search that finds it, with a real worker, while saves go on."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings as django_settings
from django.test import override_settings
from elasticsearch import Elasticsearch

from benchmarks import stack

PER_SECOND = 50
SECONDS = 40
POLL = 0.05
PATIENCE = 120.0
PREFIX = "new-"
"""Of the keys of what is saved here."""


def measure(client: Elasticsearch, index: str, titles: list[str], work: Path) -> dict[str, Any]:
    """p50 and p95 in seconds. Every item is new, so each save is encoded; looked for every 50 ms."""
    with stack.worker(work) as processes:
        saved: dict[str, float] = {}
        seen: dict[str, float] = {}
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(client, index, saved, seen, done))
        _save_one(f"{PREFIX}first", titles[0])  # the worker loads its encoder
        _wait_for(client, index, f"{PREFIX}first")
        watcher.start()
        rate = _save(titles, saved)
        deadline = time.monotonic() + PATIENCE
        while len(seen) < len(saved) and time.monotonic() < deadline:
            time.sleep(POLL)
        done.set()
        watcher.join()
        delays = np.array([seen[key] - at for key, at in saved.items() if key in seen])
        return {
            "saves/s": rate,
            "saves": float(len(saved)),
            "never seen": float(len(saved) - len(seen)),
            "p50 s": float(np.percentile(delays, 50)),
            "p95 s": float(np.percentile(delays, 95)),
            "worst s": float(delays.max()),
            **{f"worker {name}": value for name, value in stack.memory(processes).items()},
        }


def _save(titles: list[str], saved: dict[str, float]) -> float:
    """Evenly, as far as the machine keeps up; returns the rate that it was."""
    started = time.monotonic()
    for number in range(PER_SECOND * SECONDS):
        time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        key = f"{PREFIX}{number}"
        _save_one(key, f"{titles[number % len(titles)]} {number}")
        saved[key] = time.monotonic()
    return len(saved) / (time.monotonic() - started)


def _save_one(key: str, title: str) -> None:
    from llmrec_plugin.models import ImportedItem

    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": "celery"}):
        ImportedItem.objects.create(id=key, document="item", text={"title": title, "description": ""})


def _watch(
    client: Elasticsearch,
    index: str,
    saved: dict[str, float],
    seen: dict[str, float],
    done: threading.Event,
) -> None:
    while not done.is_set():
        waiting = [key for key in list(saved) if key not in seen][:1000]
        if waiting:
            found = _found(client, index, waiting)
            now = time.monotonic()
            seen.update(dict.fromkeys(found, now))
        time.sleep(POLL)


def _found(client: Elasticsearch, index: str, keys: list[str]) -> list[str]:
    answer = client.search(
        index=index, query={"terms": {"key": keys}}, size=len(keys), source=False, sort=[{"key": "asc"}]
    )
    return [hit["sort"][0] for hit in answer["hits"]["hits"]]


def _wait_for(client: Elasticsearch, index: str, key: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _found(client, index, [key]):
        if time.monotonic() > deadline:
            raise SystemExit("The worker indexed nothing.")
        time.sleep(POLL)
