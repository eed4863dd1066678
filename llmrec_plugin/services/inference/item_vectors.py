"""Reads vectors of items, from the engine where reading them is cheap, else from the site's database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connections, router

from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.models.embeddings import vector_of
from llmrec_plugin.services.deployment.engines import engine_of
from llmrec_plugin.types import Vector


def vectors_of(version: IndexVersion, keys: Iterable[str]) -> dict[str, Vector]:
    """Return unit vectors of those items that have one in the space of that index; one query at most.

    The embeddings table also stands in for an engine that does not answer.
    """
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    backend = engine_of(version)
    if backend.supports_vector_reads:
        try:
            return backend.vectors(version.name, wanted)
        except (BackendUnavailable, NotFound):
            pass
    return _stored(version, wanted)


def _stored(version: IndexVersion, keys: Sequence[str]) -> dict[str, Vector]:
    """Return the stored vectors.

    For hundreds of keys, as any search asks for, composing the query from objects takes as long as reading
    the vectors.
    """
    places = ", ".join(["%s"] * len(keys))
    with connections[router.db_for_read(Embedding)].cursor() as cursor:
        cursor.execute(
            f"SELECT item_id, vector FROM {Embedding._meta.db_table}"
            f" WHERE document = %s AND encoder_id = %s AND item_id IN ({places})",
            [version.document, version.encoder_id, *keys],
        )
        return {key: vector_of(stored) for key, stored in cursor.fetchall()}
