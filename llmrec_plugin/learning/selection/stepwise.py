"""Chooses what a site's own events can carry: from popularity up to a head with neighbours, a step at a time.

A step is taken only if it wins on events that nothing was learned from, by more than luck, and if items
that are new do not pay for it. Few events mean a low step, never a worse site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmrec_plugin.evaluation.protocol import Events, amounts_by_user, temporal_cases
from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.scorers.catalogue_scores import constant
from llmrec_plugin.learning.selection.folds import Folds, Selected, Values
from llmrec_plugin.learning.selection.model_config import KINDS, ScorerConfig, likeness, recent_amounts
from llmrec_plugin.learning.selection.transfer import Source, head_from
from llmrec_plugin.learning.selection.trials import (
    BLENDS,
    FROZEN,
    HEADS,
    WHITENED,
    BlendWeights,
    NeighbourScoring,
    Scores,
    TextSettings,
    TrialEvaluator,
)
from llmrec_plugin.types import Matrix, Progress

STEP_CONFIDENCE = 0.9
"""Of each step over the one that stood before."""
CLIMB_CONFIDENCE = 0.995
"""Of the highest step over the lowest: of five steps luck takes one now and then, but hardly one that this
confirms."""
GATE_CONFIDENCE = 0.9
"""Of the highest step over what is served now. Only the lower bounds are asked."""
MIN_CASES = 200
"""Validation events below which no step but the safest is worth a look."""
CASES = 6_000
SCORES = 48_000_000
"""Cases times items that one setting is measured by; a larger catalogue is measured on fewer cases."""
MIN_DRAWN_CASES = 2_000
COLD_KEPT = 0.95
COVERAGE_KEPT = 0.25
"""Of the items that some list shows now. Much that wins shows less, but not the same few to everybody."""
RUNGS = 6


@dataclass(frozen=True, kw_only=True)
class SelectionStep:
    """One rung that was tried."""

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


@dataclass(frozen=True, kw_only=True)
class SelectionResult:
    """What is to be served, and why."""

    setup: ScorerConfig
    steps: tuple[SelectionStep, ...]
    gate: SelectionStep | None = None
    """Whether the highest rung beats what is served now; None: too few events to tell."""
    cases: int = 0
    pointwise: Pointwise | None = None
    """How the scores of `setup` are read as probabilities; None: its weights are not learned, or there are
    too few events."""

    @property
    def name(self) -> str:
        """The highest rung taken; empty when there were too few events to climb."""
        return next((step.name for step in reversed(self.steps) if step.taken), "")


def select_stepwise(
    events: Events,
    vectors: Matrix,
    *,
    incumbent: ScorerConfig,
    train: slice,
    valid: slice,
    rng: np.random.Generator,
    source: Source | None = None,
    progress: Progress | None = None,
) -> SelectionResult:
    """Learn from `train`, choose on `valid`; what comes after is not looked at.

    `vectors`: shape (items, d), unit rows. What is served now, the `incumbent`, stays unless the highest
    rung beats it; its head is learned towards the `source`, if it has one. Only events of users with a past
    are measured: whoever has none, and says nothing of himself, gets popular and new items without any setup.
    """
    most = min(CASES, max(MIN_DRAWN_CASES, SCORES // max(1, len(vectors))))
    drawn = temporal_cases(events.part(slice(0, valid.stop)), valid, rng=rng, most=most)
    cases = [case for case in drawn if case.history]
    if len(cases) < MIN_CASES:
        return SelectionResult(setup=incumbent, steps=(), cases=len(cases))
    trials = TrialEvaluator(
        events=events.part(train),
        cases=cases,
        vectors=vectors,
        folds=Folds.dealt([case.user for case in cases], rng),
        past_amounts=recent_amounts(cases, amounts_by_user(events)),
    )
    climber = _StepwiseSelection(trials, rng, progress or (lambda done, total: None))
    setup = climber.climb()
    fitted = trials.fitted(incumbent)
    if source is not None:
        head = head_from(source, incumbent, trials.events, vectors)
        fitted = replace(fitted, text=likeness(head, vectors, gamma=incumbent.gamma))
    gate = climber.gate(trials.fitted(setup), fitted)
    if gate.reason == "coverage":
        varied = climber.vary(least=COVERAGE_KEPT * trials.coverage(fitted))
        if varied is not None:
            setup = varied
            gate = climber.gate(trials.fitted(setup), fitted)
    served = setup if gate.taken else incumbent
    return SelectionResult(
        setup=served,
        steps=tuple(climber.steps),
        gate=gate,
        cases=len(cases),
        pointwise=trials.pointwise(served),
    )


class _StepwiseSelection:
    """Where the ladder stands."""

    def __init__(self, trials: TrialEvaluator, rng: np.random.Generator, progress: Progress) -> None:
        self.trials = trials
        self.rng = rng
        self.progress = progress
        self.steps: list[SelectionStep] = []
        self.values: Values
        """Per case, of the rung that stands."""
        self.lowest: Values
        self.cold_value = float("nan")
        """Of the frozen vectors among new items; NaN: too few to tell."""
        self.text: Selected[TextSettings]
        self.also: Selected[NeighbourScoring]

    def climb(self) -> ScorerConfig:
        """The setup of the highest rung."""
        popular = self.trials.select(KINDS, lambda kind: constant(self.trials.priors[kind]))
        self.values = self.lowest = popular.honest
        self.steps.append(
            SelectionStep(name="popularity", value=float(self.values.mean()), gain=0.0, low=0.0, taken=True)
        )
        lowest = BlendWeights(0.0, 0.0, 1.0, popular.final)
        self.text = self._climb_text()
        self.also = self.trials.select_also()
        mixture = self._mix(lowest)
        return self._setup(mixture if self._confirmed() else lowest)

    def vary(self, *, least: float) -> ScorerConfig | None:
        """The best mixture of those whose lists together show at least this share of the catalogue, in place
        of the best of all, which shows less; None: there is none, or it is not proven."""
        allowed = self.trials.covering(self.text.final, self.also.final, least=least)
        if not allowed:
            return None
        self.steps[1:] = [
            replace(step, taken=False, reason="coverage") if step.taken else step for step in self.steps[1:]
        ]
        self.values = self.lowest
        rival = self._select(allowed)
        if not self.try_step("varied", rival.honest) or not self._confirmed():
            return None
        return self._setup(rival.final)

    def _confirmed(self) -> bool:
        """Whether the whole climb is beyond doubt; if not, nothing was taken."""
        if self._gain(self.values, self.lowest, confidence=CLIMB_CONFIDENCE).low > 0:
            return True
        self.values = self.lowest
        doubtful = (
            replace(step, taken=False, reason="luck") if step.taken else step for step in self.steps[1:]
        )
        self.steps[1:] = doubtful
        return False

    def gate(self, rival: Scores, served: Scores) -> SelectionStep:
        """The highest rung against what is served now, learned from the same events."""
        trials = self.trials
        gain = self._gain(self.values, trials.measure(served), confidence=GATE_CONFIDENCE)
        alone = self._gain(self.values, np.zeros_like(self.values), confidence=GATE_CONFIDENCE)
        varied = gain.low <= 0 or trials.coverage(rival) >= COVERAGE_KEPT * trials.coverage(served)
        return SelectionStep(
            name="served",
            value=float(self.values.mean()),
            gain=gain.difference,
            low=gain.low,
            high=gain.high,
            interval=(alone.low, alone.high),
            taken=gain.low > 0 and varied,
            reason="" if varied else "coverage",
        )

    def _climb_text(self) -> Selected[TextSettings]:
        """Frozen vectors, then whitened ones, then the best head of the grid.

        A text model may be the better one and still lose to popularity: the mixture gets the better.
        """
        best = self.trials.select(FROZEN, self.trials.text)
        self.cold_value = self.trials.cold_mean(self.trials.text(best.final))
        self.try_step("frozen", best.honest)
        for name, family in (("whitening", WHITENED), ("head", HEADS)):
            rival = self.trials.select(family, self.trials.text)
            self.try_step(name, rival.honest, cold=self.trials.cold_mean(self.trials.text(rival.final)))
            if not self.steps[-1].reason and rival.honest.mean() > best.honest.mean():
                best = rival
        return best

    def _mix(self, lowest: BlendWeights) -> BlendWeights:
        """The neighbours beside the text, then the better prior beside both."""
        taste_only = BlendWeights(1.0, 0.0, 0.0, lowest.kind)
        current = taste_only if any(step.taken for step in self.steps[1:]) else lowest
        unpopular = [mixture for mixture in BLENDS if mixture.popularity == 0]
        for name, allowed in (("neighbours", unpopular), ("prior", BLENDS)):
            rival = self._select(allowed)
            if self.try_step(name, rival.honest):
                current = rival.final
        return current

    def _select(self, allowed: Sequence[BlendWeights]) -> Selected[BlendWeights]:
        """Each chooser mixes the sources that it chose itself."""
        pairs = zip(self.text.picks, self.also.picks, strict=True)
        values = [self.trials.by_mixture(*pair) for pair in pairs]
        return self.trials.folds.select(
            allowed, *(np.stack([one[mixture] for mixture in allowed]) for one in values)
        )

    def _setup(self, mixture: BlendWeights) -> ScorerConfig:
        text, also = self.text.final, self.also.final
        return ScorerConfig(
            weights=self.trials.weights(text, also, mixture),
            gamma=text.gamma,
            head=text.head,
            also=also.neighbours,
            also_gamma=also.gamma,
            popularity=mixture.kind,
        )

    def try_step(self, name: str, values: Values, *, cold: float = float("nan")) -> bool:
        gain = self._gain(values, self.values)
        spares_new = not cold < COLD_KEPT * self.cold_value
        taken = gain.low > 0 and spares_new
        self.steps.append(
            SelectionStep(
                name=name,
                value=float(values.mean()),
                gain=gain.difference,
                low=gain.low,
                high=gain.high,
                taken=taken,
                reason="" if spares_new else "new-items",
            )
        )
        if taken:
            self.values = values
        self.progress(min(len(self.steps), RUNGS), RUNGS)
        return taken

    def _gain(
        self, values: Values, other: Values, *, confidence: float = STEP_CONFIDENCE
    ) -> PairedDifference:
        """Users are drawn whole: the events of one are no independent evidence."""
        users = [case.user for case in self.trials.cases]
        return paired_bootstrap(values, other, rng=self.rng, groups=users, confidence=confidence)
