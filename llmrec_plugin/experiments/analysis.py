"""What an experiment proves: differences of rates with intervals that hold however often one looks.

A rate is events per list or per visitor; the visitor is what was drawn at random, so all of their lists are
one piece of evidence, and errors follow from visitors by the delta method. Arrays hold a number per visitor.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

CONFIDENCE = 0.95
POWER = 0.8
MIN_VISITORS = 100
"""Per arm: the intervals rest on the central limit theorem, which needs some."""
TOLERANCE = 1e-15
"""Of the bounds of a share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What the visitors of one arm did."""

    events: Numbers
    chances: Numbers
    """How often each might have: their lists, or 1 where visitors are counted."""
    before: Numbers | None = None
    """Something known of each from before the experiment; what it explains is taken out of the noise."""

    @property
    def visitors(self) -> int:
        return len(self.events)

    @property
    def rate(self) -> float:
        """Events per chance; NaN without a chance."""
        chances = float(self.chances.sum())
        return float(self.events.sum()) / chances if chances else math.nan

    def deviations(self) -> Numbers:
        """What each visitor adds to the rate beside its mean: their mean is 0, and their variance over the
        number of visitors is that of the rate (Deng, Knoblich and Lu, "Applying the delta method in metric
        analytics", KDD 2018)."""
        deviations: Numbers = (self.events - self.rate * self.chances) / self.chances.mean()
        return deviations


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm beside the control. NaN where it is too early to say."""

    control: float
    arm: float
    difference: float
    """arm - control, adjusted by what was known before."""
    low: float
    high: float
    """Bounds that hold at every look at once with the asked confidence."""
    error: float
    """Standard error of the difference."""
    explained: float = 0.0
    """Part of the variance that was taken out by what was known before, 0..1."""

    @property
    def better(self) -> bool:
        return self.low > 0

    @property
    def worse(self) -> bool:
        return self.high < 0


def compare(control: Sample, arm: Sample, *, planned: int, confidence: float = CONFIDENCE) -> Comparison:
    """The difference of the two rates, to be looked at whenever one likes.

    `planned` is the number of visitors per arm at which the bounds are tightest (see `visitors_needed`); it
    must not be chosen by what the data say. With `before` in both samples the noise that it explains is
    taken out (CUPED: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments
    by utilizing pre-experiment data", WSDM 2013).
    """
    difference = arm.rate - control.rate
    if min(control.visitors, arm.visitors) < MIN_VISITORS or math.isnan(difference):
        return _unknown(control, arm)
    parts = [control.deviations(), arm.deviations()]
    raw = sum(float(part.var(ddof=1)) / len(part) for part in parts)
    variance = raw
    if control.before is not None and arm.before is not None:
        shift, parts = _adjusted(parts, [control.before, arm.before])
        difference += shift
        variance = sum(float(part.var(ddof=1)) / len(part) for part in parts)
    if not variance > 0:
        return _unknown(control, arm)
    error = math.sqrt(variance)
    progress = (2 / planned) / (1 / control.visitors + 1 / arm.visitors)
    width = half_width(error, progress=progress, confidence=confidence)
    return Comparison(
        control=control.rate,
        arm=arm.rate,
        difference=difference,
        low=difference - width,
        high=difference + width,
        error=error,
        explained=max(0.0, 1 - variance / raw),
    )


def _unknown(control: Sample, arm: Sample) -> Comparison:
    nan = math.nan
    return Comparison(control=control.rate, arm=arm.rate, difference=nan, low=nan, high=nan, error=nan)


def _adjusted(parts: Sequence[Numbers], before: Sequence[Numbers]) -> tuple[float, list[Numbers]]:
    """How much the difference changes, and the deviations that are left, under one common slope."""
    centred = [known - known.mean() for known in before]
    spread = sum(float(known @ known) for known in centred)
    if not spread:
        return 0.0, list(parts)
    slope = sum(float(part @ known) for part, known in zip(parts, centred, strict=True)) / spread
    shift = -slope * float(before[1].mean() - before[0].mean())
    return shift, [part - slope * known for part, known in zip(parts, centred, strict=True)]


def half_width(error: float, *, progress: float = 1.0, confidence: float = CONFIDENCE) -> float:
    """Half of a normal mixture confidence sequence: the true difference lies within it at all looks together
    with the asked confidence, in the limit of many visitors.

    error * sqrt((1 + 1 / r) (ln(1 + r) + 2 ln(1 / alpha))), r = tau² / error²: Robbins' mixture, as in
    Johari, Koomen, Pekelis and Walsh, "Always valid inference: continuous monitoring of A/B tests",
    Operations Research 70, 2022. `progress` is the part of the planned evidence that is there; r grows with
    it, such that the sequence is narrowest at 1 (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2024).
    """
    alpha = 1 - confidence
    ratio = progress * (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1)
    return error * math.sqrt((1 + 1 / ratio) * (math.log1p(ratio) + 2 * math.log(1 / alpha)))


def visitors_needed(
    *, rate: float, variance: float, lift: float, confidence: float = CONFIDENCE, power: float = POWER
) -> int:
    """How many visitors per arm show a change of the rate by `lift` of itself with at least that power.

    `variance` is that of a visitor's deviations: rate * (1 - rate) where each counts once. More than in a
    test that may be looked at only once, at its end; in return a clear winner is seen long before.
    """
    error = rate * lift / (half_width(1.0, confidence=confidence) + NormalDist().inv_cdf(power))
    return math.ceil(2 * variance / error**2)


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How often clicks fell on the challenger's items, of those visitors who preferred one side."""

    wins: int
    losses: int
    share: float
    """wins / (wins + losses); NaN without any."""
    low: float
    high: float
    """Bounds of the true share that hold at every look at once."""


def preference(wins: int, losses: int, *, confidence: float = CONFIDENCE) -> Preference:
    """The share of the challenger, with bounds that may be looked at whenever one likes.

    The bounds are all shares p at which the mixture martingale
    B(wins + 1, losses + 1) / (p^wins (1 - p)^losses) stays below 1 / (1 - confidence), by Ville's inequality:
    Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
    Statistics 41, 1970.
    """
    seen = wins + losses
    if not seen:
        return Preference(wins=0, losses=0, share=math.nan, low=0.0, high=1.0)
    low, rest = _lowest(wins, losses, confidence), _lowest(losses, wins, confidence)
    return Preference(wins=wins, losses=losses, share=wins / seen, low=low, high=1 - rest)


def _lowest(wins: int, losses: int, confidence: float) -> float:
    """Return the least share of wins that is possible."""
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    if not wins:
        return 0.0
    evidence = betaln(wins + 1, losses + 1) + math.log(1 - confidence)

    def margin(p: float) -> float:
        return float(xlogy(wins, p) + xlog1py(losses, -p) - evidence)

    impossible, seen = sys.float_info.min, wins / (wins + losses)
    return float(brentq(margin, impossible, seen, xtol=TOLERANCE))


def preferences_needed(*, lift: float, confidence: float = CONFIDENCE, power: float = POWER) -> int:
    """How many visitors must prefer one list to show, with at least that power, that the items of the better
    one are chosen `lift` more often than those of the other: then (1 + lift) / (2 + lift) of them prefer it.

    Exact (binomial), for a look at this number alone: who looks earlier as well finds it no later.
    """
    share = (1 + lift) / (2 + lift)
    enough = 1
    while _power(enough, share, confidence) < power:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if _power(middle, share, confidence) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def _power(seen: int, share: float, confidence: float) -> float:
    """How likely `seen` visitors are to prove that more than half prefer what a `share` of all prefers."""
    from scipy.special import bdtrc, betaln

    fair = math.log(1 - confidence) - seen * math.log(0.5)
    few, proven = seen // 2, seen + 1
    while proven - few > 1:
        wins = (few + proven) // 2
        if betaln(wins + 1, seen - wins + 1) + fair > 0:
            proven = wins
        else:
            few = wins
    return float(bdtrc(proven - 1, seen, share)) if proven <= seen else 0.0


def uneven_split(visitors: Sequence[int], shares: Sequence[float]) -> float:
    """How likely a split at least so far from its shares is by chance; below 0.001 something is wrong with
    how visitors are counted, and the result means nothing (sample ratio mismatch: Fabijan et al., KDD 2019).

    Each arm is tested by itself with a normal approximation, and the least probable one is multiplied by the
    number of arms. 1 without visitors.
    """
    total, whole = sum(visitors), sum(shares)
    if not total:
        return 1.0
    worst = 1.0
    for seen, share in zip(visitors, shares, strict=True):
        part = share / whole
        deviation = abs(seen - total * part) / math.sqrt(total * part * (1 - part))
        worst = min(worst, math.erfc(deviation / math.sqrt(2)))
    return min(1.0, worst * len(visitors))
