"""What tuning an encoder takes and gives, and the role of those who do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.mining.text_pairs import Known, Pairs
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.options import at_least, check_options, read_options
from llmrec_plugin.types import Matrix, Progress

Loss: TypeAlias = Literal["ranking", "distillation", "bce", "mse"]
Method: TypeAlias = Literal["lora", "full"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]

LEARNING_RATES: Mapping[str, float] = {"lora": 5e-4, "full": 5e-5}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How an encoder is tuned; every field may be given to `llmrec train --encoder` as name=value."""

    loss: Loss = "distillation"
    """"distillation": texts become as near as people take them together (EASE); "ranking": what followed is
    nearer than the rest of the batch, what is known to follow left out of that rest; "bce": sigmoid of the
    dot product against 1 for what followed and 0 for the rest; "mse": the dot product against ratings."""
    method: Method = "full"
    """"full": all weights; "lora": low-rank additions that are merged into the weights at the end."""
    history: Annotated[int, at_least(1)] = 1
    """Past items that make the left side of a pair; 1: the item before."""
    epochs: Annotated[float, at_least(0.01)] = 3.0
    """Times that every pair is seen."""
    batch_size: Annotated[int, at_least(4)] = 48
    """Pairs at a time; each is told apart from the others of its batch."""
    learning_rate: Annotated[float, at_least(0)] = 0.0
    """0: 5e-4 for "lora", 5e-5 for "full"."""
    scale: Annotated[float, at_least(0.1)] = 20.0
    """What cosines are multiplied by before they are compared; 20 is a temperature of 0.05."""
    rank: Annotated[int, at_least(1)] = 8
    """Of the low-rank additions."""
    layers: Annotated[int, at_least(0)] = 0
    """Last layers of the model that are tuned, the others stay and cost a third; 0: all."""
    max_tokens: Annotated[int, at_least(8)] = 64
    """Read of each text while it is tuned."""
    most_pairs: Annotated[int, at_least(1)] = 20_000
    """Of the pairs, so many are drawn at random, or chosen by `coreset`."""
    coreset: bool = False
    """Choose the pairs so that every other one lies near one of them (k-centre), rather than at random."""
    hard_negatives: bool = False
    """Beside the rest of the batch, for each pair an item that is like the left side and did not follow."""
    anchor: Annotated[float, at_least(0)] = 0.1
    """Weight of staying near the vectors of the encoder as it was, so that search does not get worse."""
    language: Annotated[float, at_least(0)] = 0.0
    """Weight of a second task: the title of an item finds the rest of its text; 0: left out."""
    masked: Annotated[float, at_least(0)] = 0.0
    """Weight of guessing masked words, for models that have a head for it; 0: left out."""
    adversarial: Annotated[float, at_least(0)] = 0.0
    """Weight of not telling source and target apart (DANN), where there is a source; 0: left out."""
    patience: Annotated[int, at_least(1)] = 3
    """Measurements on validation pairs without a gain before it stops."""
    checks: Annotated[int, at_least(1)] = 8
    """Measurements on validation pairs, and checkpoints, in all."""
    seconds: Annotated[float, at_least(1)] = 3600.0
    """Time cap: what was best until then is the result."""
    memory_mb: Annotated[int, at_least(0)] = 0
    """The same for memory; 0: no cap."""
    threads: Annotated[int, at_least(1)] = 1
    """Of the products, on a CPU."""
    precision: Precision = "auto"
    """Of the products: "auto" is bfloat16 where the hardware has it; weights are kept in float32."""
    device: str = "auto"
    """"auto": a GPU if one works; or a device of torch, such as "cuda:1"."""
    seed: int = 0
    """The same data, options and seed give the same model."""

    def __post_init__(self) -> None:
        check_options(self, _called)

    @property
    def rate(self) -> float:
        return self.learning_rate or LEARNING_RATES[self.method]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TrainingOptions:
        """Return options of names and values, texts included; raises ConfigurationError as `read_options`."""
        kinds = {one.name: type(one.default) for one in fields(cls)}
        values = {name: _typed(value, kinds.get(name, str)) for name, value in given.items()}
        return read_options(cls, values, _called)


def _called(name: str) -> str:
    return f'The training option "{name}"'


def _typed(value: Any, kind: type) -> Any:
    """What a text stands for; the text itself where it stands for nothing of that kind."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if not isinstance(value, str) or kind is str:
        return value
    try:
        return words[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        return value


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The encoder that is tuned, as the site uses it."""

    folder: str
    name: str
    pooling: str = ""
    license: str = ""
    query_prompt: str = ""
    document_prompt: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingData:
    """What it is tuned on; no user is in it."""

    texts: Sequence[str]
    """Items first, then queries, each with its prompt."""
    items: int
    """How many of the texts are items."""
    train: Pairs
    valid: Pairs
    """Later than all of `train`."""
    known: Known
    neighbours: Neighbours | None = None
    """Of the items; for "distillation"."""
    frozen: Matrix | None = None
    """The vectors of `texts` by the encoder as it is, for the anchor; None: no anchor."""
    titles: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Number of leading characters of each item that are its title, for the language task."""
    source: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Rows of texts that come from another site, for the adversarial task."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the model card: window of the data, counts."""


@dataclass(frozen=True, kw_only=True)
class EncoderTrainingReport:
    """What came of it."""

    folder: str
    """The tuned model, a folder named by its content."""
    steps: int
    epochs: float
    seconds: float
    pairs: int
    stopped: str
    """"done", "patience", "time" or "memory"."""
    resumed_from: int
    """The step of the checkpoint that it went on from; 0: from the start."""
    best_step: int
    valid_loss: Mapping[str, float]
    """"before" and "after", of what was kept."""
    metric: str
    """What is measured on the later pairs beside the loss, higher is better: "NDCG@10" of what followed among
    all that followed in them, or "AUC" of good ratings among all."""
    curve: Sequence[Mapping[str, float | None]]
    """How it went: "step" and "epoch", and at each the loss of what was learned from since the step before
    ("train_loss"), and "valid_loss" and "metric" on the later pairs; None: not measured there."""


class Trainer(Protocol):
    """Tunes an encoder; the same data, options and seed give the same model."""

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
        """Write the tuned model as a new folder in `out`, named by its content, complete or not at all.

        `work` keeps the checkpoints: run again with the same arguments after an interruption, it goes on
        from the last one. Raises TrainingFailed, or ConfigurationError for options that do not fit the
        model or the data.
        """
