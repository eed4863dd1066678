"""Exchanges what a site learned as a folder that other sites can start from: writing it, reading it, and
refusing what is no such thing.

No user and no item is in it: only the map from taste to next item, in the space of an encoder, and that
encoder where it was tuned.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.sources import TUNED, find_model
from llmrec_plugin.exceptions import ConfigurationError, NotFound, TrainingFailed
from llmrec_plugin.learning.selection.transfer import map_of
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.types import Matrix

MODEL, MAP, ENCODER = "model.json", "map.safetensors", "encoder"
MAX_BYTES = 1_000_000
"""Of the file of plain values, which has some hundred."""
MAX_DIMENSIONS = 8_192
"""Of the map: a larger one belongs to no encoder, and is not even read."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceModel:
    """Holds what another site's events taught."""

    name: str
    """Where it comes from: a folder, or the label of a document of this site."""
    encoder_id: str
    encoder_name: str
    map: Matrix
    gamma: float
    mix: float
    events: int
    """That it was learned from."""


def export_model(label: str, folder: Path, *, overwrite: bool = False) -> list[str]:
    """Write what the live model of a document learned, for other sites, and return the names of the files.

    Raises NotFound where it learned nothing that can be carried over, TrainingFailed where it cannot be
    written.
    """
    from safetensors.numpy import save_file

    if _is_full(folder) and not overwrite:
        raise ConfigurationError(f"{folder} is not empty: name another folder, or add --overwrite.")
    pair = live_pair(label)
    source = _of_document(label)
    plain: dict[str, Any] = {
        "encoder_id": source.encoder_id,
        "encoder_name": source.encoder_name,
        "gamma": source.gamma,
        "mix": source.mix,
        "events": source.events,
        "exported_at": timezone.now().isoformat(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"map": np.ascontiguousarray(source.map)}, folder / MAP)
        (folder / MAP).chmod(0o644)  # as the other files: it is there to be carried elsewhere
        if pair.index_version.encoder_name.startswith(TUNED):
            shutil.copytree(find_model(pair.index_version.encoder_name), folder / ENCODER, dirs_exist_ok=True)
        (folder / MODEL).write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingFailed(f"The model could not be written to {folder}: {error}.") from error
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _is_full(folder: Path) -> bool:
    try:
        return folder.exists() and any(folder.iterdir())
    except OSError as error:  # a file, or nobody may look into it
        raise ConfigurationError(f"{folder} is no folder to write to: {error}.") from error


def read_source(where: str) -> SourceModel:
    """Return the source of that folder or document; raises NotFound, naming what there is, and
    ConfigurationError for a folder that holds no complete export."""
    folder = Path(where).expanduser()
    if (folder / MODEL).is_file():
        return _of_folder(folder)
    if where in registry.labels():
        return _of_document(where)
    raise NotFound(
        f'"{where}" is no folder that `llmrec export-model` wrote, and no document of this site. '
        f"Documents: {', '.join(registry.labels())}."
    )


def _of_folder(folder: Path) -> SourceModel:
    from safetensors import SafetensorError

    try:
        plain = _plain(folder / MODEL)
        return SourceModel(
            name=str(folder),
            encoder_id=str(plain["encoder_id"]),
            encoder_name=str(plain["encoder_name"]),
            map=_map(folder / MAP),
            gamma=_number(plain, "gamma", above=0.0, most=1.0),
            mix=_number(plain, "mix", above=-1e-9),
            events=int(_number(plain, "events", above=-1.0)),
        )
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        told = f"it names no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(
            f"{folder} is no complete export ({told}): export the model again."
        ) from error


def _plain(path: Path) -> Mapping[str, Any]:
    """Return the values of an export; raises ValueError for what cannot be one."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES:,} bytes")
    plain = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(plain, dict):
        raise ValueError(f"{path.name} holds no object")
    return plain


def _map(path: Path) -> Matrix:
    """Return the learned map, whose shape is looked at before it is read; raises ValueError for what cannot
    be one: lists ranked by it would break."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        names = file.keys()
        if "map" not in names:
            raise ValueError(f"there is no map in {path.name}")
        shape = tuple(file.get_slice("map").get_shape())
        if len(shape) != 2 or shape[0] != shape[1] or not 0 < shape[0] <= MAX_DIMENSIONS:
            raise ValueError(
                f"the map in {path.name} has the shape {shape}, which is no square of an encoder"
            )
        matrix: Matrix = file.get_tensor("map").astype(np.float32)
    if not np.isfinite(matrix).all():
        raise ValueError(f"the map in {path.name} has numbers that are not finite")
    return matrix


def _number(plain: Mapping[str, Any], name: str, *, above: float, most: float = 1e9) -> float:
    """Return the value of that name; raises ValueError where it is out of range."""
    value = float(plain[name])
    if not (math.isfinite(value) and above < value <= most):
        raise ValueError(f"{name} is {value}")
    return value


def _of_document(label: str) -> SourceModel:
    pair = live_pair(label)
    if pair.model_version is None:
        raise NotFound(
            f'"{label}" was never trained: run `manage.py llmrec train --document {label}` before.'
        )
    adaptation = learned_by(pair.model_version).adaptation
    config = adaptation.config.head if adaptation else None
    if adaptation is None or adaptation.head is None or config is None or config.ridge is None:
        raise NotFound(
            f'The live model of "{label}" has learned no head, so there is nothing to carry over: its events '
            "did not prove one. `manage.py llmrec train` says at which step they stopped."
        )
    return SourceModel(
        name=label,
        encoder_id=adaptation.encoder_id,
        encoder_name=pair.index_version.encoder_name,
        map=map_of(adaptation.head, mix=config.mix),
        gamma=adaptation.config.gamma,
        mix=config.mix,
        events=report_of(pair.model_version).events,
    )
