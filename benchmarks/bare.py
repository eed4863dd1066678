"""What a site would write by hand against Elasticsearch's own client, to compare the service with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from elasticsearch import Elasticsearch, helpers

from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.types import Matrix

INDEX = "bare"
SIZE = 200
"""Hits of each leg: what the service takes into account."""
NUM_CANDIDATES = 4 * SIZE


def create(client: Elasticsearch, dimensions: int) -> None:
    client.indices.create(
        index=INDEX,
        settings={"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s"},
        mappings={
            "_source": {"excludes": ["vector"]},
            "properties": {
                "title": {"type": "text"},
                "description": {"type": "text"},
                "vector": {
                    "type": "dense_vector",
                    "dims": dimensions,
                    "similarity": "dot_product",
                    "index_options": {"type": "int8_hnsw"},
                },
            },
        },
    )


def reindex(
    client: Elasticsearch, encoder: Encoder, rows: Sequence[tuple[str, str, str]], passages: Sequence[str]
) -> None:
    """Encode and `helpers.bulk`, nothing else."""
    vectors = encoder.encode_document(passages)
    helpers.bulk(client, _actions(rows, vectors))


def _actions(rows: Sequence[tuple[str, str, str]], vectors: Matrix) -> Iterable[dict[str, Any]]:
    for (key, title, description), vector in zip(rows, vectors, strict=True):
        yield {
            "_index": INDEX,
            "_id": key,
            "title": title,
            "description": description,
            "vector": vector.tolist(),
        }


def search(client: Elasticsearch, encoder: Encoder, index: str, fields: Sequence[str], text: str) -> None:
    """Encode the query and send both legs in one body."""
    vector = encoder.encode_query([text])[0]
    client.msearch(
        index=index,
        searches=[
            {},
            {
                "query": {"combined_fields": {"query": text, "fields": list(fields), "operator": "or"}},
                "size": SIZE,
                "_source": False,
            },
            {},
            {
                "knn": {
                    "field": "vector",
                    "query_vector": vector.tolist(),
                    "k": SIZE,
                    "num_candidates": NUM_CANDIDATES,
                    "rescore_vector": {"oversample": 2.0},
                },
                "size": SIZE,
                "_source": False,
            },
        ],
    )
