"""The experiments that are going on, and who sees which arm of them.

Nothing is stored for it: the arm follows from a hash of the user's key. The one exception are visitors who
log in, whose key changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from llmrec_plugin.conf import get_settings
from llmrec_plugin.experiments.assignment import assign
from llmrec_plugin.models import Arm, Enrolment, Experiment, Impression
from llmrec_plugin.services import caching, privacy

CACHE_SECONDS = 10
"""A start or stop reaches other processes after so long where they share no cache."""
_KEY = caching.cache_key("experiments")


@dataclass(frozen=True, kw_only=True)
class RunningArm:
    """As much of an `Arm` as answering needs."""

    pk: int
    is_control: bool
    share: int
    overrides: dict[str, Any]
    placement: str
    index_version: int | None
    model_version: int | None


@dataclass(frozen=True, kw_only=True)
class RunningExperiment:
    """As much of an `Experiment` as answering needs."""

    pk: int
    document: str
    placement: str
    interleaving: bool
    salt: str
    arms: tuple[RunningArm, ...]
    """The control first."""
    has_enrolments: bool


def experiments() -> list[RunningExperiment]:
    """All that are going on; one look into the cache, where they are kept for a moment."""
    if not get_settings().ENABLED:
        return []
    return [_unpacked(packed) for packed in caching.remembered(_KEY, _read, seconds=CACHE_SECONDS)]


def on_list(document: str, placement: str) -> RunningExperiment | None:
    return next(
        (one for one in experiments() if (one.document, one.placement) == (document, placement)), None
    )


def needs_keys() -> bool:
    """Whether lists differ by visitor, so that a new one needs a key to see the same again."""
    return any(not one.interleaving for one in experiments())


def changed() -> None:
    """To be called whenever an experiment starts or stops.

    At once, for what this transaction still reads, and after it, for what others have read meanwhile.
    """
    caching.forget([_KEY])
    transaction.on_commit(lambda: caching.forget([_KEY]), robust=True)


def takes_part(experiment: RunningExperiment, user_key: str | None) -> bool:
    """Whether the user's clicks could be counted, for only then is something learned; one query at most.

    Lists of nobody in particular can be interleaved, since one list is compared with itself; a split needs
    a key by which the same visitor sees the same arm again.
    """
    if user_key:
        return privacy.may_personalise(user_key)
    return experiment.interleaving and get_settings().CONSENT == "opt-out"


def arm_of(experiment: RunningExperiment, user_key: str) -> RunningArm:
    """Always the same for one user, as long as the experiment runs; one query if any users are enrolled."""
    if experiment.has_enrolments:
        kept = Enrolment.objects.filter(experiment=experiment.pk, user_key=user_key)
        pk = kept.values_list("arm_id", flat=True).first()
        for arm in experiment.arms:
            if arm.pk == pk:
                return arm
    return _drawn(experiment, user_key)


def keep_arms(visitor_key: str, user_key: str) -> None:
    """Let the user, who was this visitor until he logged in, go on with the arms that he saw.

    Whoever has been in an experiment under his own key already stays in that arm. To be called before the
    visitor's lists become the user's.
    """
    split = [one for one in experiments() if not one.interleaving]
    for experiment in split:
        arms = [arm.pk for arm in experiment.arms]
        seen = Impression.objects.filter(arm__in=arms)
        if not seen.filter(user_key=visitor_key).exists() or seen.filter(user_key=user_key).exists():
            continue
        arm = arm_of(experiment, visitor_key)
        if arm != arm_of(experiment, user_key):
            Enrolment.objects.get_or_create(
                experiment_id=experiment.pk, user_key=user_key, defaults={"arm_id": arm.pk}
            )
    if split:
        Enrolment.objects.filter(user_key=visitor_key).delete()
        changed()


def _drawn(experiment: RunningExperiment, user_key: str) -> RunningArm:
    shares = [arm.share for arm in experiment.arms]
    return experiment.arms[assign(user_key, salt=experiment.salt, shares=shares)]


def _read() -> list[dict[str, Any]]:
    found = Experiment.objects.filter(state=Experiment.State.RUNNING).prefetch_related("arms")
    enrolled: set[int] = set()
    if found:
        rows = Enrolment.objects.filter(experiment__in=[one.pk for one in found])
        enrolled = set(rows.values_list("experiment_id", flat=True).distinct())
    return [
        {
            "pk": one.pk,
            "document": one.document,
            "placement": one.placement,
            "interleaving": one.method == Experiment.Method.INTERLEAVING,
            "salt": one.salt,
            "has_enrolments": one.pk in enrolled,
            "arms": [_packed(arm) for arm in sorted(one.arms.all(), key=lambda arm: not arm.is_control)],
        }
        for one in found
    ]


def _packed(arm: Arm) -> dict[str, Any]:
    return {
        "pk": arm.pk,
        "is_control": arm.is_control,
        "share": arm.share,
        "overrides": arm.overrides,
        "placement": arm.placement,
        "index_version": arm.index_version_id,
        "model_version": arm.model_version_id,
    }


def _unpacked(packed: dict[str, Any]) -> RunningExperiment:
    return RunningExperiment(**{**packed, "arms": tuple(RunningArm(**arm) for arm in packed["arms"])})
