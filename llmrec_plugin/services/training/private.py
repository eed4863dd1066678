"""Learns from a document's events so that what is stored does not tell whether any one user was among them.

What is learned is a head and popularity, both from sums with noise; neighbours, which name pairs of items
that perhaps one user took, are left out (docs/privacy.md).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation.protocol import Case, Events, histories, temporal_cases, validation_split
from llmrec_plugin.evaluation.significance import paired_bootstrap
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.learning.privacy.gaussian import epsilon_of, mu_of, together
from llmrec_plugin.learning.privacy.noisy_sums import (
    GAMMA,
    HEAD_SHARE,
    MIN_RIDGE,
    MIX,
    private_counts,
    private_head,
)
from llmrec_plugin.learning.scorers.catalogue_scores import Shares
from llmrec_plugin.learning.scorers.popularity import popularity_prior
from llmrec_plugin.learning.scorers.projection_head import Head
from llmrec_plugin.learning.scorers.whitening import Whitening, fit_whitening
from llmrec_plugin.learning.selection.case_metrics import CaseMetrics
from llmrec_plugin.learning.selection.model_config import HeadConfig, ScorerConfig, likeness
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.learning.selection.stepwise import GATE_CONFIDENCE, MIN_CASES, SelectionResult
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.services.inference.item_vectors import vector_matrix
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.training_report import PrivacyBill, TrainingReport, newest_private
from llmrec_plugin.services.training.adaptation import MAX_ITEMS, selection_report
from llmrec_plugin.types import Matrix

logger = logging.getLogger(__name__)

FEW_USERS = 5_000
"""Below, noise usually outweighs what users tell."""
MIN_ITEMS = 2


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Holds what one training may tell of one user, and all together."""

    epsilon: float
    delta: float
    total: float | None
    """Of epsilon, with the same delta; None: not limited."""

    @property
    def mu(self) -> float:
        return mu_of(self.epsilon, self.delta)


@dataclass(frozen=True, eq=False, kw_only=True)
class PrivateModel:
    """Holds what one training released."""

    keys: tuple[str, ...]
    """All visible items: which of them had events is not told."""
    prior: NDArray[np.float32]
    adaptation: Adaptation | None
    report: TrainingReport


def budget() -> Budget | None:
    """Return the budget by LLMREC["DIFFERENTIAL_PRIVACY"]; None: models are learned without noise."""
    given = get_settings().DIFFERENTIAL_PRIVACY
    if given is None:
        return None
    return Budget(epsilon=given.epsilon, delta=given.delta, total=given.total_epsilon)


def spent(label: str) -> float:
    """Return the mu of all private trainings of the document so far.

    Raises ConfigurationError where another release wrote the report of the newest: a budget is not guessed.
    """
    newest = newest_private(label)
    return newest.privacy.mu_of_all if newest and newest.privacy else 0.0


def is_spent(label: str, allowed: Budget) -> bool:
    """Return whether one more training would tell more than `total_epsilon` allows."""
    if allowed.total is None:
        return False
    return epsilon_of(together(spent(label), allowed.mu), allowed.delta) > allowed.total


def refuse(what: str) -> None:
    """Raise ConfigurationError where models have to be private: `what` cannot be learned with noise."""
    if budget() is not None:
        raise ConfigurationError(
            f'{what} would store what single users did, and LLMREC["DIFFERENTIAL_PRIVACY"] is set. Train '
            "without it, or take the setting away."
        )


def learn(
    version: IndexVersion, keys: Sequence[str], log: Events, allowed: Budget, *, configured: Shares
) -> PrivateModel:
    """A head, where it is proven better than none, and popularity, both with noise.

    `log`: events on rows of `keys`. Raises ConfigurationError when the budget of all trainings is spent.
    """
    if is_spent(version.document, allowed):
        raise ConfigurationError(
            f'The budget of private trainings of "{version.document}" is spent: one more would come to more '
            f'than total_epsilon = {allowed.total} of LLMREC["DIFFERENTIAL_PRIVACY"]. The live model stays; '
            "raise total_epsilon, or lower epsilon."
        )
    started = time.perf_counter()
    rng = np.random.default_rng(secrets.randbits(128))
    visible = sorted(
        str(pk)
        for pk in registry.get(version.document).get_queryset().order_by().values_list("pk", flat=True)
    )
    everywhere = _moved(log, keys, visible)
    choice, adaptation = _head(version, visible, everywhere, allowed, configured, rng)
    counts_mu = allowed.mu * (1 - HEAD_SHARE) ** 0.5
    counts = private_counts(everywhere.users, everywhere.items, len(visible), mu=counts_mu, rng=rng)
    mu = allowed.mu if adaptation is not None else counts_mu
    users = len(np.unique(everywhere.users))
    return PrivateModel(
        keys=tuple(visible),
        prior=popularity_prior(counts),
        adaptation=adaptation,
        report=replace(
            selection_report(choice, seconds=time.perf_counter() - started),
            privacy=_bill(version.document, mu, users, allowed),
        ),
    )


def _bill(label: str, mu: float, users: int, allowed: Budget) -> PrivacyBill:
    of_all = together(spent(label), mu)
    return PrivacyBill(
        epsilon=round(epsilon_of(mu, allowed.delta), 3),
        epsilon_of_all=round(epsilon_of(of_all, allowed.delta), 3),
        delta=allowed.delta,
        mu_of_all=of_all,
        few_users=users < FEW_USERS,
    )


def _moved(log: Events, keys: Sequence[str], onto: Sequence[str]) -> Events:
    """Return the same events on the rows of other items, without those on none of them."""
    place = {key: row for row, key in enumerate(onto)}
    row_of = np.array([place.get(key, -1) for key in keys], np.int64)
    rows = row_of[log.items] if len(log) else np.empty(0, np.int64)
    return Events(log.users[rows >= 0], rows[rows >= 0], log.times[rows >= 0])


def _head(
    version: IndexVersion,
    visible: Sequence[str],
    everywhere: Events,
    allowed: Budget,
    configured: Shares,
    rng: np.random.Generator,
) -> tuple[SelectionResult, Adaptation | None]:
    """Learn a head from all events, if one from the earlier events beats the frozen vectors on the later
    ones."""
    config = ScorerConfig(shares=configured, gamma=GAMMA, head=HeadConfig(ridge=MIN_RIDGE, mix=MIX))
    known, vectors = _vectors(version, visible)
    events = _moved(everywhere, visible, known)
    split = validation_split(events)
    cases = [case for case in temporal_cases(events, split.valid, rng=rng) if case.history]
    if len(known) < MIN_ITEMS or len(cases) < MIN_CASES:
        return SelectionResult(config=ScorerConfig(shares=configured), steps=(), cases=len(cases)), None
    whitening = fit_whitening(vectors)
    mu = allowed.mu * HEAD_SHARE**0.5
    trial = _fitted(events.part(split.train), vectors, whitening, mu, rng)
    gate, steps = _compared(events.part(split.train), cases, vectors, trial, rng)
    served = config if gate.taken else ScorerConfig(shares=configured)
    choice = SelectionResult(config=served, steps=steps, gate=gate, cases=len(cases))
    if not gate.taken:
        return choice, None
    head = _fitted(events, vectors, whitening, mu, rng)
    return choice, Adaptation(encoder_id=version.encoder_id, config=config, head=head)


def _fitted(
    events: Events, vectors: Matrix, whitening: Whitening, mu: float, rng: np.random.Generator
) -> Head:
    return private_head(histories(events), whitening.apply(vectors), whitening, mu=mu, rng=rng)


def _compared(
    events: Events, cases: Sequence[Case], vectors: Matrix, head: Head, rng: np.random.Generator
) -> tuple[SelectionStep, tuple[SelectionStep, ...]]:
    users = [case.user for case in cases]
    metrics = CaseMetrics.of(cases, events=events, items=len(vectors))
    frozen = metrics.ndcg(likeness(None, vectors, gamma=GAMMA))
    learned = metrics.ndcg(likeness(head, vectors, gamma=GAMMA))
    gain = paired_bootstrap(learned, frozen, rng=rng, groups=users, confidence=GATE_CONFIDENCE)
    lowest = SelectionStep(name="frozen", value=float(frozen.mean()), gain=0.0, low=0.0, taken=True)
    head_step = SelectionStep(
        name="head",
        value=float(learned.mean()),
        gain=gain.difference,
        low=gain.low,
        high=gain.high,
        taken=gain.low > 0,
    )
    return replace(head_step, name="served"), (lowest, head_step)


def _vectors(version: IndexVersion, visible: Sequence[str]) -> tuple[list[str], Matrix]:
    """Return those of the visible items that are encoded, with their vectors; of too many the first by key,
    as events must not choose."""
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    encoded = set(rows.values_list("item_id", flat=True))
    known = [key for key in visible if key in encoded][:MAX_ITEMS]
    return known, vector_matrix(version, known)
