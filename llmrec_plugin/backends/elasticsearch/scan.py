"""Walks over all hits of a search, however many, as they were at its start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from elasticsearch import Elasticsearch

from llmrec_plugin.backends.elasticsearch.client import translated
from llmrec_plugin.exceptions import LlmrecError

PAGE = 2_000
_KEEP_ALIVE = "5m"


def walk(client: Elasticsearch, physical: str, body: Mapping[str, Any], *, name: str) -> Iterator[Any]:
    """The hits, in the order that costs least; `name` is what errors call the index."""
    with translated(name):
        opened = client.open_point_in_time(
            index=physical, keep_alive=_KEEP_ALIVE, allow_partial_search_results=False
        )
        context = opened["id"]
    page: dict[str, Any] = {**body, "size": PAGE, "sort": ["_shard_doc"]}
    try:
        while True:
            page["pit"] = {"id": context, "keep_alive": _KEEP_ALIVE}
            with translated(name):
                answer = client.search(body=page)
                context = answer.get("pit_id", context)
                hits = answer["hits"]["hits"]
                page["search_after"] = hits[-1]["sort"] if hits else None
            if not hits:
                return
            yield from hits
    finally:
        with suppress(LlmrecError), translated(name):
            client.close_point_in_time(id=context)
