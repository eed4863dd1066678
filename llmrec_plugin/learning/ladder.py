"""Chooses what a site's own events can carry: from popularity up to a head with neighbours, a step at a time.

A step is taken only if it wins on events that nothing was learned from, by more than luck, and if items
that are new do not pay for it. Few events mean a low step, never a worse site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import BATCH, Case, Events, expected_ranks, histories, temporal_cases
from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.learning.head import HISTORY, Head, collect, fit_head, identity_head
from llmrec_plugin.learning.neighbours import fit_neighbours, taken
from llmrec_plugin.learning.prior import popularity_prior
from llmrec_plugin.learning.scoring import Collaborative, Histories, Linear, Shares, constant, scaled
from llmrec_plugin.learning.whitening import Whitening, fit_whitening
from llmrec_plugin.types import Matrix, Progress

METRIC = "NDCG@10"
CONFIDENCE = 0.98
"""Of each step; five of them are tried, so that luck takes one in a twentieth of all trainings at most."""
LEAST_CASES = 200
"""Validation events below which no step but the safest is worth a look."""
CASES = 3_000
COLD_KEPT = 0.95
LEAST_COLD = 20
SEED = 0
RUNGS = 6
GAMMAS = (0.6, 0.8, 1.0)
RIDGES = (1e-4, 1e-3, 1e-2)
MIXES = (0.3, 1.0, 3.0)

SHARES = tuple(
    Shares(taste=taste / 10, also=also / 10, popularity=(10 - taste - also) / 10)
    for taste, also in product(range(11), repeat=2)
    if taste + also <= 10
)


Popularity: TypeAlias = Literal["all-time", "recent"]
KINDS: tuple[Popularity, ...] = ("all-time", "recent")
RECENT_SHARE = 0.1
"""The latest events that recent popularity counts."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rung that was tried."""

    name: str
    value: float
    """NDCG@10 on the validation events."""
    gain: float
    low: float
    """Lower bound of the paired gain over the rung that stood before."""
    taken: bool
    reason: str = ""
    """Why it was not taken although it won: "new-items" when these, among themselves, are ranked worse."""


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """How a head is fitted."""

    ridge: float | None = None
    """None: the whitening alone, nothing is learned from events."""
    mix: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that decides an order, apart from what is fitted."""

    shares: Shares
    gamma: float = 1.0
    """What a past item counts of what the next younger one does."""
    head: HeadSettings | None = None
    """None: likeness by the frozen vectors."""
    popularity: Popularity = "all-time"
    """Which events an item is called popular for."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be served, and why."""

    setup: Setup
    steps: tuple[Step, ...]
    gate: Step | None = None
    """Whether the highest rung beats what is served now; None: too few events to tell."""
    cases: int = 0

    @property
    def name(self) -> str:
        """The highest rung taken; empty when there were too few events to climb."""
        return next((step.name for step in reversed(self.steps) if step.taken), "")


def fit_text(setup: Setup, events: Events, vectors: Matrix) -> Head | None:
    """The head of this setup from all events given, None where it has none; the same events give the same
    head."""
    if setup.head is None:
        return None
    whitening = fit_whitening(vectors)
    if setup.head.ridge is None:
        return identity_head(whitening, gamma=setup.gamma)
    sums = collect(
        histories(events), whitening.apply(vectors), gamma=setup.gamma, rng=np.random.default_rng(SEED)
    )
    return fit_head(sums, whitening, gamma=setup.gamma, ridge=setup.head.ridge, mix=setup.head.mix)


def likeness(head: Head | None, vectors: Matrix, *, gamma: float) -> Linear:
    """Scores by the texts alone, as the head turns them."""
    return Linear(vectors if head is None else head.directions(vectors), vectors, gamma)


Text: TypeAlias = Callable[[Histories], Matrix]
Mixture: TypeAlias = tuple[Shares, Popularity]


@dataclass(eq=False)
class _Climb:
    """Where the ladder stands."""

    events: Events
    cases: Sequence[Case]
    vectors: Matrix
    whitening: Whitening
    neighbours: Collaborative
    priors: dict[Popularity, NDArray[np.float32]]
    cold: NDArray[np.bool_]
    rng: np.random.Generator
    values: NDArray[np.float64]
    """Per case, of the rung that stands."""
    chooses: NDArray[np.bool_]
    """Cases that settings are chosen by; the others, of other users, say whether the best of them wins.
    The best of many settings looks better than it is on the cases that it was chosen by."""
    cold_value: float
    """Of the frozen vectors among new items; NaN: too few to tell."""
    steps: list[Step]

    def measure(self, score: Text, *, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """NDCG@10 per case."""
        ranks = [expected_ranks(score(recent(batch)), batch, among=among) for batch in self.batches()]
        return accuracy(np.concatenate(ranks))[METRIC]

    def by_mixture(self, text: Text, wanted: Sequence[Mixture]) -> dict[Mixture, NDArray[np.float64]]:
        """NDCG@10 per case, for each mixture; a batch of cases is scored once for all of them."""
        found: dict[Mixture, list[NDArray[np.float64]]] = {mixture: [] for mixture in wanted}
        for batch in self.batches():
            history = recent(batch)
            likes, also = text(history), self.neighbours(history)
            sources = {kind: scaled(likes, also, prior) for kind, prior in self.priors.items()}
            for (shares, kind), parts in found.items():
                parts.append(accuracy(expected_ranks(sources[kind].fused(shares), batch))[METRIC])
        return {mixture: np.concatenate(parts) for mixture, parts in found.items()}

    def batches(self) -> Iterator[Sequence[Case]]:
        for start in range(0, len(self.cases), BATCH):
            yield self.cases[start : start + BATCH]

    def cold_mean(self, score: Text) -> float:
        values = self.measure(score, among=self.cold)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) >= LEAST_COLD else float("nan")

    def worth(self, values: NDArray[np.float64]) -> float:
        """What settings are chosen by."""
        return float(values[self.chooses].mean())

    def gain(self, values: NDArray[np.float64], other: NDArray[np.float64]) -> PairedDifference:
        """Users are drawn whole: the events of one are no independent evidence."""
        confirms = ~self.chooses
        users = [case.user for case, confirming in zip(self.cases, confirms, strict=True) if confirming]
        return paired_bootstrap(
            values[confirms], other[confirms], rng=self.rng, groups=users, confidence=CONFIDENCE
        )

    def try_step(self, name: str, values: NDArray[np.float64], *, cold: float = float("nan")) -> bool:
        gain = self.gain(values, self.values)
        spares_new = not cold < COLD_KEPT * self.cold_value
        taken = gain.low > 0 and spares_new
        self.steps.append(
            Step(
                name=name,
                value=float(values.mean()),
                gain=gain.difference,
                low=gain.low,
                taken=taken,
                reason="" if spares_new else "new-items",
            )
        )
        if taken:
            self.values = values
        return taken


def recent(cases: Sequence[Case]) -> list[tuple[int, ...]]:
    """The part of each history that a user's state is made of."""
    return [case.history[-HISTORY:] for case in cases]


def climb(
    events: Events,
    vectors: Matrix,
    *,
    incumbent: Setup,
    train: slice,
    valid: slice,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Choice:
    """Learn from `train`, choose on `valid`; what comes after is not looked at.

    `vectors`: shape (items, d), unit rows. What is served now, the `incumbent`, stays unless the highest
    rung beats it.
    """
    learned = events.part(train)
    cases = temporal_cases(events.part(slice(0, valid.stop)), valid, rng=rng, most=CASES)
    if len(cases) < LEAST_CASES:
        return Choice(setup=incumbent, steps=(), cases=len(cases))
    priors = {kind: popularity_prior(counted(learned.items, kind, len(vectors))) for kind in KINDS}
    matrix = taken(learned.users, learned.items, catalogue=len(vectors))
    state = _Climb(
        events=learned,
        cases=cases,
        vectors=vectors,
        whitening=fit_whitening(vectors),
        neighbours=Collaborative(fit_neighbours(matrix)[0]),
        priors=priors,
        cold=np.bincount(learned.items, minlength=len(vectors)) == 0,
        rng=rng,
        values=np.empty(0),
        chooses=_half_of_users(cases, rng),
        cold_value=float("nan"),
        steps=[],
    )
    by_kind = {kind: state.measure(constant(prior)) for kind, prior in state.priors.items()}
    popularity = max(KINDS, key=lambda kind: state.worth(by_kind[kind]))
    state.values = by_kind[popularity]
    lowest = Step(name="popularity", value=float(state.values.mean()), gain=0.0, low=0.0, taken=True)
    state.steps.append(lowest)
    settings, text = _climb_text(state, progress)
    shares, popularity = _climb_shares(state, text, popularity)
    setup = Setup(head=settings, gamma=text.gamma, shares=shares, popularity=popularity)
    gate = _gate(state, incumbent)
    return Choice(
        setup=setup if gate.taken else incumbent, steps=tuple(state.steps), gate=gate, cases=len(cases)
    )


def _gate(state: _Climb, incumbent: Setup) -> Step:
    """The highest rung against what is served now, fitted on the same events."""
    head = fit_text(incumbent, state.events, state.vectors)
    text = likeness(head, state.vectors, gamma=incumbent.gamma)
    mixture = incumbent.shares, incumbent.popularity
    gain = state.gain(state.values, state.by_mixture(text, [mixture])[mixture])
    return Step(
        name="served",
        value=float(state.values.mean()),
        gain=gain.difference,
        low=gain.low,
        taken=gain.low > 0,
    )


def _half_of_users(cases: Sequence[Case], rng: np.random.Generator) -> NDArray[np.bool_]:
    users = list(dict.fromkeys(case.user for case in cases))
    half = {users[place] for place in rng.permutation(len(users))[::2].tolist()}
    return np.array([case.user in half for case in cases], np.bool_)


def _climb_text(state: _Climb, progress: Progress | None) -> tuple[HeadSettings | None, Linear]:
    """Frozen vectors, then whitened ones, then the best head of the grid.

    A text model may be the better one and still lose to popularity: the fusion gets the better.
    """
    best, settings, text = _best_of(state, ((None, None, gamma) for gamma in GAMMAS))
    state.cold_value = state.cold_mean(text)
    state.try_step("frozen", best)
    for name, tried in (("whitening", _whitened(state)), ("head", _heads(state))):
        values, one, score = _best_of(state, tried)
        state.try_step(name, values, cold=state.cold_mean(score))
        if not state.steps[-1].reason and state.gain(values, best).low > 0:
            best, settings, text = values, one, score
        if progress is not None:
            progress(len(state.steps), RUNGS)
    return settings, text


def _best_of(
    state: _Climb, tried: Iterator[tuple[HeadSettings | None, Head | None, float]]
) -> tuple[NDArray[np.float64], HeadSettings | None, Linear]:
    """One at a time: the directions of all items of each are as large as the catalogue's vectors."""

    def measured() -> Iterator[tuple[NDArray[np.float64], HeadSettings | None, Linear]]:
        for settings, head, gamma in tried:
            score = likeness(head, state.vectors, gamma=gamma)
            yield state.measure(score), settings, score

    return max(measured(), key=lambda rival: state.worth(rival[0]))


def _whitened(state: _Climb) -> Iterator[tuple[HeadSettings, Head, float]]:
    for gamma in GAMMAS:
        yield HeadSettings(), identity_head(state.whitening, gamma=gamma), gamma


def _heads(state: _Climb) -> Iterator[tuple[HeadSettings, Head, float]]:
    whitened = state.whitening.apply(state.vectors)
    known = histories(state.events)
    for gamma in GAMMAS:
        sums = collect(known, whitened, gamma=gamma, rng=np.random.default_rng(SEED))
        for ridge, mix in product(RIDGES, MIXES):
            head = fit_head(sums, state.whitening, gamma=gamma, ridge=ridge, mix=mix)
            yield HeadSettings(ridge=ridge, mix=mix), head, gamma


def _climb_shares(state: _Climb, text: Text, popularity: Popularity) -> tuple[Shares, Popularity]:
    """The neighbours beside the text, then the better prior beside both."""
    current = Shares(taste=1.0) if any(step.taken for step in state.steps[1:]) else Shares(popularity=1.0)
    values = state.by_mixture(text, [(shares, kind) for kind in KINDS for shares in SHARES])
    for name, allowed in (
        ("neighbours", [one for one in values if one[0].popularity == 0 and one[1] == popularity]),
        ("prior", list(values)),
    ):
        best = max(allowed, key=lambda one: state.worth(values[one]))
        if state.try_step(name, values[best]):
            current, popularity = best
    return current, popularity


def counted(items: NDArray[np.int64], kind: Popularity, size: int) -> NDArray[np.int64]:
    """Events by item, of all or of the latest tenth; `items` in order of time."""
    if kind == "recent":
        items = items[len(items) - max(1, round(len(items) * RECENT_SHARE)) :] if len(items) else items
    return np.bincount(items, minlength=size)
