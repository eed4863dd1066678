"""Makes vectors for documents: stored ones where the text is known, one batch of the encoder for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connections, router
from django.db.models import Min
from django.utils import timezone

from llmrec_plugin import monitoring
from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.exceptions import EncoderUnavailable, InvalidVector, LlmrecError
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.types import Failure, PreparedItem, Vector

PROBE = "a plain text"


@dataclass(kw_only=True)
class Embedded:
    """A frozen record of what became of a batch of texts."""

    vectors: dict[str, Vector] = field(default_factory=dict)
    """By fingerprint."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """Fingerprint -> why that one text has no vector."""
    encoded: int = 0
    """Texts that the encoder read."""
    reused: int = 0
    """Items whose vector was at hand."""


def embed(documents: Sequence[PreparedItem], *, version: IndexVersion) -> Embedded:
    """Return vectors of the documents in the space of `version`; nothing is saved yet.

    A text that is stored already, for this or any other item, is not encoded, and an encoder that is
    not needed is not loaded. Raises EncoderUnavailable or EncoderMismatch if the encoder as a whole fails.
    """
    passages = {document.fingerprint: document.passage for document in documents}
    if not passages:
        return Embedded()
    result = Embedded(vectors=_stored(version, list(passages)))
    missing = {mark: text for mark, text in passages.items() if mark not in result.vectors}
    result.reused = sum(document.fingerprint in result.vectors for document in documents)
    if missing:
        encoder = encoder_of(version)
        with monitoring.encode_seconds.time(document=version.document, kind="items"):
            vectors, result.failures = _encode(encoder, missing)
        monitoring.encoded_items.add(len(missing), document=version.document)
        result.vectors |= vectors
        result.encoded = len(missing)
    return result


def _stored(version: IndexVersion, fingerprints: Sequence[str]) -> dict[str, Vector]:
    """Return one row per text, however many items share it."""
    same = Embedding.objects.filter(encoder_id=version.encoder_id, fingerprint__in=fingerprints)
    first = same.order_by().values("fingerprint").annotate(first=Min("pk")).values("first")
    rows = Embedding.objects.filter(pk__in=first).only("fingerprint", "vector")
    found = {row.fingerprint: row.as_array() for row in rows}
    return {mark: vector for mark, vector in found.items() if vector.shape == (version.dimensions,)}


def _encode(encoder: Encoder, passages: Mapping[str, str]) -> tuple[dict[str, Vector], dict[str, Failure]]:
    """Encode all in one batch; where that is refused, in halves, until the texts that are to blame are
    alone."""
    try:
        return _encode_batch(encoder, passages), {}
    except (InvalidVector, ValueError) as error:
        _probe(encoder)  # an encoder that refuses everything is down, and no text is to blame
        if len(passages) == 1:
            ((mark, text),) = passages.items()
            return {}, {mark: Failure(describe(error, hide=text))}
    marks = list(passages)
    vectors: dict[str, Vector] = {}
    failures: dict[str, Failure] = {}
    for half in (marks[: len(marks) // 2], marks[len(marks) // 2 :]):
        good, bad = _encode(encoder, {mark: passages[mark] for mark in half})
        vectors |= good
        failures |= bad
    return vectors, failures


def _encode_batch(encoder: Encoder, passages: Mapping[str, str]) -> dict[str, Vector]:
    """Raises InvalidVector or ValueError for what may be the fault of a text."""
    try:
        matrix = encoder.encode_document(list(passages.values()))
    except (LlmrecError, ValueError):
        raise
    except Exception as error:  # out of memory, a broken model: nothing that a text could do
        raise EncoderUnavailable(f"The encoder {encoder.id} failed with {describe(error)}") from error
    return dict(zip(passages, matrix, strict=True))


def _probe(encoder: Encoder) -> None:
    try:
        encoder.encode_document([PROBE])
    except EncoderUnavailable:
        raise
    except Exception as error:
        raise EncoderUnavailable(
            f"The encoder {encoder.id} refuses even a plain text: {describe(error)}"
        ) from error


def store(documents: Sequence[PreparedItem], vectors: Mapping[str, Vector], *, version: IndexVersion) -> None:
    """Save the vectors of the documents, where they have one that is new or of another text."""
    documents = [document for document in documents if document.fingerprint in vectors]
    if not documents:
        return
    own = stored_fingerprints(version, [document.key for document in documents])
    now = timezone.now()
    rows = [
        Embedding(
            document=version.document,
            item_id=document.key,
            encoder_id=version.encoder_id,
            fingerprint=document.fingerprint,
            vector=vectors[document.fingerprint].astype("<f4").tobytes(),
            updated_at=now,
        )
        for document in documents
        if own.get(document.key) != document.fingerprint
    ]
    if not rows:
        return
    features = connections[router.db_for_write(Embedding)].features
    target = ["document", "encoder_id", "item_id"] if features.supports_update_conflicts_with_target else None
    Embedding.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=target,
        update_fields=["fingerprint", "vector", "updated_at"],
    )


def stored_fingerprints(version: IndexVersion, keys: Sequence[str]) -> dict[str, str]:
    """Return the fingerprint by key, of the items whose vector in this space is stored."""
    rows = Embedding.objects.filter(
        document=version.document, encoder_id=version.encoder_id, item_id__in=keys
    )
    return dict(rows.values_list("item_id", "fingerprint"))


def forget(label: str, keys: Sequence[str]) -> None:
    """Delete the vectors of items that are gone."""
    if keys:
        Embedding.objects.filter(document=label, item_id__in=keys).delete()


def describe(error: Exception, *, hide: str = "") -> str:
    """Return type and message for the backlog, never the text of an item."""
    message = str(error)
    if hide:
        message = message.replace(hide, "…")
    return f"{type(error).__name__}: {message}"[:500]
