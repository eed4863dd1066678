"""The trainer of sentence-transformers models keeps the contract, and what is its own."""

from __future__ import annotations

import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.mining.text_pairs import known_pairs, make_pairs
from llmrec_plugin.training import job
from llmrec_plugin.training.base import BaseModel, Trainer, TrainingData, TrainingOptions
from tests.contracts.tiny_model import add_word_guesser, make_tiny_model
from tests.contracts.trainer_suite import QUICK, TEXTS, TrainerContract, training_data, vectors_of

pytestmark = pytest.mark.model

WAIT = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def base(folder: Path) -> BaseModel:
    return BaseModel(folder=str(folder), name="tiny")


@pytest.fixture
def trainer() -> Trainer:
    from llmrec_plugin.training.sentence_transformer import SentenceTransformerTuner

    return SentenceTransformerTuner()


class TestSentenceTransformerTuner(TrainerContract):
    def test_the_last_layers_alone_can_be_tuned(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        from safetensors.numpy import load_file

        report = trainer.train(
            base, data, replace(QUICK, layers=1, epochs=0.5), tmp_path / "out", work=tmp_path / "work"
        )
        before, after = (load_file(Path(one) / "model.safetensors") for one in (base.folder, report.folder))
        changed = {name.split(".")[2] for name in after if not np.array_equal(before[name], after[name])}
        assert changed == {"1"}

    def test_titles_and_masked_words_are_learned_beside_the_pairs(
        self, trainer: Trainer, data: TrainingData, tmp_path: Path
    ) -> None:
        guesser = add_word_guesser(make_tiny_model(tmp_path / "guesser"))
        options = replace(QUICK, language=0.5, masked=0.5, epochs=1)
        base = BaseModel(folder=str(guesser), name="guesser")
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert report.steps > PAIR_STEPS
        assert report.valid_loss["after"] < report.valid_loss["before"]

    def test_masked_words_are_guessed_better(
        self, trainer: Trainer, data: TrainingData, tmp_path: Path
    ) -> None:
        """By the head that the model came with, which does not learn. Its weights are drawn, so it guesses
        little better than evenly; the pairs alone would move it by some 0.02."""
        guesser = add_word_guesser(make_tiny_model(tmp_path / "guesser"))
        before = guessing_loss(guesser, guesser)
        options = replace(QUICK, masked=3.0, epochs=3, patience=8)
        report = trainer.train(
            BaseModel(folder=str(guesser), name="guesser"),
            data,
            options,
            tmp_path / "out",
            work=tmp_path / "work",
        )
        assert guessing_loss(guesser, report.folder) < before - 0.08

    def test_a_model_that_cannot_guess_words_is_not_asked_to(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"has none\. Leave it out"):
            trainer.train(base, data, replace(QUICK, masked=0.5), tmp_path / "out", work=tmp_path / "work")

    def test_two_sites_can_no_more_be_told_apart(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        """The source writes the same things in capitals."""
        source = np.arange(len(TEXTS), 2 * len(TEXTS), dtype=np.int32)
        both = replace(data, texts=[*TEXTS, *(text.upper() for text in TEXTS)], source=source, frozen=None)
        apart = []
        for weight in (0.0, 1.0):
            report = trainer.train(
                base,
                both,
                replace(QUICK, adversarial=weight, epochs=8, patience=8, anchor=0),
                tmp_path / "out",
                work=tmp_path / f"work{weight}",
            )
            here, there = vectors_of(report.folder), capitals_by(report.folder)
            apart.append(separation(here, there))
        assert apart[1] < apart[0]

    def test_what_tells_sites_apart_needs_another_site(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match="--source"):
            trainer.train(base, data, replace(QUICK, adversarial=1.0), tmp_path / "out", work=tmp_path / "w")

    def test_a_table_of_words_has_no_layers(
        self, trainer: Trainer, data: TrainingData, tmp_path: Path
    ) -> None:
        static = BaseModel(folder=str(make_tiny_model(tmp_path / "static", static=True)), name="static")
        with pytest.raises(ConfigurationError, match="only a transformer can be tuned"):
            trainer.train(static, data, QUICK, tmp_path / "out", work=tmp_path / "work")


PAIR_STEPS = 480 // QUICK.batch_size


def guessing_loss(head: str | Path, encoder: str | Path) -> float:
    """Mean cross-entropy of each byte of the texts, hidden one place at a time, in nats."""
    import torch
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(head)
    whole = AutoModelForMaskedLM.from_pretrained(head)
    whole.bert = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
    whole.eval()
    read = tokenizer(list(TEXTS), return_tensors="pt", padding=True)
    losses = []
    for place in range(1, read["input_ids"].shape[1]):
        there = read["attention_mask"][:, place].bool()
        masked, wanted = read["input_ids"].clone(), torch.full_like(read["input_ids"], -100)
        wanted[there, place] = masked[there, place]
        masked[there, place] = tokenizer.mask_token_id
        with torch.no_grad():
            found = whole(input_ids=masked, attention_mask=read["attention_mask"], labels=wanted)
        losses += [float(found.loss)] * int(there.sum())
    return float(np.mean(losses))


def capitals_by(folder: str) -> np.ndarray:
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder

    encoder = load_encoder(EncoderSpec(name=folder, options={"dtype": "float32"}))
    return encoder.encode_document([text.upper() for text in TEXTS])


def separation(here: np.ndarray, there: np.ndarray) -> float:
    """Distance of the two means, in units of the spread around them."""
    spread = np.sqrt(here.var(axis=0).sum() + there.var(axis=0).sum())
    return float(np.linalg.norm(here.mean(axis=0) - there.mean(axis=0)) / spread)


def write_job(folder: Path, base: BaseModel, options: TrainingOptions, out: Path) -> None:
    job.write_job(folder, base, training_data(vectors_of(base.folder)), options, out)


@contextmanager
def started(folder: Path, *, limit: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The process that trains; whatever happens, it does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "llmrec_plugin.training", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=limit,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def finish(folder: Path, *, limit: Callable[[], None] | None = None) -> int:
    with started(folder, limit=limit) as child:
        return child.wait(WAIT)


def await_file(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + WAIT
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_follows_too_is_no_negative_of_the_batch() -> None:
    """Three pairs in one batch: a to x, b to x and c to y, where a is known to go with y as well.

    With all scores equal each of n candidates has the probability 1/n: x is left alone with its own pair in
    the first row, beside y in the second; in the third, y stands beside x twice.
    """
    torch = pytest.importorskip("torch")
    from llmrec_plugin.training.losses import Ranking

    a, b, c, x, y = range(5)
    known = known_pairs(Events.of([], [], []), size=5, more=[make_pairs([[a]], [y], history=1)])
    rows = torch.tensor([[x, -1, a], [x, -1, b], [y, -1, c]])
    loss = Ranking(None, known, scale=1.0, anchor=0.0, frozen=None)
    found = loss.task(torch.zeros(3, 2), torch.zeros(3, 2), None, rows, torch.ones(3))
    assert float(found) == pytest.approx((math.log(1) + math.log(2) + math.log(3)) / 3)


@pytest.mark.crash
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(
    base: BaseModel, tmp_path: Path, masked: float
) -> None:
    if masked:
        guesser = add_word_guesser(make_tiny_model(tmp_path / "guesser"))
        base = BaseModel(folder=str(guesser), name="guesser")
    options = replace(QUICK, epochs=12, checks=12, patience=12, masked=masked)
    for name in ("killed", "whole"):
        write_job(tmp_path / name, base, options, tmp_path / name / "out")
    with started(tmp_path / "whole") as undisturbed:  # meanwhile, on a core of its own
        with started(tmp_path / "killed") as child:
            await_file(tmp_path / "killed" / job.WORK, "checkpoint-*/complete")
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert job.read_report(tmp_path / "killed") is None
        assert not (tmp_path / "killed" / "out").exists()
        assert finish(tmp_path / "killed") == 0
        assert undisturbed.wait(WAIT) == 0
    resumed, straight = (job.read_report(tmp_path / name) for name in ("killed", "whole"))
    assert resumed is not None
    assert straight is not None
    assert resumed.resumed_from > 0 == straight.resumed_from
    assert resumed.valid_loss == pytest.approx(straight.valid_loss, abs=1e-4)
    assert [row["step"] for row in resumed.curve] == [row["step"] for row in straight.curve]
    assert Path(resumed.folder).name == Path(straight.folder).name


@pytest.mark.crash
@pytest.mark.parametrize(
    ("method", "what"), [("full", "A checkpoint could not be saved"), ("lora", "could not be saved")]
)
def test_a_full_disk_leaves_a_clear_state(
    base: BaseModel, tmp_path: Path, method: Literal["lora", "full"], what: str
) -> None:
    """No file may be larger than 40 kB: the weights of the whole model are, low-rank additions are not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))

    folder = tmp_path / "job"
    options = replace(QUICK, method=method, rank=1)
    write_job(folder, base, options, tmp_path / "out")
    assert finish(folder, limit=limit) == 1
    error = job.read_json(folder / job.ERROR)
    assert error["code"] == "training_failed"
    assert what in error["detail"]
    assert "un the same command again" in error["detail"]
    assert not list((tmp_path / "out").glob("*"))
    assert job.read_report(folder) is None

    assert finish(folder) == 0
    report = job.read_report(folder)
    assert report is not None
    assert (report.resumed_from > 0) == (method == "lora")
    assert vectors_of(report.folder).shape == (len(TEXTS), 32)


@pytest.mark.crash
def test_a_training_that_nobody_waits_for_ends(base: BaseModel, tmp_path: Path) -> None:
    """Its parent is killed; it notices at the next step and keeps a checkpoint. What was learned so far is no
    result: whoever asks next goes on from there, once the other is gone."""
    folder = tmp_path / "job"
    write_job(folder, base, replace(QUICK, epochs=10_000), tmp_path / "out")
    command = [sys.executable, "-m", "llmrec_plugin.training", str(folder)]
    code = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as parent:
        await_file(folder, job.PROGRESS)
        parent.kill()
    await_file(folder, job.ERROR)
    assert "Whoever waited for the training is gone" in job.read_json(folder / job.ERROR)["detail"]
    assert job.read_report(folder) is None
    assert not (tmp_path / "out").exists()
    saved = max(int(path.parent.name.rpartition("-")[2]) for path in folder.glob("*/checkpoint-*/complete"))
    told = json.loads((folder / job.JOB).read_text(encoding="utf-8"))
    job.write_json(folder / job.JOB, {**told, "options": {**told["options"], "seconds": 1}})
    assert finish(folder) == 0
    resumed = job.read_report(folder)
    assert resumed is not None
    assert resumed.resumed_from == saved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"los": "bce"}, 'training option "los" is unknown. Did you mean "loss"'),
        ({"loss": "nearest"}, 'it must be one of "ranking", "distillation", "bce", "mse"'),
        ({"epochs": "many"}, "\"epochs\" is 'many'; it must be a number of at least 0.01"),
        ({"rank": "1.5"}, "is '1.5'; it must be a whole number"),
        ({"coreset": "perhaps"}, "it must be True or False"),
        ({"batch_size": 1}, "must be a whole number of at least 4"),
        ({"seconds": "nan"}, "must be a number of at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TrainingOptions.of(given)


def test_options_are_read_from_texts() -> None:
    options = TrainingOptions.of(
        {"coreset": "yes", "epochs": "2", "rank": "4", "loss": "bce", "device": "cpu"}
    )
    assert (options.coreset, options.epochs, options.rank, options.loss) == (True, 2.0, 4, "bce")
    assert (options.rate, TrainingOptions(method="lora").rate) == (5e-5, 5e-4)
