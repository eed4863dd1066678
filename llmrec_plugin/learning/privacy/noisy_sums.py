"""Sums up what a site's events say when nobody can tell from it whether any one user was among them.

Each user adds a bounded amount to two sums, whatever they did and however often; noise of the size of one
user is added once. Everything after that, the regression included, costs no further privacy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.scorers.projection_head import (
    TARGETS_PER_USER,
    Head,
    HeadSums,
    fit_head,
    user_states,
)
from llmrec_plugin.learning.scorers.whitening import Whitening
from llmrec_plugin.types import Matrix

HEAD_SHARE = 0.9
"""Of the squared budget; the rest is for popularity, which needs little."""
GAMMA, MIX = 0.8, 1.0
"""Fixed, so that no setting tells of the events it was chosen by."""
SUM_BOUND = 3.0**0.5
"""How far one user moves the head's sums: two products of unit vectors, and one for being counted."""
ITEMS_PER_USER = 20
CERTAIN = 2.0
"""Standard deviations of noise that a count or a length must exceed to be told from none."""
MIN_RIDGE = 1e-2
MIN_SIGNAL = 1e-3


def private_head(
    histories: Sequence[Sequence[int]],
    whitened: Matrix,
    whitening: Whitening,
    *,
    mu: float,
    rng: np.random.Generator,
) -> Head:
    """Return the head of `projection_head` from mu-GDP sums.

    `whitened`: shape (items, d). The ridge is as strong as the noise in any direction, 2 sigma sqrt(d): where
    users say less than the noise, the whitening stands.
    """
    sigma = SUM_BOUND / mu
    sums = _noisy(_bounded(histories, whitened, rng), sigma, rng)
    ridge = max(MIN_RIDGE, 2 * sigma * whitened.shape[1] ** 0.5 / sums.examples)
    mix = MIX / max(MIN_SIGNAL, _signal(sums, ridge, sigma))
    return fit_head(sums, whitening, gamma=GAMMA, ridge=ridge, mix=mix)


def _signal(sums: HeadSums, ridge: float, sigma: float) -> float:
    """Return how much of the regression's length, 0..1, is more than what the noise of `outputs` alone would
    give: the head is brought to one length, so noise would count as much as knowledge."""
    inverse = np.linalg.inv(sums.inputs + ridge * sums.examples * np.eye(len(sums.inputs)))
    whole = float(np.square(inverse @ sums.outputs).sum())
    usual = sigma**2 * len(inverse) * float(np.square(inverse).sum())
    noise = usual * (1 + CERTAIN * 2**0.5 / len(inverse))
    return max(0.0, 1.0 - noise / whole) ** 0.5 if whole > 0 else 0.0


def _bounded(histories: Sequence[Sequence[int]], whitened: Matrix, rng: np.random.Generator) -> HeadSums:
    """Return the mean over the targets of each user, added up: nobody says more than anybody else."""
    dimensions = whitened.shape[1]
    inputs, outputs = np.zeros((dimensions, dimensions)), np.zeros((dimensions, dimensions))
    users = 0
    for history in histories:
        if len(history) < 2:
            continue
        rows = whitened[list(history)]
        places = np.arange(1, len(history))
        if len(places) > TARGETS_PER_USER:
            places = rng.choice(places, size=TARGETS_PER_USER, replace=False)
        x, y = user_states(rows, gamma=GAMMA)[places - 1], rows[places]
        inputs += x.T @ x / len(places)
        outputs += x.T @ y / len(places)
        users += 1
    return HeadSums(inputs=inputs, outputs=outputs, examples=users)


def _noisy(sums: HeadSums, sigma: float, rng: np.random.Generator) -> HeadSums:
    """Return the sums with Gaussian noise on every number; a negative direction, which no sum of squares has,
    is cut off."""
    shape = sums.inputs.shape
    inputs = sums.inputs + rng.normal(scale=sigma, size=shape)
    values, directions = np.linalg.eigh((inputs + inputs.T) / 2)
    return HeadSums(
        inputs=(directions * values.clip(min=0.0)) @ directions.T,
        outputs=sums.outputs + rng.normal(scale=sigma, size=shape),
        examples=max(1, round(sums.examples + float(rng.normal(scale=sigma)))),
    )


def private_counts(
    users: NDArray[np.int64], items: NDArray[np.int64], size: int, *, mu: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return users by item, shape (size,), mu-GDP: of each user up to ITEMS_PER_USER items, drawn. What is
    not clearly above the noise counts 0."""
    pairs = rng.permutation(np.unique(users * size + items))
    pairs = pairs[np.argsort(pairs // size, kind="stable")]  # by user, in the order drawn
    _, firsts, of_user = np.unique(pairs // size, return_index=True, return_inverse=True)
    place = np.arange(len(pairs)) - firsts[of_user]
    wanted = pairs[place < ITEMS_PER_USER] % size
    counts = np.bincount(wanted, minlength=size).astype(np.float64)
    sigma = ITEMS_PER_USER**0.5 / mu
    counts += rng.normal(scale=sigma, size=size)
    counts[counts < CERTAIN * sigma] = 0.0
    return counts
