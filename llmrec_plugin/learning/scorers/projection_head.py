"""Says what a site's own events say about whose taste leads to what: one matrix on the user's side.

The vectors of the items stay as the encoder made them, so that a new head needs no new index and search
by words cannot suffer. A closed form of ridge regression from the history of a user to what they took next;
without events it is the whitening of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector
from llmrec_plugin.learning.scorers.whitening import Whitening
from llmrec_plugin.types import Matrix, Vector

TARGETS_PER_USER = 20
HISTORY = 50


@dataclass(frozen=True, eq=False)
class Head:
    """Turns a history into u = unit(sum_j weight_j * w_j @ adapted), compared with raw item vectors by dot
    product."""

    whitening: Whitening
    adapted: Matrix
    """Shape (d, d): (R + mix * I) @ whitening.matrix, from whitened history to the space of the items."""
    gamma: float
    """Weight of a past item relative to the next younger one, 0..1."""

    def directions(self, vectors: Matrix) -> Matrix:
        """Return what each past item, shape (n, d), adds to a user's vector, before weights and length."""
        turned: Matrix = self.whitening.apply(vectors) @ self.adapted
        return turned


@dataclass(frozen=True, eq=False)
class HeadSums:
    """Holds all that the head needs to know of the events; sums of several sites or devices may be added."""

    inputs: NDArray[np.float64]
    """Shape (d, d): sum of weight * x x^T over examples, x the whitened history."""
    outputs: NDArray[np.float64]
    """Shape (d, d): sum of weight * x y^T, y the whitened target."""
    examples: int

    def __add__(self, other: HeadSums) -> HeadSums:
        return HeadSums(
            inputs=self.inputs + other.inputs,
            outputs=self.outputs + other.outputs,
            examples=self.examples + other.examples,
        )


def identity_head(whitening: Whitening, *, gamma: float) -> Head:
    """Return the head of a site without events: the mean of the whitened history."""
    return Head(whitening=whitening, adapted=whitening.matrix, gamma=gamma)


def collect(
    histories: Sequence[Sequence[int]],
    whitened: Matrix,
    amounts: Sequence[Sequence[float]] | None = None,
    *,
    gamma: float,
    rng: np.random.Generator,
    targets_per_user: int = TARGETS_PER_USER,
) -> HeadSums:
    """Return the sums over `histories`: per user the row numbers of their items in `whitened`, oldest first.

    Each item but the first is a target and what came before it the input, where each item counts its
    amount (None: all alike) faded by `gamma`. A user with many events has
    up to `targets_per_user` of them drawn, and weighs as the square root of their number.
    """
    if not 0.0 < gamma <= 1.0:
        raise ConfigurationError(
            f"The weight of the next older item must be above 0 and at most 1, not {gamma}."
        )
    dimensions = whitened.shape[1]
    inputs = np.zeros((dimensions, dimensions))
    outputs = np.zeros((dimensions, dimensions))
    examples = 0
    rows: list[Vector] = []
    targets: list[Vector] = []

    def add() -> None:
        x, y = np.asarray(rows, dtype=np.float64), np.asarray(targets, dtype=np.float64)
        np.add(inputs, x.T @ x, out=inputs)
        np.add(outputs, x.T @ y, out=outputs)
        rows.clear()
        targets.clear()

    for number, history in enumerate(histories):
        if len(history) < 2:
            continue
        past = whitened[list(history)]
        if amounts is not None:
            past = past * np.asarray(amounts[number], dtype=past.dtype)[:, None]
        states = user_states(past, gamma=gamma)
        places = np.arange(1, len(history))
        if len(places) > targets_per_user:
            places = rng.choice(places, size=targets_per_user, replace=False)
        weight = len(places) ** -0.25  # squared in the products: n^-.5 for each, n^.5 for the user
        for place in places.tolist():
            rows.append(states[place - 1] * weight)
            targets.append(whitened[history[place]] * weight)
        examples += len(places)
        if len(rows) >= 4096:
            add()
    if rows:
        add()
    return HeadSums(inputs=inputs, outputs=outputs, examples=examples)


def user_states(rows: Matrix, *, gamma: float) -> Matrix:
    """Return unit states after each item, shape (n, d): u <- gamma * u + w, a recurrence that can go on."""
    states = np.empty_like(rows)
    state = np.zeros(rows.shape[1], dtype=rows.dtype)
    for place, row in enumerate(rows):
        state = gamma * state + row
        length = float(np.linalg.norm(state))
        states[place] = state / length if length > 0 else state
    return states


def fit_head(sums: HeadSums, whitening: Whitening, *, gamma: float, ridge: float, mix: float) -> Head:
    """Fit by ridge regression from history to target: R = (Sxx + ridge * n * I)^-1 Sxy, scaled to the
    Frobenius norm sqrt(d) of the identity, plus `mix` times the identity.

    `ridge` is relative to the number of examples. Raises InvalidVector where the sums are not finite.
    """
    if not (ridge > 0 and mix >= 0):
        raise ConfigurationError(
            f"A head needs a ridge above 0 and a mix of at least 0, not {ridge} and {mix}."
        )
    if not (np.isfinite(sums.inputs).all() and np.isfinite(sums.outputs).all()):
        raise InvalidVector("The sums of the head are not finite; check the encoder.")
    dimensions = len(sums.inputs)
    identity = np.eye(dimensions)
    if sums.examples == 0:
        return identity_head(whitening, gamma=gamma)
    learned = np.linalg.solve(sums.inputs + ridge * sums.examples * identity, sums.outputs)
    size = float(np.linalg.norm(learned))
    learned *= dimensions**0.5 / size if size > 0 else 0.0
    adapted = (learned + mix * identity) @ whitening.matrix.astype(np.float64)
    return Head(whitening=whitening, adapted=adapted.astype(np.float32), gamma=gamma)
