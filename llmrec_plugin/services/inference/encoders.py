"""Finds the encoder that made the vectors of an index version."""

from __future__ import annotations

from contextlib import suppress

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder
from llmrec_plugin.exceptions import EncoderMismatch, NotFound
from llmrec_plugin.models import IndexVersion


def encoder_of(index_version: IndexVersion) -> Encoder:
    """Return the encoder that made the vectors of this index; raises EncoderMismatch if it is another one
    now, EncoderUnavailable if it cannot be had."""
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
    """Return the key of a remote encoder, never stored: it is of the declaration or the settings of today."""
    settings = get_settings()
    specs = [EncoderSpec(name=settings.ENCODER, options=settings.ENCODER_OPTIONS)]
    with suppress(NotFound):
        specs.insert(0, registry.get(index_version.document).encoder_spec())
    return next((spec.secret for spec in specs if spec.name == index_version.encoder_name), "")
