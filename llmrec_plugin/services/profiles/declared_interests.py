"""Keeps what users say about themselves as vectors that are there before a request needs them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence

from django.db import connections, router

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidVector, NotFound
from llmrec_plugin.models import IndexVersion, UserEmbedding
from llmrec_plugin.services.coordination import short_writes, site_code
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.privacy import consent, derived_data
from llmrec_plugin.types import ANONYMOUS, Vector

logger = logging.getLogger(__name__)

PART = "people"
"""What the code of UserDocuments is called where it fails."""


def vector_of(user_key: str, *, version: IndexVersion) -> tuple[Vector | None, tuple[str, ...]]:
    """Return the vector of their words in the space of that index, None without words; and what is degraded.

    Where no worker has encoded the text as it is now, it is encoded here, once, and kept.
    """
    words = site_code.call(
        PART, lambda: declared_text(user_key), otherwise="", lacks="profile", asks_database=True
    )
    if not words:
        return None, ()
    mark = _fingerprint(words)
    row = UserEmbedding.objects.filter(user_key=user_key, encoder_id=version.encoder_id).first()
    if row is not None and row.fingerprint == mark:
        return row.as_array(), ()
    vector = query_embeddings.encode_query(words, version=version)
    if vector is None:
        return None, ("vector",)
    short_writes.attempt(
        lambda: _store(version.encoder_id, {user_key: (mark, vector)}),
        using=router.db_for_write(UserEmbedding),
    )
    return vector, ()


def declared_text(user_key: str) -> str:
    """Return what all UserDocuments say of the user; empty for a visitor."""
    if user_key.startswith(ANONYMOUS):
        return ""
    texts = []
    for document in registry.user_documents:
        found = document.find(user_key)
        if found is not None:
            texts.append(document.prepare(found).strip())
    return "\n".join(text for text in texts if text)


def refresh(user_keys: Sequence[str]) -> int:
    """Encode what these users say of themselves now, for each live encoder; returns how many texts it read.

    Of users without words, or without consent, nothing is kept. Raises what loading an encoder raises.
    """
    allowed = consent.consenting(user_keys) if get_settings().ENABLED else set()
    words = {key: text for key in user_keys if key in allowed and (text := declared_text(key))}
    derived_data.forget([key for key in user_keys if key not in allowed])
    UserEmbedding.objects.filter(user_key__in=[key for key in user_keys if key not in words]).delete()
    return sum(_encode(version, words) for version in live_spaces().values())


def live_spaces() -> dict[str, IndexVersion]:
    """Return by encoder a live index whose vectors it made."""
    spaces = {}
    for label in registry.labels():
        version = live_version(label)
        if version is not None:
            spaces[version.encoder_id] = version
    return spaces


def live_version(label: str) -> IndexVersion | None:
    """Return the index that answers now, if there is one and the document is still declared."""
    try:
        return live_pair(label).index_version
    except NotFound:
        return None


def outdated(limit: int) -> list[str]:
    """Return users whose words were encoded by a former encoder, but not by each that is live now."""
    known = UserEmbedding.objects.order_by()
    for encoder_id in live_spaces():
        fresh = known.filter(encoder_id=encoder_id).values("user_key")
        keys = list(known.exclude(user_key__in=fresh).values_list("user_key", flat=True).distinct()[:limit])
        if keys:
            return keys
    return []


def _encode(version: IndexVersion, words: Mapping[str, str]) -> int:
    stored = dict(
        UserEmbedding.objects.filter(user_key__in=words, encoder_id=version.encoder_id).values_list(
            "user_key", "fingerprint"
        )
    )
    marks = {key: _fingerprint(text) for key, text in words.items()}
    missing = {key: words[key] for key, mark in marks.items() if stored.get(key) != mark}
    if missing:
        found = _vectors(version, missing)
        _store(version.encoder_id, {key: (marks[key], vector) for key, vector in found.items()})
    return len(missing)


def _vectors(version: IndexVersion, words: Mapping[str, str]) -> dict[str, Vector]:
    """Encode all in one batch; where that is refused, one by one, without those that are to blame."""
    encoder = encoder_of(version)
    try:
        return dict(zip(words, encoder.encode_query(list(words.values())), strict=True))
    except (InvalidVector, ValueError):
        found = {}
        for key, text in words.items():
            try:
                found[key] = encoder.encode_query([text])[0]
            except (InvalidVector, ValueError) as error:
                logger.warning("a user's words cannot be encoded error=%s", type(error).__name__)
        return found


def _store(encoder_id: str, vectors: Mapping[str, tuple[str, Vector]]) -> None:
    features = connections[router.db_for_write(UserEmbedding)].features
    target = ["user_key", "encoder_id"] if features.supports_update_conflicts_with_target else None
    UserEmbedding.objects.bulk_create(
        [
            UserEmbedding(
                user_key=key,
                encoder_id=encoder_id,
                fingerprint=mark,
                vector=vector.astype("<f4").tobytes(),
            )
            for key, (mark, vector) in sorted(vectors.items())
        ],
        update_conflicts=True,
        unique_fields=target,
        update_fields=["fingerprint", "vector", "updated_at"],
    )


def _fingerprint(words: str) -> str:
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
