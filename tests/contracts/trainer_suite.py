"""The contract of every Trainer: inherit TrainerContract and give it `trainer` and `base` fixtures.

The data have a known answer: things of eight families, and each is followed by one of the next family's
pair, oak by pine and pine by oak. What is tested with was never seen in training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.learning.mining.text_pairs import Pairs, known_pairs, make_pairs
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.training.base import (
    BaseModel,
    EncoderTrainingReport,
    Loss,
    Trainer,
    TrainingData,
    TrainingOptions,
)
from llmrec_plugin.types import Matrix

FAMILIES = ("oak", "pine", "wool", "glass", "steel", "clay", "paper", "silk")
THINGS = ("box", "cup", "bowl", "frame", "stool", "tray", "vase", "lamp", "shelf", "hook")
TEXTS = tuple(f"{family} {thing}" for family in FAMILIES for thing in THINGS)
SEEN = 8
"""Things of each family that are trained with; the others are new."""
PAIRS, LATER = 480, 96
QUICK = TrainingOptions(
    loss="ranking",
    epochs=2,
    learning_rate=3e-3,
    scale=10,
    batch_size=32,
    anchor=0.05,
    checks=3,
    precision="float32",
)


def followed_by(family: int) -> int:
    return family ^ 1


def pairs(size: int, seed: int, *, rated: bool = False) -> Pairs:
    """`rated`: of all families, with 1 for what follows and 0 for the rest."""
    draw = np.random.default_rng(seed)
    left = draw.integers(len(FAMILIES), size=size)
    right = draw.integers(len(FAMILIES), size=size) if rated else left ^ 1
    follows = right == (left ^ 1)
    items = [family * len(THINGS) + draw.integers(SEEN, size=size) for family in (left, right)]
    value = follows.astype(float).tolist() if rated else None
    return make_pairs(items[0][:, None].tolist(), items[1].tolist(), history=1, value=value)


def neighbours() -> Neighbours:
    """Of each thing that is seen, the seen things of the family that follows."""
    rows = np.full((len(TEXTS), SEEN), -1, np.int32)
    for row in range(len(TEXTS)):
        family, thing = divmod(row, len(THINGS))
        if thing < SEEN:
            rows[row] = followed_by(family) * len(THINGS) + np.arange(SEEN)
    return Neighbours(rows, (rows >= 0).astype(np.float32))


def training_data(frozen: Matrix, *, rated: bool = False) -> TrainingData:
    train = pairs(PAIRS, 1, rated=rated)
    return TrainingData(
        texts=TEXTS,
        items=len(TEXTS),
        train=train,
        valid=pairs(LATER, 2, rated=rated),
        known=known_pairs(Events.of([], [], []), size=len(TEXTS), more=[] if rated else [train]),
        neighbours=neighbours(),
        frozen=frozen,
        titles=np.array([len(text.split()[0]) for text in TEXTS], np.int32),
        facts={"interactions": PAIRS},
    )


def vectors_of(folder: str | Path) -> Matrix:
    return load_encoder(EncoderSpec(name=str(folder), options={"dtype": "float32"})).encode_document(TEXTS)


def margin(vectors: Matrix) -> float:
    """By how much new things are nearer to new things of the family that follows than to other families."""
    new = [row for row in range(len(TEXTS)) if row % len(THINGS) >= SEEN]
    family = np.array([row // len(THINGS) for row in new])
    cosines = vectors[new] @ vectors[new].T
    follows = family[:, None] == (family[None, :] ^ 1)
    others = ~follows & (family[:, None] != family[None, :])
    return float(cosines[follows].mean() - cosines[others].mean())


def column(report: EncoderTrainingReport, name: str) -> list[float]:
    """One column of the curve; NaN where it was not measured, which no comparison passes."""
    values = (row[name] for row in report.curve)
    return [float("nan") if value is None else value for value in values]


class TrainerContract:
    @pytest.fixture
    def frozen(self, base: BaseModel) -> Matrix:
        return vectors_of(base.folder)

    @pytest.fixture
    def data(self, frozen: Matrix) -> TrainingData:
        return training_data(frozen)

    @pytest.mark.parametrize("loss", ["ranking", "distillation", "bce"])
    def test_what_follows_gets_nearer_also_for_what_was_never_seen(
        self,
        trainer: Trainer,
        base: BaseModel,
        data: TrainingData,
        frozen: Matrix,
        tmp_path: Path,
        loss: Loss,
    ) -> None:
        options = replace(QUICK, loss=loss)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert margin(vectors_of(report.folder)) > margin(frozen) + 0.05
        assert report.valid_loss["after"] < report.valid_loss["before"]
        learned = column(report, "train_loss")[1:]
        assert learned[-1] < learned[0]
        assert report.metric == "NDCG@10"
        # 64 things are to be told apart, and eight of them follow equally well.
        measured = column(report, "metric")
        assert max(measured) > measured[0] + 0.05
        assert report.pairs == PAIRS

    def test_ratings_are_foretold(
        self, trainer: Trainer, base: BaseModel, frozen: Matrix, tmp_path: Path
    ) -> None:
        data = training_data(frozen, rated=True)
        options = replace(QUICK, loss="mse", epochs=4)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        # One in eight is a 1; an untaught model says about 0.9 of all.
        assert report.valid_loss["after"] < 0.5 * report.valid_loss["before"]
        assert report.metric == "AUC"
        measured = column(report, "metric")
        assert measured[-1] > max(0.8, measured[0])

    def test_low_rank_additions_leave_a_plain_model(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, frozen: Matrix, tmp_path: Path
    ) -> None:
        options = replace(QUICK, method="lora", learning_rate=1e-2)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert margin(vectors_of(report.folder)) > margin(frozen)
        assert not list(Path(report.folder).rglob("adapter*"))

    def test_the_same_seed_gives_the_same_model_and_another_seed_another(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        folders = [
            trainer.train(
                base, data, replace(QUICK, epochs=1, seed=seed), tmp_path / "out", work=tmp_path / str(run)
            ).folder
            for run, seed in enumerate((0, 0, 1))
        ]
        assert folders[0] == folders[1] != folders[2]

    def test_an_anchor_holds_the_vectors_where_they_were(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, frozen: Matrix, tmp_path: Path
    ) -> None:
        moved = []
        for anchor in (0.0, 20.0):
            options = replace(QUICK, anchor=anchor)
            report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / f"w{anchor}")
            moved.append(float((1 - (vectors_of(report.folder) * frozen).sum(axis=1)).mean()))
        assert moved[1] < 0.5 * moved[0]

    def test_hard_negatives_are_pushed_away(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, frozen: Matrix, tmp_path: Path
    ) -> None:
        # The negative of each pair is the same thing of the family after the next: oak box, wool box.
        family, thing = np.divmod(data.train.left[:, 0], len(THINGS))
        rivals = ((family + 2) % len(FAMILIES)) * len(THINGS) + thing
        negatives = replace(data, train=data.train.with_negatives(rivals.astype(np.int32)))
        report = trainer.train(base, negatives, QUICK, tmp_path / "out", work=tmp_path / "work")
        vectors = vectors_of(report.folder)
        left = data.train.left[:, 0]
        after = (vectors[left] * vectors[rivals]).sum(axis=1).mean()
        before = (frozen[left] * frozen[rivals]).sum(axis=1).mean()
        assert after < before

    def test_it_ends_at_its_time_with_what_was_best_until_then(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        options = replace(QUICK, epochs=10_000, seconds=1)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert report.stopped == "time"
        assert Path(report.folder).is_dir()

    def test_it_ends_at_its_memory(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        options = replace(QUICK, memory_mb=1)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert (report.stopped, report.steps) == ("memory", 1)

    def test_it_stops_where_later_pairs_gain_no_more(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        options = replace(QUICK, learning_rate=1e-9, patience=1, checks=6)
        report = trainer.train(base, data, options, tmp_path / "out", work=tmp_path / "work")
        assert report.steps < 2 * PAIRS // QUICK.batch_size

    def test_its_curve_tells_of_each_measurement(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        report = trainer.train(base, data, QUICK, tmp_path / "out", work=tmp_path / "work")
        per_check = 2 * PAIRS // QUICK.batch_size // QUICK.checks
        assert [row["step"] for row in report.curve] == [0, per_check, 2 * per_check, 3 * per_check]
        first, *others = report.curve
        assert (first["train_loss"], first["valid_loss"]) == (
            None,
            pytest.approx(report.valid_loss["before"]),
        )
        assert min(row["valid_loss"] or 0.0 for row in others) == pytest.approx(
            report.valid_loss["after"], abs=1e-5
        )

    def test_the_model_comes_with_a_card_and_nothing_that_can_run(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        tried = replace(base, license="apache-2.0")
        report = trainer.train(tried, data, replace(QUICK, epochs=0.2), tmp_path / "out", work=tmp_path / "w")
        folder = Path(report.folder)
        assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
            ".json",
            ".safetensors",
            ".md",
        }
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert 'license: "apache-2.0"' in card
        assert f"| pairs to learn from | {PAIRS} |" in card
        assert f"| before | {report.valid_loss['before']:.4f} |" in card
        assert "| NDCG@10 on the later pairs |" in card
        assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]

    def test_without_pairs_there_is_nothing_to_tune(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        empty = replace(data, valid=data.valid.part(slice(0, 0)))
        with pytest.raises(TrainingFailed, match="wait for more events"):
            trainer.train(base, empty, QUICK, tmp_path / "out", work=tmp_path / "work")

    def test_what_is_in_the_way_of_saving_is_said(
        self, trainer: Trainer, base: BaseModel, data: TrainingData, tmp_path: Path
    ) -> None:
        (tmp_path / "out").write_text("a file where the folder should be")
        with pytest.raises(TrainingFailed, match="could not be saved"):
            trainer.train(base, data, replace(QUICK, epochs=0.2), tmp_path / "out", work=tmp_path / "work")
