"""What an item and a search leave on disk."""

from __future__ import annotations

from elasticsearch import Elasticsearch


def measure(client: Elasticsearch, index: str) -> dict[str, float]:
    """Bytes, indexes included, of one item in Elasticsearch and PostgreSQL and of one kept impression."""
    from django.db import connection

    from llmrec_plugin.models import Embedding, ImportedItem, Impression

    client.options(request_timeout=600).indices.forcemerge(index=index, max_num_segments=1)
    store = client.indices.stats(index=index, metric="store")["_all"]["primaries"]["store"]["size_in_bytes"]
    sizes = {"Elasticsearch, an item": store / max(1, int(client.count(index=index)["count"]))}
    with connection.cursor() as cursor:
        for name, model in (
            ("embedding", Embedding),
            ("impression", Impression),
            ("host's row", ImportedItem),
        ):
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            (size,) = cursor.fetchone()
            sizes[f"PostgreSQL, {name}"] = size / max(1, model._default_manager.count())
    return sizes
