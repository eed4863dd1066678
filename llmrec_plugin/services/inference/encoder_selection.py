"""Chooses the encoder a document is built with: the declared one, or what was tuned from it and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.sources import TUNED
from llmrec_plugin.models import IndexVersion, TunedEncoder

NEUTRAL = frozenset({"threads", "batch_size", "dtype", "device"})
"""Options that change how fast an encoder is, not its vectors."""
SAVED = frozenset({"revision", "query_prompt", "document_prompt", "pooling"})
"""Options that a tuned model keeps in its own folder."""


def wanted_spec(document: SearchDocument[Any], live: IndexVersion | None) -> EncoderSpec:
    """Return what a build uses: the declared encoder, or the tuned one that answers now if it was made from
    it.

    One query, and only where a tuned one answers.
    """
    declared = document.encoder_spec()
    if live is None or not live.encoder_name.startswith(TUNED):
        return declared
    tuned = TunedEncoder.objects.filter(document=document.label, name=live.encoder_name).first()
    if tuned is None or not made_from(tuned, declared):
        return declared
    return tuned_spec(tuned.name, declared)


def knows_erased(version: IndexVersion) -> bool:
    """Return whether the encoder of an index was tuned on events of somebody who was erased since; one query,
    and only for a tuned one."""
    if not version.encoder_name.startswith(TUNED):
        return False
    reports = TunedEncoder.objects.filter(document=version.document, name=version.encoder_name)
    return any(report.get("erased") for report in reports.values_list("report", flat=True))


def made_from(tuned: TunedEncoder, declared: EncoderSpec) -> bool:
    """Return whether the site still declares the encoder that this one was made from."""
    return (tuned.base_name, _deciding(tuned.base_options)) == (declared.name, _deciding(declared.options))


def tuned_spec(name: str, declared: EncoderSpec) -> EncoderSpec:
    """Return the tuned encoder under the options of the declared one that still mean something."""
    return EncoderSpec(name=name, options=_without(declared.options, SAVED))


def _deciding(options: Mapping[str, Any]) -> dict[str, Any]:
    return _without(options, NEUTRAL)


def _without(options: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
