"""Carries over what another site's events say of this one's: its map from taste to next item, held until own
events know better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.scorers.projection_head import Head, HeadSums
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.model_config import HeadConfig, ScorerConfig, head_sums
from llmrec_plugin.types import Matrix

RIDGE = 1e-3
"""Of a config that names none."""


@dataclass(frozen=True, eq=False)
class Source:
    """Holds the map of a head that was learned elsewhere, with the same encoder."""

    map: Matrix
    """Shape (d, d): from whitened history to whitened next item, of Frobenius norm sqrt(d). The whitening is
    each site's own: what a catalogue shares differs, what leads to what is what is carried over."""
    weight: float
    """How many of the own events it counts as much as."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ConfigurationError(f"The weight of a source must be above 0, not {self.weight}.")


def map_of(head: Head, *, mix: float) -> Matrix:
    """Return the learned part of a head: without the whitening behind it and the identity mixed into it."""
    whole = head.adapted.astype(np.float64) @ np.linalg.inv(head.whitening.matrix.astype(np.float64))
    return _normed(whole - mix * np.eye(len(whole))).astype(np.float32)


def fit_from(
    sums: HeadSums, whitening: Whitening, source: Source, *, gamma: float, ridge: float, mix: float
) -> Head:
    """Fit a head like `fit_head`, towards the map of the source instead of towards nothing.

    The source counts as `weight` examples without a preferred direction. Its size comes from the own
    examples: rho minimises the sum of |y - rho * x @ map|^2.
    """
    dimensions = len(source.map)
    known = source.map.astype(np.float64)
    learned: NDArray[Any] = known
    if sums.examples:
        explained = float((known * (sums.inputs @ known)).sum())
        size = max(float((known * sums.outputs).sum()) / explained, 0.0) if explained > 0 else 0.0
        amount = source.weight / dimensions
        learned = np.linalg.solve(
            sums.inputs + (ridge * sums.examples + amount) * np.eye(dimensions),
            sums.outputs + amount * size * known,
        )
    adapted = (_normed(learned) + mix * np.eye(dimensions)) @ whitening.matrix.astype(np.float64)
    return Head(whitening=whitening, adapted=adapted.astype(np.float32), gamma=gamma)


def head_from(source: Source, config: ScorerConfig, events: Events, vectors: Matrix) -> Head:
    """Return the head of a config, from the source and all events given; without any, the source alone
    answers."""
    whitening = fit_whitening(vectors)
    head = config.head or HeadConfig()
    return fit_from(
        head_sums(events, whitening.apply(vectors), gamma=config.gamma),
        whitening,
        source,
        gamma=config.gamma,
        ridge=head.ridge or RIDGE,
        mix=head.mix,
    )


def _normed(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale it to the Frobenius norm sqrt(d) of the identity; nothing stays nothing."""
    size = float(np.linalg.norm(matrix))
    normed: NDArray[np.float64] = matrix * (len(matrix) ** 0.5 / size) if size > 0 else matrix
    return normed
