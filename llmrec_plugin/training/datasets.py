"""The data of each task as the library's trainer reads them: columns of texts, and a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from llmrec_plugin.learning.mining.text_pairs import Pairs
from llmrec_plugin.training.base import TrainingData, TrainingOptions

MIN_WORDS = 3
"""Characters that a text must have beside its title for the language task."""


def make_datasets(data: TrainingData, options: TrainingOptions) -> tuple[DatasetDict, DatasetDict]:
    """By task, for learning and for validation; the tasks beside the pairs see at most as many texts."""
    rng = np.random.default_rng(options.seed)
    most = len(data.train)
    train = {"pairs": _pairs(data.texts, data.train)}
    if options.language:
        train["language"] = _language(data, most, rng)
    if options.masked:
        rows = _drawn(np.arange(len(data.texts)), most, rng)
        train["masked"] = Dataset.from_dict({"text": [data.texts[row] for row in rows]})
    if options.adversarial:
        train["adversarial"] = _domains(data, most, rng)
    return DatasetDict(train), DatasetDict({"pairs": _pairs(data.texts, data.valid)})


def _pairs(texts: Sequence[str], pairs: Pairs) -> Dataset:
    def column(rows: NDArray[np.int32]) -> list[str]:
        return [texts[row] if row >= 0 else "" for row in rows.tolist()]

    columns: dict[str, Any] = {f"past{place}": column(rows) for place, rows in enumerate(pairs.left.T)}
    columns["followed"] = column(pairs.right)
    if (pairs.negative >= 0).any():
        columns["rival"] = column(pairs.negative)
    numbers = np.column_stack([pairs.value, pairs.right, pairs.negative, pairs.left])
    columns["label"] = numbers.astype(np.float64).tolist()
    return Dataset.from_dict(columns)


def _language(data: TrainingData, most: int, rng: np.random.Generator) -> Dataset:
    cut = [
        (data.texts[row][:length].strip(), data.texts[row][length:].strip())
        for row, length in enumerate(data.titles.tolist())
    ]
    whole = [row for row, (title, rest) in enumerate(cut) if title and len(rest) >= MIN_WORDS]
    chosen = _drawn(np.asarray(whole, np.int64), most, rng)
    return Dataset.from_dict(
        {
            "title": [cut[row][0] for row in chosen],
            "rest": [cut[row][1] for row in chosen],
            "label": [0.0] * len(chosen),
        }
    )


def _domains(data: TrainingData, most: int, rng: np.random.Generator) -> Dataset:
    """As many of the source as of the target, so that neither is the safe guess, and as many as there are
    pairs: the game of the two needs many moves."""
    here = np.setdiff1d(np.arange(data.items), data.source)
    size = max(1, most // 2)
    chosen = [int(row) for rows in (here, data.source) for row in rng.choice(rows, size=size)]
    labels = [0.0] * size + [1.0] * size
    return Dataset.from_dict({"text": [data.texts[row] for row in chosen], "label": labels})


def _drawn(rows: NDArray[np.integer], most: int, rng: np.random.Generator) -> list[int]:
    if len(rows) > most:
        rows = rng.choice(rows, size=most, replace=False)
    return [int(row) for row in rows]
