"""Tunes any sentence-transformers model with the library's own trainer, fully or by low-rank additions."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import EarlyStoppingCallback, TrainerCallback

from llmrec_plugin.encoders.loading import load_model, runs_bfloat16
from llmrec_plugin.exceptions import ConfigurationError, TrainingFailed
from llmrec_plugin.figures import jsonable
from llmrec_plugin.processes import resident_mb
from llmrec_plugin.training.base import BaseModel, EncoderTrainingReport, TrainingData, TrainingOptions
from llmrec_plugin.training.card import model_card, report_json
from llmrec_plugin.training.datasets import make_datasets
from llmrec_plugin.training.folders import publish
from llmrec_plugin.training.job import write_json
from llmrec_plugin.training.losses import OWN, OWN_RATE
from llmrec_plugin.training.lowrank import add_low_rank, merge_low_rank
from llmrec_plugin.training.tasks import make_tasks
from llmrec_plugin.types import Progress

logger = logging.getLogger(__name__)

STATE = "trained.safetensors"
COMPLETE = "complete"
ABANDONED = "abandoned"
TORCH_WRITER = "PytorchStreamWriter"
"""What torch says when it cannot write, with no class of error of its own."""
PAIRS_LOSS, PAIRS_WORTH = "eval_pairs_loss", "pairs_worth"
TOLD = {"loss": "train_loss", PAIRS_LOSS: "valid_loss", PAIRS_WORTH: "metric"}
"""Names of the library's log, by those of the curve."""
BEFORE = "before.json"


class SentenceTransformerTuner:
    """The Trainer of this package."""

    def train(
        self,
        base: BaseModel,
        data: TrainingData,
        options: TrainingOptions,
        out: Path,
        *,
        work: Path,
        progress: Progress | None = None,
    ) -> EncoderTrainingReport:
        """As Trainer.train says."""
        started = time.monotonic()
        if not len(data.train) or not len(data.valid):
            raise TrainingFailed(
                f"There are {len(data.train)} pairs to learn from and {len(data.valid)} to stop by; "
                "both are needed: wait for more events."
            )
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        model = load_model(
            Path(base.folder), device=options.device, dtype="float32", dimensions=None, pooling=base.pooling
        ).model
        own_length = model.max_seq_length
        _prepare(model, options)
        watch = _Watch(options, progress)
        trainer = _trainer(model, base, data, options, work, watch)
        checkpoint = _last_checkpoint(work)
        trainer.learn(checkpoint)
        if watch.reason == ABANDONED:
            raise TrainingFailed(
                "Whoever waited for the training is gone. Run the same command again: it goes on from the "
                "last checkpoint."
            )
        merge_low_rank(model)
        model.max_seq_length = own_length
        state = trainer.state
        report = EncoderTrainingReport(
            folder="",
            steps=state.global_step,
            epochs=float(state.epoch or 0.0),
            seconds=round(time.monotonic() - started, 1),
            pairs=len(data.train),
            stopped=watch.reason or ("patience" if state.global_step < state.max_steps else "done"),
            resumed_from=_step_of(checkpoint),
            best_step=int(state.best_global_step or 0),
            valid_loss=trainer.valid_loss(),
            metric=trainer.loss["pairs"].metric,
            curve=trainer.curve(),
        )
        folder = publish(lambda folder: _write(model, folder, base, data, options, report), out)
        return replace(report, folder=str(folder))


def _prepare(model: Any, options: TrainingOptions) -> None:
    if model.transformers_model is None:
        raise ConfigurationError(
            "The encoder is a table of words without layers: only a transformer can be tuned. Leave the "
            "option encoder out, so that `llmrec train` learns a head for it."
        )
    own = model.max_seq_length
    model.max_seq_length = min(options.max_tokens, int(own)) if own else options.max_tokens
    if options.layers:
        _freeze(model, keep=options.layers)
    if options.method == "lora":
        add_low_rank(model, rank=options.rank, layers=options.layers)


def _freeze(model: Any, *, keep: int) -> None:
    """All but the last `keep` layers stay as they are."""
    layers = getattr(getattr(model.transformers_model, "encoder", None), "layer", None)
    if layers is None:
        raise ConfigurationError(
            "The training option layers needs a model with a list of encoder layers; this one is "
            f"{type(model.transformers_model).__name__}. Leave the option out."
        )
    for parameter in model.transformers_model.parameters():
        parameter.requires_grad_(False)
    for layer in layers[-keep:]:
        for parameter in layer.parameters():
            parameter.requires_grad_(True)


def _trainer(
    model: Any,
    base: BaseModel,
    data: TrainingData,
    options: TrainingOptions,
    work: Path,
    watch: _Watch,
) -> _Trainer:
    losses = make_tasks(model, base, data, options)
    train, valid = make_datasets(data, options)
    steps = max(1, sum(-(-len(part) // options.batch_size) for part in train.values()))
    every = max(1, round(steps * options.epochs / options.checks))
    return _Trainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(work),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=options.batch_size,
            per_device_eval_batch_size=options.batch_size,
            learning_rate=options.rate,
            learning_rate_mapping=_own_rates(losses),
            weight_decay=0.01,
            warmup_steps=0.1,
            max_grad_norm=1.0,
            seed=options.seed,
            data_seed=options.seed,
            bf16=_in_bfloat16(model, options),
            use_cpu=model.device.type == "cpu",
            eval_strategy="steps",
            eval_steps=every,
            save_strategy="steps",
            save_steps=every,
            save_total_limit=2,
            logging_steps=every,
            load_best_model_at_end=True,
            metric_for_best_model=PAIRS_LOSS,
            greater_is_better=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=train,
        eval_dataset=valid,
        loss=losses,
        callbacks=[EarlyStoppingCallback(options.patience), watch, _Completed()],
    )


def _own_rates(losses: Mapping[str, torch.nn.Module]) -> dict[str, float]:
    names = [name for loss in losses.values() for name, _ in loss.named_parameters()]
    pattern = rf"(^|\.){OWN}\."
    return {pattern: OWN_RATE} if any(name.startswith(f"{OWN}.") for name in names) else {}


def _in_bfloat16(model: Any, options: TrainingOptions) -> bool:
    if options.precision != "auto":
        return options.precision == "bfloat16"
    return runs_bfloat16(model.device.type)


class _Trainer(SentenceTransformerTrainer):
    """Keeps in a checkpoint what is being learned and nothing else: the weights that move, also of the
    losses, as safetensors."""

    def learn(self, checkpoint: Path | None) -> None:
        path = Path(self.args.output_dir) / BEFORE
        if checkpoint is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            loss = self.evaluate()[PAIRS_LOSS]
            write_json(path, {"valid_loss": loss, "metric": jsonable(round(self.worth, 6))})
        self.before = json.loads(path.read_text(encoding="utf-8"))
        try:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and TORCH_WRITER not in str(error):
                raise
            raise TrainingFailed(
                f"A checkpoint could not be saved in {self.args.output_dir}: {error}. Make room and run the "
                "same command again: it goes on from the checkpoint before."
            ) from error

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the library's, which asks once more for each task, and the worth of the pairs into the log."""
        found: dict[str, float] = super().evaluate(*args, **kwargs)
        if self.loss["pairs"].measured:
            self.worth = self.loss["pairs"].worth()
            self.log({PAIRS_WORTH: self.worth})
        return found

    def valid_loss(self) -> dict[str, float]:
        before, best = self.before["valid_loss"], self.state.best_metric
        return {"before": float(before), "after": float(before if best is None else best)}

    def curve(self) -> list[dict[str, float | None]]:
        rows: dict[int, dict[str, float | None]] = {
            0: {"step": 0, "epoch": 0.0, "train_loss": None, **self.before}
        }
        for told in self.state.log_history:
            for name in TOLD.keys() & told.keys():
                empty = {"step": told["step"], "epoch": told["epoch"], **dict.fromkeys(TOLD.values())}
                row = rows.setdefault(told["step"], empty)
                row[TOLD[name]] = jsonable(round(float(told[name]), 6))
        return [rows[step] for step in sorted(rows)]

    def _moving(self) -> dict[str, torch.Tensor]:
        model = {f"model.{name}": weight for name, weight in self.model.named_parameters()}
        own = {
            f"{task}.{name}": tensor
            for task, loss in self.loss.items()
            for name, tensor in chain(loss.named_parameters(), loss.named_buffers())
            if name.startswith(f"{OWN}.")
        }
        return {name: weight for name, weight in model.items() if weight.requires_grad} | own

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().contiguous() for name, weight in self._moving().items()}
        save_file(weights, str(folder / STATE))

    def _load_from_checkpoint(self, checkpoint_path: str, model: object = None) -> None:
        saved = load_file(str(Path(checkpoint_path) / STATE), device=str(self.model.device))
        with torch.no_grad():
            for name, weight in self._moving().items():
                weight.copy_(saved[name])


class _Watch(TrainerCallback):
    """Tells how far it is, and ends it at its caps or when nobody waits for it any more."""

    def __init__(self, options: TrainingOptions, progress: Progress | None) -> None:
        self.options = options
        self.progress = progress
        self.started = time.monotonic()
        self.parent = os.getppid()
        self.reason = ""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)
        if os.getppid() != self.parent:
            self.reason = ABANDONED
        elif time.monotonic() - self.started > self.options.seconds:
            self.reason = "time"
        elif 0 < self.options.memory_mb < resident_mb():
            self.reason = "memory"
        if self.reason:
            control.should_save = control.should_training_stop = True
            control.should_log = control.should_evaluate = self.reason != ABANDONED


class _Completed(TrainerCallback):
    """Marks a checkpoint that was written to its end; one that a kill cut short is not gone on from."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if folder.is_dir():
            (folder / COMPLETE).touch()


def _last_checkpoint(work: Path) -> Path | None:
    """The latest complete one; what is left of others is removed."""
    complete = []
    for folder in work.glob("checkpoint-*"):
        if (folder / COMPLETE).exists():
            complete.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return max(complete, key=_step_of, default=None)


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def _write(
    model: Any,
    folder: Path,
    base: BaseModel,
    data: TrainingData,
    options: TrainingOptions,
    report: EncoderTrainingReport,
) -> None:
    model.prompts = {"query": base.query_prompt, "document": base.document_prompt}
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").write_text(model_card(base, data, options, asdict(report)), encoding="utf-8")
    (folder / "report.json").write_text(report_json(report, options, base), encoding="utf-8")
