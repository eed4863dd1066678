"""Which losses the options ask for, by the name of the data that each is measured on."""

from __future__ import annotations

from typing import Any

from torch import nn

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.training.base import BaseModel, TrainingData, TrainingOptions
from llmrec_plugin.training.losses import (
    Adversarial,
    Binary,
    Distillation,
    Language,
    Masked,
    PairLoss,
    Ranking,
    Rating,
)


def make_tasks(
    model: Any, base: BaseModel, data: TrainingData, options: TrainingOptions
) -> dict[str, nn.Module]:
    """ "pairs", and the tasks beside it that have a weight; raises ConfigurationError where data lack."""
    tasks: dict[str, nn.Module] = {"pairs": _pairs(model, data, options)}
    if options.language:
        tasks["language"] = Language(model, scale=options.scale, weight=options.language)
    if options.masked:
        tasks["masked"] = Masked(model, base.folder, weight=options.masked)
    if options.adversarial:
        if not len(data.source):
            raise ConfigurationError(
                "The training option adversarial needs the texts of a source: give one with --source."
            )
        tasks["adversarial"] = Adversarial(model, weight=options.adversarial)
    return tasks


def _pairs(model: Any, data: TrainingData, options: TrainingOptions) -> PairLoss:
    common: dict[str, Any] = {"scale": options.scale, "anchor": options.anchor, "frozen": data.frozen}
    if options.loss == "distillation":
        if data.neighbours is None:
            raise ConfigurationError('The training option loss "distillation" needs neighbours to distil.')
        return Distillation(model, data.known, data.neighbours, **common)
    kinds: dict[str, type[PairLoss]] = {"ranking": Ranking, "bce": Binary, "mse": Rating}
    return kinds[options.loss](model, data.known, **common)
