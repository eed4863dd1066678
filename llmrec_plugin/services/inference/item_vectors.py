"""Reads vectors of items, from the engine where reading them is cheap, else from the site's database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
from django.db import connections, router

from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.models.embeddings import vector_of
from llmrec_plugin.services.deployment.engines import asking, engine_of
from llmrec_plugin.types import Matrix, Vector

CHUNK = 2_000


def vectors_of(version: IndexVersion, keys: Iterable[str]) -> dict[str, Vector]:
    """Return unit vectors of those items that have one in the space of that index; one query at most.

    The embeddings table also stands in for an engine that does not answer.
    """
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    if engine_of(version).supports_vector_reads:
        with suppress(BackendUnavailable, NotFound), asking(version) as engine:
            return engine.vectors(version.name, wanted)
    return _stored(version, wanted)


def vector_matrix(version: IndexVersion, keys: Sequence[str]) -> Matrix:
    """Return the stored vectors of all these items, shape (len(keys), d); a row of zeros where there is none.

    For trainings: it walks over all vectors of the document, not over queries for some hundred keys each.
    """
    place = {key: row for row, key in enumerate(keys)}
    vectors = np.zeros((len(keys), version.dimensions), np.float32)
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id).order_by()
    for row in rows.only("item_id", "vector").iterator(chunk_size=CHUNK):
        if row.item_id in place:
            vectors[place[row.item_id]] = row.as_array()
    return vectors


def _stored(version: IndexVersion, keys: Sequence[str]) -> dict[str, Vector]:
    """Return the stored vectors.

    For hundreds of keys, as any search asks for, composing the query from objects takes as long as reading
    the vectors.
    """
    places = ", ".join(["%s"] * len(keys))
    with connections[router.db_for_write(Embedding)].cursor() as cursor:
        cursor.execute(
            f"SELECT item_id, vector FROM {Embedding._meta.db_table}"
            f" WHERE document = %s AND encoder_id = %s AND item_id IN ({places})",
            [version.document, version.encoder_id, *keys],
        )
        return {key: vector_of(stored) for key, stored in cursor.fetchall()}
