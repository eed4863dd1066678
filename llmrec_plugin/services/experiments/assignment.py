"""The experiments that are going on, and who sees which arm of them.

Nothing is stored for it: the arm follows from a hash of the user's key. The one exception are visitors who
log in, whose key changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import router

from llmrec_plugin.conf import get_settings
from llmrec_plugin.experiments.assignment import assign
from llmrec_plugin.models import Arm, ArmAssignment, Configuration, Experiment, Impression
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache
from llmrec_plugin.services.privacy import consent


@dataclass(frozen=True, kw_only=True)
class RunningExperiment:
    """As much of an `Experiment` as answering needs."""

    pk: int
    document: str
    placement: str
    interleaving: bool
    salt: str
    arms: tuple[Arm, ...]
    """The control first."""
    has_assignments: bool


def experiments(configuration: Configuration) -> tuple[RunningExperiment, ...]:
    """All that are going on; read once per edition of the configuration."""
    return _running.get(configuration) if get_settings().ENABLED else ()


def experiment_for(document: str, placement: str, configuration: Configuration) -> RunningExperiment | None:
    """The one that is about this list."""
    for one in experiments(configuration):
        if (one.document, one.placement) == (document, placement):
            return one
    return None


def needs_keys() -> bool:
    """Whether lists differ by visitor, so that a new one needs a key to see the same again.

    By what this process has read last: a request that comes right after a start may be answered without.
    """
    return get_settings().ENABLED and any(not one.interleaving for one in _running.peek())


def invalidate() -> None:
    """To be called with whatever starts, stops or changes who sees what: every process reads anew."""
    Configuration.begin_edition(using=router.db_for_write(Configuration))


def is_eligible(experiment: RunningExperiment, user_key: str | None) -> bool:
    """Whether the user's clicks could be counted, for only then is something learned; one query at most.

    Lists of nobody in particular can be interleaved, since one list is compared with itself; a split needs
    a key by which the same visitor sees the same arm again.
    """
    if user_key:
        return consent.may_personalise(user_key)
    return experiment.interleaving and get_settings().CONSENT == "opt-out"


def assigned_arm(experiment: RunningExperiment, user_key: str) -> Arm:
    """Always the same for one user, as long as the experiment runs; one query if any users are enrolled."""
    if experiment.has_assignments:
        kept = ArmAssignment.objects.filter(experiment=experiment.pk, user_key=user_key)
        pk = kept.values_list("arm_id", flat=True).first()
        for arm in experiment.arms:
            if arm.pk == pk:
                return arm
    return _drawn(experiment, user_key)


def carry_over_assignments(visitor_key: str, user_key: str) -> None:
    """Let the user, who was this visitor until they logged in, go on with the arms that they saw.

    Whoever has been in an experiment under their own key already stays in that arm. To be called before the
    visitor's lists become the user's.
    """
    split = [one for one in experiments(Configuration.current()) if not one.interleaving]
    for experiment in split:
        arms = [arm.pk for arm in experiment.arms]
        seen = Impression.objects.filter(arm__in=arms)
        if not seen.filter(user_key=visitor_key).exists() or seen.filter(user_key=user_key).exists():
            continue
        arm = assigned_arm(experiment, visitor_key)
        if arm != assigned_arm(experiment, user_key):
            ArmAssignment.objects.get_or_create(
                experiment_id=experiment.pk, user_key=user_key, defaults={"arm_id": arm.pk}
            )
            if not experiment.has_assignments:
                invalidate()
    if split:
        ArmAssignment.objects.filter(user_key=visitor_key).delete()


def _drawn(experiment: RunningExperiment, user_key: str) -> Arm:
    shares = [arm.share for arm in experiment.arms]
    return experiment.arms[assign(user_key, salt=experiment.salt, shares=shares)]


def _read() -> tuple[RunningExperiment, ...]:
    found = list(Experiment.objects.filter(state=Experiment.State.RUNNING).prefetch_related("arms"))
    enrolled: set[int] = set()
    if found:
        rows = ArmAssignment.objects.filter(experiment__in=found)
        enrolled = set(rows.values_list("experiment_id", flat=True).distinct())
    return tuple(
        RunningExperiment(
            pk=one.pk,
            document=one.document,
            placement=one.placement,
            interleaving=one.method == Experiment.Method.INTERLEAVING,
            salt=one.salt,
            arms=tuple(sorted(one.arms.all(), key=lambda arm: not arm.is_control)),
            has_assignments=one.pk in enrolled,
        )
        for one in found
    )


_running: VersionedCache[tuple[RunningExperiment, ...]] = VersionedCache(_read, empty=())
