"""What an encoder is tuned to: one module per task, on vectors of unit length.

A pair's label is the row (value, right, negative, left…) of row numbers; rows of -1 are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.mining.text_pairs import Known
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.training.measuring import Measured, ndcg_at_10, rating_auc
from llmrec_plugin.types import Matrix

GAMMA = 0.8
"""What an item of the left side counts of what the next younger one does."""
OWN = "own"
"""Name of the part of a loss that is learned beside the encoder."""
OWN_RATE = 1e-2

Features = Sequence[Mapping[str, Tensor]]


def embed(model: Any, features: Mapping[str, Tensor]) -> Tensor:
    """Shape (batch, dimensions), unit rows, in float32 whatever the products ran in."""
    vectors = model(dict(features))["sentence_embedding"]
    return functional.normalize(vectors.float(), dim=1)


class PairLoss(nn.Module):
    """Common to all tasks on pairs: the vectors of both sides, and the anchor to the encoder as it was.

    The anchor counts while the model is being tuned; validation measures the task alone, and keeps its
    vectors for `worth`.
    """

    metric = "NDCG@10"

    def __init__(
        self, model: Any, known: Known, *, scale: float, anchor: float, frozen: Matrix | None
    ) -> None:
        super().__init__()
        self.model = model
        self.known = known
        self.scale = scale
        self.anchor = anchor if frozen is not None else 0.0
        self.frozen = None if frozen is None or not anchor else torch.from_numpy(np.asarray(frozen))
        self.measured: list[Measured] = []

    def forward(self, features: Features, labels: Tensor) -> dict[str, Tensor]:
        value = labels[:, 0]
        rows = labels[:, 1:].long()
        right, negative, left = rows[:, 0], rows[:, 1], rows[:, 2:]
        encoded: list[tuple[Tensor, Tensor]] = []

        def vectors(column: int, wanted: Tensor) -> Tensor:
            found = embed(self.model, features[column])
            encoded.append((found, wanted))
            return found

        weights = [GAMMA ** (left.shape[1] - 1 - place) for place in range(left.shape[1])]
        parts = [
            vectors(place, left[:, place]) * (weight * (left[:, place] >= 0))[:, None]
            for place, weight in enumerate(weights)
            if bool((left[:, place] >= 0).any())
        ]
        users = functional.normalize(torch.stack(parts).sum(dim=0), dim=1)
        targets = vectors(left.shape[1], right)
        rivals = vectors(left.shape[1] + 1, negative) if bool((negative >= 0).any()) else None
        if not self.model.training:
            whole = (users, targets, right, left, value)
            self.measured.append(Measured(*(part.detach().cpu().numpy() for part in whole)))
        loss = {"task": self.task(users, targets, rivals, rows, value)}
        if self.frozen is not None and self.model.training:
            loss["anchor"] = self.anchor * _distance(encoded, self.frozen)
        return loss

    def worth(self) -> float:
        """Of the `metric` on the pairs that were measured since it was asked last; NaN without any."""
        batches, self.measured = self.measured, []
        return self.measure(batches) if batches else float("nan")

    def measure(self, batches: Sequence[Measured]) -> float:
        return ndcg_at_10(batches)

    def task(
        self, users: Tensor, targets: Tensor, rivals: Tensor | None, rows: Tensor, value: Tensor
    ) -> Tensor:
        raise NotImplementedError

    def opposed(self, targets: Tensor, rivals: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor]:
        """All right sides of the batch and their rivals, and which of them are no negatives of which left
        side."""
        right, negative, left = rows[:, 0], rows[:, 1], rows[:, 2:]
        if rivals is None:
            return targets, self._no_negatives(left, right, right)
        barred = self._no_negatives(left, torch.cat([right, negative]), right)
        return torch.cat([targets, rivals]), barred

    def _no_negatives(self, left: Tensor, candidates: Tensor, own: Tensor) -> Tensor:
        """Shape (batch, candidates): what is known to follow a left side, is a part of it, is its own right
        side once more, or is not there."""
        past, others = left.cpu().numpy(), candidates.cpu().numpy()
        known = self.known.contains(past[:, :, None], others[None, None, :]).any(axis=1)
        known |= (past[:, :, None] == others[None, None, :]).any(axis=1)
        known |= (own.cpu().numpy()[:, None] == others[None, :]) | (others < 0)[None, :]
        return torch.from_numpy(known).to(left.device)


def _distance(encoded: Sequence[tuple[Tensor, Tensor]], before: Tensor) -> Tensor:
    """Mean of 1 - cosine to the vectors that the same texts had before."""
    found = torch.cat([vectors[rows >= 0] for vectors, rows in encoded])
    wanted = torch.cat([rows[rows >= 0] for _, rows in encoded])
    return (1 - (found * before[wanted.cpu()].to(found.device)).sum(dim=1)).mean()


class Ranking(PairLoss):
    """What followed is nearer to the left side than all else of the batch (InfoNCE), without what is known
    to follow it."""

    def task(
        self, users: Tensor, targets: Tensor, rivals: Tensor | None, rows: Tensor, value: Tensor
    ) -> Tensor:
        others, barred = self.opposed(targets, rivals, rows)
        own = torch.arange(len(users), device=users.device)
        barred[own, own] = False
        scores = (users @ others.T * self.scale).masked_fill(barred, -torch.inf)
        return functional.cross_entropy(scores, own)


class Calibrated(PairLoss):
    """Learns beside the encoder how a cosine becomes a value: scale * cosine + bias."""

    def __init__(
        self, model: Any, known: Known, *, scale: float, anchor: float, frozen: Matrix | None
    ) -> None:
        super().__init__(model, known, scale=scale, anchor=anchor, frozen=frozen)
        self.own = nn.ParameterDict(
            {"scale": nn.Parameter(torch.tensor(self.first_scale())), "bias": nn.Parameter(torch.zeros(()))}
        )

    def first_scale(self) -> float:
        return self.scale

    def calibrated(self, cosines: Tensor) -> Tensor:
        return cosines * self.own["scale"] + self.own["bias"]


class Binary(Calibrated):
    """sigmoid(scale * <left, right> + bias) against 1 for what followed and 0 for the rest of the batch;
    each side of the question weighs as much as the other."""

    def first_scale(self) -> float:
        return self.scale / 4

    def task(
        self, users: Tensor, targets: Tensor, rivals: Tensor | None, rows: Tensor, value: Tensor
    ) -> Tensor:
        others, barred = self.opposed(targets, rivals, rows)
        logits = self.calibrated(users @ others.T)
        own = torch.arange(len(users), device=users.device)
        followed = functional.softplus(-logits[own, own]).mean()
        rest = functional.softplus(logits)[~barred]
        return followed + (rest.mean() if len(rest) else 0.0 * followed)


class Rating(Calibrated):
    """scale * <left, right> + bias against the rating, 0..1, squared."""

    metric = "AUC"

    def first_scale(self) -> float:
        return 1.0

    def task(
        self, users: Tensor, targets: Tensor, rivals: Tensor | None, rows: Tensor, value: Tensor
    ) -> Tensor:
        return functional.mse_loss(self.calibrated((users * targets).sum(dim=1)), value)

    def measure(self, batches: Sequence[Measured]) -> float:
        return rating_auc(batches)


class Distillation(Ranking):
    """Texts become as near as people take them together: among the items of a batch, the softmax of cosines
    follows the weights of the neighbours. Validation is by `Ranking` on events that came later: what is
    learned from a model of behaviour must foretell behaviour."""

    def __init__(
        self,
        model: Any,
        known: Known,
        neighbours: Neighbours,
        *,
        scale: float,
        anchor: float,
        frozen: Matrix | None,
    ) -> None:
        super().__init__(model, known, scale=scale, anchor=anchor, frozen=frozen)
        self.indices = torch.from_numpy(neighbours.indices).long()
        self.weights = torch.from_numpy(neighbours.weights)

    def task(
        self, users: Tensor, targets: Tensor, rivals: Tensor | None, rows: Tensor, value: Tensor
    ) -> Tensor:
        if not self.model.training:
            return super().task(users, targets, rivals, rows, value)
        vectors = torch.cat([users, targets])
        items = torch.cat([rows[:, -1], rows[:, 0]]).cpu()
        teacher = self.together(items).to(vectors.device)
        same = (items[:, None] == items[None, :]).to(vectors.device)
        scores = (vectors @ vectors.T * self.scale).masked_fill(same, -torch.inf)
        told = teacher.sum(dim=1) > 0
        wanted = teacher[told] / teacher[told].sum(dim=1, keepdim=True)
        likely = functional.log_softmax(scores[told], dim=1).masked_fill(same[told], 0.0)
        return -(wanted * likely).sum(dim=1).mean()

    def together(self, items: Tensor) -> Tensor:
        """Shape (n, n): how strongly people take each two of the items together, in both directions."""
        found = self.indices[items][:, :, None] == items[None, None, :]
        weights = (found * self.weights[items][:, :, None]).sum(dim=1)
        return (weights + weights.T) / 2


class Language(nn.Module):
    """The title of an item finds the rest of its text among those of the batch: keeps the sense for words."""

    def __init__(self, model: Any, *, scale: float, weight: float) -> None:
        super().__init__()
        self.model = model
        self.scale = scale
        self.weight = weight

    def forward(self, features: Features, labels: Tensor) -> Tensor:
        titles, rests = (embed(self.model, column) for column in features[:2])
        own = torch.arange(len(titles), device=titles.device)
        return self.weight * functional.cross_entropy(titles @ rests.T * self.scale, own)


class Masked(nn.Module):
    """Guesses masked words, by the head that the model was made with.

    The head stays as it came: it is no part of the result, so what it would learn would be missing there,
    and in every checkpoint.
    """

    SHARE = 0.15

    def __init__(self, model: Any, folder: str, *, weight: float) -> None:
        from transformers import AutoModelForMaskedLM

        super().__init__()
        self.model = model
        self.weight = weight
        whole, loading = AutoModelForMaskedLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, use_safetensors=True
        )
        if loading["missing_keys"]:
            raise ConfigurationError(
                f"The training option masked needs a model with a head that guesses masked words; {folder} "
                "has none. Leave it out, or use the option language."
            )
        whole.requires_grad_(False)
        setattr(whole, whole.base_model_prefix, model.transformers_model)
        self.whole = whole
        self.tokenizer = model.tokenizer

    def forward(self, features: Features, labels: Tensor) -> Tensor:
        inputs = {name: features[0][name] for name in ("input_ids", "attention_mask")}
        wanted = inputs["input_ids"].clone()
        special = torch.isin(wanted, torch.tensor(self.tokenizer.all_special_ids, device=wanted.device))
        drawn = torch.rand(wanted.shape, device=wanted.device)
        hidden = (drawn < self.SHARE) & ~special & inputs["attention_mask"].bool()
        wanted[~hidden] = -100
        masked = inputs["input_ids"].clone()
        masked[hidden & (drawn < 0.8 * self.SHARE)] = self.tokenizer.mask_token_id
        other = hidden & (drawn >= 0.9 * self.SHARE)
        masked[other] = torch.randint(len(self.tokenizer), masked.shape, device=masked.device)[other]
        if not bool(hidden.any()):
            return 0.0 * self.whole(input_ids=masked, attention_mask=inputs["attention_mask"]).logits.mean()
        return self.weight * self.whole(**{**inputs, "input_ids": masked}, labels=wanted).loss


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round: what helps to tell the sites apart is unlearned."""

    @staticmethod
    def forward(context: Any, vectors: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return vectors.view_as(vectors)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradient, None


class Adversarial(nn.Module):
    """A small classifier learns to tell the texts of two sites apart, and the encoder learns that it cannot
    (domain-adversarial training, Ganin et al. 2016)."""

    RAMP = 200
    """Steps until the encoder feels the whole of it: a classifier that knows nothing only adds noise."""

    def __init__(self, model: Any, *, weight: float) -> None:
        super().__init__()
        self.model = model
        self.weight = weight
        size = int(model.get_embedding_dimension())
        self.own = nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 1))
        self.own.register_buffer("seen", torch.zeros(()))  # kept in checkpoints, as all that is its own

    def forward(self, features: Features, labels: Tensor) -> Tensor:
        seen = self.own.get_buffer("seen").add_(1)
        strength = 2.0 / (1.0 + float(torch.exp(-10.0 * seen / self.RAMP))) - 1.0
        vectors = _Reversed.apply(embed(self.model, features[0]), strength)
        logits = self.own(vectors)[:, 0]
        return self.weight * functional.binary_cross_entropy_with_logits(logits, labels.float())
