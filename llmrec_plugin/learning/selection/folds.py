"""Chooses among settings so that luck is not taken for merit, and the events of every user count.

The best of many settings looks better than it is on the cases that it was chosen by. So users are dealt
into folds: for each fold settings are chosen by the users of the others, and only then measured on it.
Together the folds give one honest value per case of *choosing like that*; what is served is chosen by all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

FOLDS = 4
CHOOSERS = FOLDS + 1
"""For each fold the users of the others, and at last all of them."""

Values = NDArray[np.float64]
Setting = TypeVar("Setting")


@dataclass(frozen=True, eq=False)
class Selected(Generic[Setting]):
    """Holds what was chosen out of one family of settings."""

    picks: Sequence[Setting]
    """By chooser."""
    honest: Values
    """Per case, of what was chosen without its user."""

    @property
    def final(self) -> Setting:
        """Return what all cases together choose."""
        return self.picks[-1]


@dataclass(frozen=True, eq=False)
class Folds:
    """Holds the fold that each case belongs to; cases of one user stay together."""

    numbers: NDArray[np.int64]

    @classmethod
    def dealt(cls, users: Sequence[int], rng: np.random.Generator) -> Folds:
        """Deal the users into folds; `users`: of each case."""
        names, places = np.unique(users, return_inverse=True)
        return cls((rng.permutation(len(names)) % FOLDS)[places])

    def select(self, settings: Sequence[Setting], *values: Values) -> Selected[Setting]:
        """Let each chooser take what is best on its cases, of equals the first.

        `values`: shape (settings, cases), one for all choosers or one for each.
        """
        by_chooser = values * CHOOSERS if len(values) == 1 else values
        picks: list[Setting] = []
        honest = np.empty(len(self.numbers))
        for number, found in enumerate(by_chooser):
            held = self.numbers == number
            best = int(found[:, ~held].mean(axis=1).argmax())
            picks.append(settings[best])
            honest[held] = found[best, held]
        return Selected(picks, honest)
