"""What answers for a document at this moment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from llmrec_plugin.backends import get_backend
from llmrec_plugin.backends.base import AttachedBackend, SearchBackend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder
from llmrec_plugin.exceptions import EncoderMismatch, NotBuilt, NotFound
from llmrec_plugin.models import Deployment, IndexVersion, ModelVersion
from llmrec_plugin.types import AttachedIndex, IndexSchema


@dataclass(frozen=True, kw_only=True)
class LivePair:
    """Read once per request, so that a promotion never splits one."""

    index_version: IndexVersion
    model_version: ModelVersion | None


def live_pair(label: str) -> LivePair:
    """The pair of the newest deployment; one query, which leaves the long report of a training where it is.

    Raises NotFound for an unknown label, and NotBuilt.
    """
    deployment = (
        Deployment.objects.filter(document=label)
        .select_related("index_version", "model_version")
        .defer("model_version__report")
        .order_by("-id")
        .first()
    )
    if deployment is None:
        registry.get(label)
        raise NotBuilt(f'"{label}" has no live index yet: run `manage.py llmrec build --document {label}`.')
    return LivePair(index_version=deployment.index_version, model_version=deployment.model_version)


def find_live_pair(label: str) -> LivePair | None:
    """As `live_pair`, None where no index is live yet."""
    try:
        return live_pair(label)
    except NotBuilt:
        return None


def encoder_of(index_version: IndexVersion) -> Encoder:
    """The encoder that made the vectors of this index; raises EncoderMismatch if it is another one now,
    EncoderUnavailable if it cannot be had."""
    encoder = load_encoder(
        EncoderSpec(
            name=index_version.encoder_name,
            options=index_version.encoder_options,
            secret=_secret(index_version),
        )
    )
    if encoder.id != index_version.encoder_id or encoder.dimensions != index_version.dimensions:
        raise EncoderMismatch(
            f'The vectors of "{index_version.name}" were made by "{index_version.encoder_name}" with the '
            f"identity {index_version.encoder_id}; the model found now is {encoder.id}. Restore the former "
            f"model, or run `manage.py llmrec build --document {index_version.document}`."
        )
    return encoder


def _secret(index_version: IndexVersion) -> str:
    """The key of a remote encoder is never stored: it comes from the declaration or the settings of today."""
    settings = get_settings()
    specs = [EncoderSpec(name=settings.ENCODER, options=settings.ENCODER_OPTIONS)]
    with suppress(NotFound):
        specs.insert(0, registry.get(index_version.document).encoder_spec())
    return next((spec.secret for spec in specs if spec.name == index_version.encoder_name), "")


def schema_of(index_version: IndexVersion) -> IndexSchema:
    """What the index of this version holds."""
    return IndexSchema(
        text_fields=tuple(index_version.schema["text_fields"]),
        filters=index_version.schema["filters"],
        dimensions=index_version.dimensions,
        encoder_id=index_version.encoder_id,
        analysis_id=index_version.analysis_id,
        attached=_attached(index_version),
    )


def _attached(index_version: IndexVersion) -> AttachedIndex | None:
    """The declaration of today, at the index that this version was made in."""
    index = index_version.schema.get("attached")
    if index is None:
        return None
    declared = None
    with suppress(NotFound):  # the document may be gone while its versions are dropped
        declared = registry.get(index_version.document).attached
    return replace(declared or AttachedIndex(index), index=index)


def engine_of(index_version: IndexVersion) -> SearchBackend:
    """The engine that knows the index of this version by its name."""
    return attached_engine_of(index_version) or get_backend()


def attached_engine_of(index_version: IndexVersion) -> AttachedBackend | None:
    """None: the version has an index of its own."""
    if index_version.schema.get("attached") is None:
        return None
    return get_backend().attached(schema_of(index_version))
