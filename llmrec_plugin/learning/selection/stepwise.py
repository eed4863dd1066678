"""Chooses what a site's own events can carry: from popularity up to a head with neighbours, a step at a time.

A step is taken only if it wins on events that nothing was learned from, by more than luck, and if items
that are new do not pay for it. Few events mean a low step, never a worse site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from llmrec_plugin.evaluation.protocol import Case, Events, amounts_by_user, temporal_cases
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.scorers.catalogue_scores import constant
from llmrec_plugin.learning.selection.blends import BLENDS, BlendWeights
from llmrec_plugin.learning.selection.case_metrics import CaseMetrics, Scores
from llmrec_plugin.learning.selection.fits import FitCache, TextConfig
from llmrec_plugin.learning.selection.folds import Folds, Selected, Values
from llmrec_plugin.learning.selection.model_config import KINDS, ScorerConfig, likeness, recent_amounts
from llmrec_plugin.learning.selection.steps import Climb, Comparer, SelectionStep
from llmrec_plugin.learning.selection.transfer import Source, head_from
from llmrec_plugin.learning.selection.trials import (
    FROZEN,
    HEADS,
    WHITENED,
    SelectedSources,
    TrialEvaluator,
)
from llmrec_plugin.types import Matrix, Progress

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


@dataclass(frozen=True, kw_only=True)
class SelectionResult:
    """Holds what is to be served, and why."""

    config: ScorerConfig
    steps: tuple[SelectionStep, ...]
    gate: SelectionStep | None = None
    """Whether the highest rung beats what is served now; None: too few events to tell."""
    cases: int = 0
    pointwise: Pointwise | None = None
    """How the scores of `config` are read as probabilities; None: its weights are not learned, or there are
    too few events."""

    @property
    def name(self) -> str:
        """Return the highest rung taken; empty when there were too few events to climb."""
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
    are measured: whoever has none, and says nothing of themselves, gets popular and new items whatever is
    chosen.
    """
    cases = _drawn_cases(events.part(slice(0, valid.stop)), valid, rng, items=len(vectors))
    if len(cases) < MIN_CASES:
        return SelectionResult(config=incumbent, steps=(), cases=len(cases))
    trials = TrialEvaluator.of(
        events.part(train),
        cases,
        vectors,
        folds=Folds.dealt([case.user for case in cases], rng),
        past_amounts=recent_amounts(cases, amounts_by_user(events)),
    )
    ladder = Ladder(trials, Comparer(trials.metrics.users, rng), progress or (lambda done, total: None))
    served = _served(trials.fits, incumbent, source)
    found = ladder.climb()
    gate = gate_of(
        found.climb.values, trials.fits.fitted(found.config), served, trials.metrics, ladder.comparer
    )
    if gate.reason == "coverage":
        least = COVERAGE_KEPT * trials.metrics.coverage(served)
        found, proven = ladder.vary(found, least=least)
        if proven:
            rival = trials.fits.fitted(found.config)
            gate = gate_of(found.climb.values, rival, served, trials.metrics, ladder.comparer)
    config = found.config if gate.taken else incumbent
    return SelectionResult(
        config=config,
        steps=found.climb.steps,
        gate=gate,
        cases=len(cases),
        pointwise=trials.pointwise(config),
    )


def _drawn_cases(events: Events, valid: slice, rng: np.random.Generator, *, items: int) -> list[Case]:
    """Return the cases with a history; of many, as many as their scores leave room for."""
    most = min(CASES, max(MIN_DRAWN_CASES, SCORES // max(1, items)))
    return [case for case in temporal_cases(events, valid, rng=rng, most=most) if case.history]


def _served(fits: FitCache, incumbent: ScorerConfig, source: Source | None) -> Scores:
    """Return the scores of what is served now, learned from the same events as its rivals."""
    fitted = fits.fitted(incumbent)
    if source is None:
        return fitted
    head = head_from(source, incumbent, fits.events, fits.vectors)
    return replace(fitted, text=likeness(head, fits.vectors, gamma=incumbent.gamma))


@dataclass(frozen=True, eq=False)
class Ascent:
    """Holds what a ladder came to: its steps, the sources that were chosen, and the config of the highest
    step."""

    climb: Climb
    sources: SelectedSources
    config: ScorerConfig


@dataclass(frozen=True, eq=False)
class Ladder:
    """Tries one step after the other on the same cases."""

    trials: TrialEvaluator
    comparer: Comparer
    progress: Progress

    def climb(self) -> Ascent:
        """Return the highest rung that is beyond doubt."""
        priors = self.trials.fits.priors
        popular = self.trials.select(KINDS, lambda kind: constant(priors[kind]))
        lowest = BlendWeights(0.0, 0.0, 1.0, popular.final)
        climb, text = self._try_texts(Climb.begin("popularity", popular.honest))
        sources = SelectedSources(text, self.trials.select_neighbours())
        climb, blend = self._try_blends(climb, sources, lowest)
        climb = climb.confirmed(self.comparer)
        config = self.trials.config(sources.final, blend if climb.stands_higher else lowest)
        return Ascent(climb, sources, config)

    def _try_texts(self, climb: Climb) -> tuple[Climb, Selected[TextConfig]]:
        """Try frozen vectors, then whitened ones, then the best head of the grid.

        A text model may be the better one and still lose to popularity: the blend gets the better.
        """
        fits, metrics = self.trials.fits, self.trials.metrics
        best = self.trials.select(FROZEN, fits.text)
        frozen_cold = metrics.cold_mean(fits.text(best.final))
        climb = self.tried(climb, "frozen", best.honest)
        for name, family in (("whitening", WHITENED), ("head", HEADS)):
            rival = self.trials.select(family, fits.text)
            spares_new = is_spared(metrics.cold_mean(fits.text(rival.final)), frozen_cold)
            climb = self.tried(climb, name, rival.honest, spares_new=spares_new)
            if spares_new and rival.honest.mean() > best.honest.mean():
                best = rival
        return climb, best

    def _try_blends(
        self, climb: Climb, sources: SelectedSources, lowest: BlendWeights
    ) -> tuple[Climb, BlendWeights]:
        """Try the neighbours beside the text, then the better prior beside both."""
        blend = BlendWeights(1.0, 0.0, 0.0, lowest.kind) if climb.stands_higher else lowest
        unpopular = [one for one in BLENDS if one.popularity == 0]
        for name, allowed in (("neighbours", unpopular), ("prior", BLENDS)):
            rival = self.trials.select_blend(sources, allowed)
            climb = self.tried(climb, name, rival.honest)
            if climb.steps[-1].taken:
                blend = rival.final
        return climb, blend

    def vary(self, found: Ascent, *, least: float) -> tuple[Ascent, bool]:
        """Try the best blend of those whose lists together show at least this share of the catalogue.

        It takes the place of the best of all, which shows less. Returns the ascent after it, and whether
        there is such a blend and it is proven.
        """
        allowed = self.trials.blends.covering(found.sources.final, least=least)
        if not allowed:
            return found, False
        rival = self.trials.select_blend(found.sources, allowed)
        climb = self.tried(found.climb.taken_back("coverage"), "varied", rival.honest)
        if climb.stands_higher:
            climb = climb.confirmed(self.comparer)
        if not climb.stands_higher:
            return replace(found, climb=climb), False
        return Ascent(climb, found.sources, self.trials.config(found.sources.final, rival.final)), True

    def tried(self, climb: Climb, name: str, values: Values, *, spares_new: bool = True) -> Climb:
        """Return the climb with one more step."""
        return climb.tried(name, values, self.comparer, spares_new=spares_new, progress=self.progress)


def is_spared(cold: float, frozen_cold: float) -> bool:
    """Return whether new items are ranked nearly as well as by the frozen vectors; NaN, too few of them to
    tell, speaks neither for nor against."""
    return not cold < COLD_KEPT * frozen_cold


def gate_of(
    values: Values, rival: Scores, served: Scores, metrics: CaseMetrics, comparer: Comparer
) -> SelectionStep:
    """Return the highest rung, whose `values` per case are given, against what is served now."""
    gain = comparer.gain(values, metrics.ndcg(served), confidence=GATE_CONFIDENCE)
    alone = comparer.gain(values, np.zeros_like(values), confidence=GATE_CONFIDENCE)
    varied = gain.low <= 0 or metrics.coverage(rival) >= COVERAGE_KEPT * metrics.coverage(served)
    return SelectionStep(
        name="served",
        value=float(values.mean()),
        gain=gain.difference,
        low=gain.low,
        high=gain.high,
        interval=(alone.low, alone.high),
        taken=gain.low > 0 and varied,
        reason="" if varied else "coverage",
    )
