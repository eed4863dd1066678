"""(c) Items per second of a build against bare encoding of the same texts; (d) its peak memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks import data, host
from llmrec_plugin.processes import peak_mb

ITEMS = 6_000


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Both rates, measured in turns on the halves of the catalogue so that a slow phase hits both."""
    host.start(work, encoder)
    items = data.catalogue(folder, ITEMS)
    from llmrec_plugin.documents import registry
    from llmrec_plugin.encoders.base import load_encoder
    from llmrec_plugin.services import indexing
    from llmrec_plugin.services.indexing import index_build

    document = registry.get("item")
    model = load_encoder(document.encoder_spec())
    model.encode_document([title for _, title, _ in items[:256]])
    index_build.build("item")  # an empty index, so that only items are timed below

    built_seconds = bare_seconds = 0.0
    step = ITEMS // 6
    for start in range(0, ITEMS, step):
        chunk = items[start : start + step]
        host.load(chunk)
        queryset = document.get_queryset().filter(pk__in=[key for key, _, _ in chunk])
        passages = [document.prepare(row).passage for row in queryset]  # type: ignore[union-attr]
        indexing.mark(queryset)
        started = time.perf_counter()
        indexing.drain()
        built_seconds += time.perf_counter() - started
        started = time.perf_counter()
        model.encode_document(passages)
        bare_seconds += time.perf_counter() - started
    return {
        "items": ITEMS,
        "build items/s": ITEMS / built_seconds,
        "bare encode items/s": ITEMS / bare_seconds,
        "ratio": bare_seconds / built_seconds,
        "peak MB": peak_mb(),
    }
