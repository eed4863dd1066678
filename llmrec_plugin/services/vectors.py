"""Vectors of items, from the engine where reading them is cheap, else from the site's database."""

from __future__ import annotations

from collections.abc import Iterable

from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.models.embeddings import vector_of
from llmrec_plugin.services.live import engine_of
from llmrec_plugin.types import Vector


def vectors_of(version: IndexVersion, keys: Iterable[str]) -> dict[str, Vector]:
    """Unit vectors of those items that have one in the space of that index; one query at most.

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
    rows = Embedding.objects.filter(
        document=version.document, encoder_id=version.encoder_id, object_id__in=wanted
    )
    return {key: vector_of(stored) for key, stored in rows.values_list("object_id", "vector")}
