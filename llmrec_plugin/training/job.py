"""A training as a folder: what it needs, how far it is and what came of it, for a process of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.learning.mining.text_pairs import Known, Pairs
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.training.base import BaseModel, EncoderTrainingReport, TrainingData, TrainingOptions

JOB = "job.json"
ARRAYS = "data.safetensors"
PROGRESS = "progress.json"
REPORT = "result.json"
ERROR = "error.json"
WORK = "checkpoints"
_PAIRS = ("left", "right", "value", "negative")


def write_job(
    folder: Path,
    base: BaseModel,
    data: TrainingData,
    options: TrainingOptions,
    out: Path,
    *,
    note: Mapping[str, Any] | None = None,
) -> None:
    """All that the training needs; job.json comes last, so that a folder with it is complete.

    `note`: what whoever wrote it wants to find in it again. Raises TrainingFailed
    where it cannot be written, as on a full disk.
    """
    from safetensors.numpy import save_file

    arrays = {
        "known.keys": data.known.keys,
        "titles": data.titles,
        "source": data.source,
        **{f"train.{name}": getattr(data.train, name) for name in _PAIRS},
        **{f"valid.{name}": getattr(data.valid, name) for name in _PAIRS},
    }
    if data.neighbours is not None:
        arrays["neighbours.indices"] = data.neighbours.indices
        arrays["neighbours.weights"] = data.neighbours.weights
    if data.frozen is not None:
        arrays["frozen"] = data.frozen
    plain = {
        "base": asdict(base),
        "options": asdict(options),
        "out": str(out),
        "texts": list(data.texts),
        "items": data.items,
        "known.size": data.known.size,
        "facts": dict(data.facts),
        "note": dict(note or {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(one) for name, one in arrays.items()}, folder / ARRAYS)
        write_json(folder / JOB, plain)
    except OSError as error:
        raise TrainingFailed(f"The training could not be prepared in {folder}: {error}.") from error


def read_job(folder: Path) -> tuple[BaseModel, TrainingData, TrainingOptions, Path]:
    """What `write_job` wrote; raises TrainingFailed where it is not complete."""
    from safetensors.numpy import load_file

    try:
        plain = json.loads((folder / JOB).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
    except (OSError, ValueError) as error:
        raise TrainingFailed(f"{folder} holds no complete training: {error}.") from error
    neighbours = None
    if "neighbours.indices" in arrays:
        neighbours = Neighbours(arrays["neighbours.indices"], arrays["neighbours.weights"])
    data = TrainingData(
        texts=plain["texts"],
        items=plain["items"],
        train=_pairs(arrays, "train"),
        valid=_pairs(arrays, "valid"),
        known=Known(arrays["known.keys"], plain["known.size"]),
        neighbours=neighbours,
        frozen=arrays.get("frozen"),
        titles=arrays["titles"],
        source=arrays["source"],
        facts=plain["facts"],
    )
    return BaseModel(**plain["base"]), data, TrainingOptions(**plain["options"]), Path(plain["out"])


def _pairs(arrays: Mapping[str, NDArray[Any]], part: str) -> Pairs:
    return Pairs(**{name: arrays[f"{part}.{name}"] for name in _PAIRS})


def read_report(folder: Path) -> EncoderTrainingReport | None:
    """None while there is none."""
    plain = read_json(folder / REPORT)
    return EncoderTrainingReport(**plain) if plain else None


def read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file, or none that can be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_json(path: Path, value: object) -> None:
    """In one step, so that nobody reads half of it."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
