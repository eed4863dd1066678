"""The outcome of an experiment in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from llmrec_plugin.experiments.analysis import MIN_VISITORS, Comparison, Preference
from llmrec_plugin.models import Experiment
from llmrec_plugin.plots import interval
from llmrec_plugin.services.experiments.report import ArmReport, Report

REACH = 0.5
"""Relative changes beyond are drawn at the edge of the picture."""


def percent(share: float, *, digits: int = 1) -> str:
    """ "–" for NaN."""
    if math.isnan(share):
        return "–"
    return _("%(number)s %%") % {"number": number_format(100 * share, digits)}


def change(share: float) -> str:
    """A relative change with its sign."""
    if math.isnan(share):
        return "–"
    sign = "+" if share > 0 else "−" if share < 0 else "±"
    return sign + percent(abs(share))


@dataclass(frozen=True)
class ArmRow:
    """One line of the report's table."""

    report: ArmReport
    rate: str
    change: str
    interval: str
    picture: SafeString | str
    verdict: str
    guards: tuple[str, ...]
    """What got worse, proven."""


def rows(report: Report) -> list[ArmRow]:
    control = next((arm.comparison for arm in report.arms if arm.comparison is not None), None)
    return [_row(arm, control.control if control else math.nan) for arm in report.arms]


def _row(arm: ArmReport, control_rate: float) -> ArmRow:
    found = arm.comparison
    if found is None:
        return ArmRow(arm, percent(control_rate, digits=2), "", "", "", "", ())
    scale = found.control or math.nan
    low, middle, high = (value / scale for value in (found.low, found.difference, found.high))
    picture: SafeString | str = ""
    words = "–"
    if not math.isnan(low):
        words = _("%(low)s to %(high)s") % {"low": change(low), "high": change(high)}
        picture = interval(
            low, middle, high, reach=REACH, name=f"arm-{arm.pk}", title=arm.name, description=words
        )
    return ArmRow(
        arm, percent(found.arm, digits=2), change(middle), words, picture, verdict(found), _harms(arm)
    )


def verdict(found: Comparison) -> str:
    if math.isnan(found.difference):
        return _("too early to say")
    if found.better:
        return _("better than the control")
    if found.worse:
        return _("worse than the control")
    return _("not decided")


def _harms(arm: ArmReport) -> tuple[str, ...]:
    names = {
        "empty": _("more lists without a result"),
        "milliseconds": _("slower answers"),
        "dismissed": _("more items dismissed"),
    }
    return tuple(names[name] for name in arm.harmed)


def summary(experiment: Experiment, report: Report) -> Iterator[str]:
    """What to make of it and what to do, the most important first."""
    if not report.trustworthy:
        yield _(
            "The visitors are not split as they should be, which does not happen by chance: look for lists "
            "that are not counted in one of the arms before you believe anything below."
        )
    if report.preference is not None:
        planned, seen = experiment.planned_visitors, max(arm.visitors for arm in report.arms)
        yield _preference(report.preference, as_planned=bool(planned and seen >= planned))
    else:
        yield from (_decision(arm, experiment) for arm in report.arms if arm.comparison is not None)
    if report.crossed:
        yield (
            ngettext(
                "%(count)d visitor saw several arms, as by a second device, and is left out.",
                "%(count)d visitors saw several arms, as by a second device, and are left out.",
                report.crossed,
            )
            % {"count": report.crossed}
        )


def _decision(arm: ArmReport, experiment: Experiment) -> str:
    found = arm.comparison
    assert found is not None  # noqa: S101 - asked only of arms that have one
    words = {"arm": arm.name, "few": MIN_VISITORS}
    if math.isnan(found.difference):
        if arm.visitors >= MIN_VISITORS:
            return _("“%(arm)s”: too early to say; nobody has done what decides yet.") % words
        return _("“%(arm)s”: too early to say; each arm needs %(few)d visitors to begin with.") % words
    scale = found.control or math.nan
    words |= {"low": change(found.low / scale), "high": change(found.high / scale)}
    if found.better:
        return _("“%(arm)s” is better than the control, by %(low)s to %(high)s.") % words
    if found.worse:
        return _("“%(arm)s” is worse than the control, by %(low)s to %(high)s.") % words
    if experiment.planned_visitors and arm.visitors >= experiment.planned_visitors:
        return (
            _(
                "“%(arm)s”: as many visitors as were planned, and no difference proven; it lies between "
                "%(low)s and %(high)s. Stop it unless that is still worth knowing better."
            )
            % words
        )
    return _("“%(arm)s”: not decided yet; the difference lies between %(low)s and %(high)s.") % words


def _preference(found: Preference, *, as_planned: bool) -> str:
    words = {
        "wins": found.wins,
        "all": found.wins + found.losses,
        "low": percent(found.low),
        "high": percent(found.high),
    }
    if not words["all"]:
        return _("Too early to say: nobody has clicked on an interleaved list yet.")
    if found.low > 0.5:
        return (
            _("The new list is preferred: by %(wins)d of %(all)d visitors, %(low)s to %(high)s of all.")
            % words
        )
    if found.high < 0.5:
        return (
            _("The live list is preferred: the new one by %(wins)d of %(all)d visitors, %(low)s to %(high)s.")
            % words
        )
    if as_planned:
        return (
            _(
                "As many visitors as were planned, and no preference proven: %(wins)d of %(all)d prefer the "
                "new list, %(low)s to %(high)s of all. Stop it unless that is still worth knowing better."
            )
            % words
        )
    return (
        _("Not decided yet: %(wins)d of %(all)d visitors prefer the new list, %(low)s to %(high)s of all.")
        % words
    )
