"""Turns texts of queries to vectors, remembered, and with pauses after a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np

from llmrec_plugin import monitoring
from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.inference import item_embeddings
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.types import Matrix, Vector

logger = logging.getLogger(__name__)
VECTOR_SECONDS = 3600
PAUSE_SECONDS = 5
"""After a failure the encoder is left alone for so long, lest each visitor waits for its timeout."""
ILL_SECONDS = 600
"""A failure is told for so long, unless the encoder is seen to work before."""
_vectors: caches.LatestUsed[tuple[str, str], Vector] = caches.LatestUsed(1024)


def encode_query(text: str, *, version: IndexVersion) -> Vector | None:
    """Return the vector of a query in the space of that index; None: the encoder cannot be used now.

    The latest ones are remembered in the process and in the site's cache.
    """
    known = _vectors.get((version.encoder_id, text))
    if known is not None:
        monitoring.query_vectors.add(source="process")
        return known
    key = caches.cache_key("query", version.encoder_id, text)
    pause, ill = _pause_key(version), _ill_key(version)
    found = caches.read([key, pause, ill])
    if key in found:
        vector: Vector | None = np.frombuffer(found[key], dtype="<f4").astype(np.float32, copy=False)
        source = "cache"
    elif pause in found:
        vector, source = None, "none"
    else:
        with monitoring.encode_seconds.time(document=version.document, kind="query"):
            vector = _encoded(lambda encoder: encoder.encode_query([text]), version, hide=text)
        source = "none" if vector is None else "encoder"
        if vector is not None:
            caches.write(key, vector.astype("<f4").tobytes(), seconds=VECTOR_SECONDS)
            if ill in found:
                caches.write(ill, "", seconds=0)
    monitoring.query_vectors.add(source=source)
    if vector is not None:
        _vectors.put((version.encoder_id, text), vector)
    return vector


def encode_document(passage: str, *, version: IndexVersion) -> Vector | None:
    """Return the vector of an item that the index does not hold yet; None: the encoder cannot be used now."""
    if _pause_key(version) in caches.read([_pause_key(version)]):
        return None
    return _encoded(lambda encoder: encoder.encode_document([passage]), version, hide=passage)


def _pause_key(version: IndexVersion) -> str:
    return caches.cache_key("encoder-pause", version.encoder_id)


def _ill_key(version: IndexVersion) -> str:
    return caches.cache_key("encoder-ill", version.encoder_id)


def recent_encoder_errors(versions: Iterable[IndexVersion]) -> dict[str, str]:
    """Map encoder ids to the type of their latest error, of those that failed of late in any process."""
    keys = {_ill_key(version): version.encoder_id for version in versions}
    return {keys[key]: error for key, error in caches.read(list(keys)).items() if error}


def _encoded(encode: Callable[[Encoder], Matrix], version: IndexVersion, *, hide: str) -> Vector | None:
    try:
        vector: Vector = encode(encoder_of(version))[0]
    except Exception as error:  # an encoder of the site's own may raise anything
        logger.error(
            "encoder unusable document=%s index=%s error=%s",
            version.document,
            version.name,
            item_embeddings.describe(error, hide=hide),
        )
        caches.write(_pause_key(version), 1, seconds=PAUSE_SECONDS)
        caches.write(_ill_key(version), type(error).__name__, seconds=ILL_SECONDS)
        return None
    return vector
