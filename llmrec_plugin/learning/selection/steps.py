"""Says what a step of the ladder gains over what stood before, and keeps those that win by more than luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.types import Progress

STEP_CONFIDENCE = 0.9
"""Of each step over the one that stood before."""
CLIMB_CONFIDENCE = 0.995
"""Of the highest step over the lowest: of five steps luck takes one now and then, but hardly one that this
confirms."""
RUNGS = 6


@dataclass(frozen=True, kw_only=True)
class SelectionStep:
    """Holds one rung that was tried."""

    name: str
    value: float
    """NDCG@10 on the validation events, of settings chosen by other users than those measured."""
    gain: float
    low: float
    """Lower bound of the paired gain over the rung that stood before."""
    taken: bool
    high: float = 0.0
    """Upper bound of the same."""
    interval: tuple[float, float] | None = None
    """Of `value`, by the same luck of which users there are; None: not asked for."""
    reason: str = ""
    """Why it was not taken although it won: "new-items" when these, among themselves, are ranked worse,
    "luck" when the whole climb does not clearly beat its lowest step, "coverage" when lists would show too
    few different items (what shows enough of them is tried next, as "varied")."""


@dataclass(frozen=True, eq=False)
class Comparer:
    """Compares two settings case by case."""

    users: Sequence[int]
    """The user of each case: users are drawn whole, as the events of one are no independent evidence."""
    rng: np.random.Generator

    def gain(self, values: Values, other: Values, *, confidence: float = STEP_CONFIDENCE) -> PairedDifference:
        """Return what the values per case gain over the other ones, with its interval."""
        return paired_bootstrap(values, other, rng=self.rng, groups=self.users, confidence=confidence)


@dataclass(frozen=True, eq=False)
class Climb:
    """Holds the steps that were tried so far, and what stands."""

    steps: tuple[SelectionStep, ...]
    """The lowest, which always stands, first."""
    values: Values
    """NDCG@10 per case, of the highest step taken."""
    lowest: Values
    """The same of the lowest step."""

    @classmethod
    def begin(cls, name: str, values: Values) -> Climb:
        """Return a climb that stands on its lowest step."""
        step = SelectionStep(name=name, value=float(values.mean()), gain=0.0, low=0.0, taken=True)
        return cls((step,), values, values)

    @property
    def stands_higher(self) -> bool:
        """Return whether any step above the lowest is taken."""
        return any(step.taken for step in self.steps[1:])

    def tried(
        self, name: str, values: Values, comparer: Comparer, *, spares_new: bool = True, progress: Progress
    ) -> Climb:
        """Return this climb with one more step, which is taken if it wins by more than luck, and not at the
        cost of new items."""
        gain = comparer.gain(values, self.values)
        step = SelectionStep(
            name=name,
            value=float(values.mean()),
            gain=gain.difference,
            low=gain.low,
            high=gain.high,
            taken=gain.low > 0 and spares_new,
            reason="" if spares_new else "new-items",
        )
        climb = replace(self, steps=(*self.steps, step), values=values if step.taken else self.values)
        progress(min(len(climb.steps), RUNGS), RUNGS)
        return climb

    def confirmed(self, comparer: Comparer) -> Climb:
        """Return this climb if it is beyond doubt as a whole; if not, it is back on its lowest step."""
        gain = comparer.gain(self.values, self.lowest, confidence=CLIMB_CONFIDENCE)
        return self if gain.low > 0 else self.taken_back("luck")

    def taken_back(self, reason: str) -> Climb:
        """Return this climb with no step but the lowest taken, for the reason given."""
        lowest, *higher = self.steps
        refused = (replace(step, taken=False, reason=reason) if step.taken else step for step in higher)
        return replace(self, steps=(lowest, *refused), values=self.lowest)
