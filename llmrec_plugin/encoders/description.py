"""What is known of a sentence-transformers model without loading it: its folder, prompts and licence."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from llmrec_plugin.encoders.base import EncoderSpec, is_sentence_transformer
from llmrec_plugin.encoders.sentence_transformer import Options, prompts_of
from llmrec_plugin.encoders.sources import find_model
from llmrec_plugin.exceptions import ConfigurationError

_LICENSE = re.compile(r"^license:\s*[\"']?([^\"'\n]+?)[\"']?\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    folder: Path
    pooling: str
    query_prompt: str
    document_prompt: str
    license: str
    """As the model's own card says; empty: it does not."""


def describe(spec: EncoderSpec) -> ModelDescription:
    """Raises ConfigurationError for an encoder that is no model of this machine, EncoderUnavailable."""
    if not is_sentence_transformer(spec.name):
        raise ConfigurationError(
            f'The encoder "{spec.name}" is no sentence-transformers model of this machine, so it cannot be '
            "tuned or exported."
        )
    options = spec.read(Options)
    folder = find_model(spec.name, options.revision)
    query, document = prompts_of(spec.name, _recorded_prompts(folder), options)
    return ModelDescription(
        folder=folder,
        pooling=options.pooling,
        query_prompt=query,
        document_prompt=document,
        license=_license(folder),
    )


def _recorded_prompts(folder: Path) -> dict[str, str | None]:
    path = folder / "config_sentence_transformers.json"
    return dict(json.loads(path.read_text(encoding="utf-8")).get("prompts") or {}) if path.is_file() else {}


def _license(folder: Path) -> str:
    card = folder / "README.md"
    found = _LICENSE.search(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    return found[1] if found else ""
