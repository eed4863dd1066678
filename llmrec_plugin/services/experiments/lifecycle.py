"""The life of an experiment: planned, started, stopped, its winner adopted; each step says who took it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotFound
from llmrec_plugin.experiments.analysis import preferences_needed, visitors_needed
from llmrec_plugin.models import Arm, ArmAssignment, Configuration, Experiment, IndexVersion, Placement, own
from llmrec_plugin.services.curation.configuration import check_signals
from llmrec_plugin.services.curation.placements import get_placement, type_of
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.experiments import assignment, report

logger = logging.getLogger(__name__)

SEARCH = "search"
MAX_VISITORS = 2**31 - 1
"""That the column of the plan holds: as good as never."""


def check(experiment: Experiment) -> list[Arm]:
    """The arms, the control first; raises ConfigurationError, with the cure, for what cannot be started."""
    try:
        registry.get(experiment.document)
        if experiment.placement != SEARCH:
            get_placement(experiment.placement)
    except NotFound as error:
        raise ConfigurationError(str(error)) from error
    arms = sorted(experiment.arms.select_related("index_version", "model_version"), key=_control_first)
    controls = sum(arm.is_control for arm in arms)
    if controls != 1 or len(arms) < 2:
        raise ConfigurationError(
            f'"{experiment}" needs one control and one or more other arms; it has {controls} and '
            f"{len(arms) - controls}."
        )
    if experiment.method == Experiment.Method.INTERLEAVING and len(arms) > 2:
        raise ConfigurationError(f'Interleaving compares two arms, "{experiment}" has {len(arms)}.')
    for arm in arms:
        _check_arm(experiment, arm)
    return arms


def _control_first(arm: Arm) -> tuple[bool, int]:
    return not arm.is_control, arm.pk


def _check_arm(experiment: Experiment, arm: Arm) -> None:
    where = f'The arm "{arm}"'
    try:
        arm.clean()
        check_signals(arm.overrides.get("signal_weights"))
        if arm.placement:
            _check_placement(experiment, arm)
    except (ValidationError, NotFound, InvalidRequest) as error:
        messages = error.messages if isinstance(error, ValidationError) else [str(error)]
        raise ConfigurationError(f"{where}: {' '.join(messages)}") from error
    for version in (arm.index_version, arm.model_version):
        if version is not None and version.document != experiment.document:
            raise ConfigurationError(f'{where}: "{version}" belongs to "{version.document}".')
    if arm.model_version is not None and arm.model_version.artefact_id is None:
        raise ConfigurationError(f"{where}: what model version {arm.model_version_id} learned is not kept.")
    if arm.index_version is not None and arm.index_version.state != IndexVersion.State.READY:
        raise ConfigurationError(f'{where}: the index "{arm.index_version}" is not ready.')


def _check_placement(experiment: Experiment, arm: Arm) -> None:
    if experiment.placement == SEARCH:
        raise ConfigurationError(f'The arm "{arm}" names a placement, but a search shows none.')
    shown, replaced = get_placement(arm.placement), get_placement(experiment.placement)
    if type_of(shown).needs_item and not type_of(replaced).needs_item:
        raise ConfigurationError(
            f'The arm "{arm}" shows "{shown.name}", which needs the item that a page is about; pages do not '
            f'name one when they ask for "{replaced.name}".'
        )


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What to expect of an experiment before it is started."""

    rate: float
    """Of the control, by the metric that decides."""
    measured: bool
    """False: nothing is known of the list, and a usual rate is assumed."""
    visitors: int
    """Per arm, to show the change worth finding four times out of five; who is shown interleaved lists counts
    for both."""
    choosing: float
    """Share of the visitors who do what is measured at least once; only they can prefer one of two lists."""
    days: int | None
    """Until the smallest arm has been seen by so many, at the pace of the last weeks; None: nobody came."""


def forecast(experiment: Experiment) -> Forecast:
    """Raises ConfigurationError for what cannot be started."""
    arms = check(experiment)
    found = report.expected(experiment)
    visitors = _planned(experiment, found, arms)
    smallest = 1.0
    if experiment.method == Experiment.Method.SPLIT:
        smallest = min(arm.share for arm in arms) / sum(arm.share for arm in arms)
    per_day = found.visitors / report.BEFORE.days * smallest
    return Forecast(
        rate=found.rate,
        measured=found.measured,
        visitors=visitors,
        choosing=found.choosing,
        days=math.ceil(visitors / per_day) if per_day else None,
    )


def _planned(experiment: Experiment, found: report.Expected, arms: Sequence[Arm]) -> int:
    """Visitors per arm."""
    if experiment.method == Experiment.Method.INTERLEAVING:
        needed = math.ceil(preferences_needed(lift=experiment.lift) / found.choosing)
    else:
        needed = visitors_needed(
            rate=found.rate,
            variance=found.variance,
            lift=experiment.lift,
            confidence=report.confidence(len(arms)),
        )
    return min(needed, MAX_VISITORS)


def start(experiment: Experiment, *, by: str) -> Experiment:
    """From the next request on visitors see its arms.

    Raises ConfigurationError where it cannot be: something in it is wrong, it is no draft any more, or
    another one is running on the same list.
    """
    arms = check(experiment)
    expected = report.expected(experiment)
    try:
        with transaction.atomic(using=own.database()):
            started = Experiment.objects.filter(pk=experiment.pk, state=Experiment.State.DRAFT).update(
                state=Experiment.State.RUNNING,
                started_at=timezone.now(),
                started_by=by,
                expected_rate=expected.rate,
                planned_visitors=_planned(experiment, expected, arms),
            )
            assignment.invalidate()
    except IntegrityError:
        raise ConfigurationError(
            f'Another experiment is running on "{experiment.placement}" of "{experiment.document}": '
            "stop it first."
        ) from None
    if not started:
        raise ConfigurationError(f'"{experiment}" was started before; make a new one to ask again.')
    experiment.refresh_from_db()
    logger.info("experiment started experiment=%d", experiment.pk)
    return experiment


def stop(experiment: Experiment, *, by: str) -> Experiment:
    """From the next request on everybody sees what is live. Raises ConfigurationError if none is running."""
    with transaction.atomic(using=own.database()):
        stopped = Experiment.objects.filter(pk=experiment.pk, state=Experiment.State.RUNNING).update(
            state=Experiment.State.STOPPED, stopped_at=timezone.now(), stopped_by=by
        )
        ArmAssignment.objects.filter(experiment=experiment).delete()  # has served its purpose
        assignment.invalidate()
    if not stopped:
        raise ConfigurationError(f'"{experiment}" is not running.')
    experiment.refresh_from_db()
    logger.info("experiment stopped experiment=%d", experiment.pk)
    return experiment


def adopt(arm: Arm, *, by: str) -> Experiment:
    """Make what the arm tried the rule for everybody, and stop the experiment if it is still running.

    Settings go into the configuration, versions are promoted, and a placement that was shown instead is
    copied into the row of the one that was asked for. Raises ConfigurationError, and changes nothing, where
    that cannot be.
    """
    experiment = arm.experiment
    if experiment.state == Experiment.State.DRAFT:
        raise ConfigurationError(f'"{experiment}" has not been started: there is nothing to adopt yet.')
    with transaction.atomic(using=own.database()):
        if experiment.state == Experiment.State.RUNNING:
            stop(experiment, by=by)
        _write_configuration(arm, by=by)
        _write_placement(arm)
        if arm.index_version is not None or arm.model_version is not None:
            promotion.promote(
                arm.index_version or live_pair(experiment.document).index_version,
                model_version=arm.model_version,
                by=by,
                reason=f"experiment {experiment.pk}: {arm}",
            )
        experiment.adopted = arm.name
        experiment.save(update_fields=["adopted"])
    logger.info("experiment adopted experiment=%d arm=%d", experiment.pk, arm.pk)
    return experiment


def _write_configuration(arm: Arm, *, by: str) -> None:
    if not arm.overrides:
        return
    configuration = Configuration.current().with_overrides(arm.overrides)
    try:
        configuration.full_clean(validate_unique=False)
    except ValidationError as error:
        raise ConfigurationError(" ".join(error.messages)) from error
    configuration.changed_by = by
    configuration.save()


def _write_placement(arm: Arm) -> None:
    """What it shows is as the arm's; its limit and the document it is for stay its own."""
    if not arm.placement:
        return
    replaced, shown = get_placement(arm.experiment.placement), get_placement(arm.placement)
    Placement.objects.update_or_create(
        name=replaced.name,
        defaults={
            "enabled": True,
            "type": shown.type,
            "document": replaced.document,
            "limit": replaced.limit,
            "hide": list(shown.hide),
            "anchor": list(shown.anchor),
            "filters": {name: list(texts) for name, texts in shown.filters.items()},
            "diversity": shown.diversity,
            "fresh": shown.fresh,
            "fallback": list(shown.fallback),
        },
    )
