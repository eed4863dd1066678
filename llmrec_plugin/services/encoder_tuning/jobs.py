"""Keeps the training of an encoder as it lies in its folder: written anew, or gone on with where it was
left."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
from llmrec_plugin.encoders.description import describe
from llmrec_plugin.encoders.sources import tuned_folder
from llmrec_plugin.figures import jsonable
from llmrec_plugin.models import TrainingRun
from llmrec_plugin.services.encoder_tuning.behaviour import Behaviour, judged_from
from llmrec_plugin.services.encoder_tuning.training_data import make_training_data
from llmrec_plugin.services.model_registry import retention
from llmrec_plugin.training import job
from llmrec_plugin.training.base import BaseModel, TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Order:
    """Holds what is to be tuned, and how."""

    label: str
    base: EncoderSpec
    options: TrainingOptions
    source: Sequence[str]
    """Passages of another site; for the option adversarial."""
    run: int
    """Primary key of the TrainingRun that reads the data."""


def job_folder(label: str) -> Path:
    """Return where the training of a document is kept while it runs."""
    return retention.tunings_folder() / re.sub(r"[^A-Za-z0-9_-]+", "-", label)


def prepare(order: Order, behaviour: Behaviour, *, restart: bool) -> tuple[Path, Mapping[str, Any]]:
    """Return the folder of the training, with what its data are: the one that was begun before and can be
    gone on with, unless `restart`, or a new one. Raises TrainingFailed, ConfigurationError."""
    folder, base = job_folder(order.label), _base_model(order.base)
    if restart or not _can_go_on(folder, base, order, behaviour):
        shutil.rmtree(folder, ignore_errors=True)
        data = make_training_data(
            behaviour,
            load_encoder(order.base),
            order.options,
            prompts=(base.query_prompt, base.document_prompt),
            source=order.source,
        )
        begin = judged_from(behaviour)
        note = {"run": order.run, "judged_from": jsonable(begin)}
        job.write_job(folder, base, data, order.options, tuned_folder(), note=note)
    return folder, job.read_json(folder / job.JOB)["facts"]


def _base_model(base: EncoderSpec) -> BaseModel:
    description = describe(base)
    return BaseModel(
        folder=str(description.folder),
        name=base.name,
        pooling=description.pooling,
        license=description.license,
        query_prompt=description.query_prompt,
        document_prompt=description.document_prompt,
    )


def _can_go_on(folder: Path, base: BaseModel, order: Order, behaviour: Behaviour) -> bool:
    """Return whether the same training was begun before, on data that may still be used: nobody in them was
    erased since, they end before the events on which the encoder is to be judged now, and its result, if it
    has one, is still there."""
    plain = job.read_json(folder / job.JOB)
    if not plain:
        return False
    note = plain["note"]
    prompted = [base.document_prompt + text for text in order.source]
    same = (
        plain["options"] == asdict(order.options)
        and plain["base"] == asdict(base)
        and plain["texts"][len(plain["texts"]) - len(prompted) :] == prompted
    )
    done = job.read_report(folder)
    until = math.inf if note["judged_from"] is None else note["judged_from"]
    return (
        same
        and (done is None or Path(done.folder).is_dir())
        and until <= judged_from(behaviour)
        and TrainingRun.objects.filter(pk=note["run"], erased=0).exists()
        and retention.tuning_age(folder, now=timezone.now()) < retention.TUNING_KEPT
    )
