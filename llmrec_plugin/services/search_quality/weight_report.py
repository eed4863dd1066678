"""What a look for better search weights came to: as values, as its record, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from django.utils.translation import gettext as _

from llmrec_plugin.learning.click_models.fusion_weights import Proof
from llmrec_plugin.learning.click_models.position_bias import PositionBias
from llmrec_plugin.models import SearchWeightRun

MIN_JUDGED = 50
"""Judged queries below which clicks are asked."""
MIN_CLICKS = 200
NoSearch: TypeAlias = Literal["off", "own", "experiment", "degraded"]
"""Why no weights were looked for: see `_no_search_because`."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A frozen record that tells how much there is to judge weights by."""

    judged: int
    """Queries."""
    clicks: int


@dataclass(frozen=True, kw_only=True)
class WeightStep:
    """A frozen record that tells how one weight was looked for, and which one is proven."""

    before: float
    evidence: Evidence
    source: Literal["", "judgements", "clicks"] = ""
    """What told settings apart; empty: there was too little of both."""
    tried: float | None = None
    """The weight that one half chose."""
    proof: Proof | None = None
    """How it did on the other half; None: there was too little."""
    judged_ndcg: tuple[float, float] | None = None
    """NDCG@10 of the judged queries as real searches answer them, before and after; None: nobody asked."""
    reason: str = ""
    """Why the weight stays as it is; empty: another one is proven."""

    @property
    def found(self) -> float | None:
        """Return the proven weight; None: none is better."""
        return None if self.reason else self.tried

    def as_json(self) -> dict[str, Any]:
        """Return what `SearchWeightRun.report` holds of it; what was not measured is not there."""
        entry: dict[str, Any] = {
            "before": self.before,
            "judged": self.evidence.judged,
            "clicks": self.evidence.clicks,
            "kept": self.found is not None,
        }
        if self.source:
            entry["source"] = self.source
        if self.proof is not None:
            entry |= {
                "tried": self.tried,
                "value_before": self.proof.before,
                "value_after": self.proof.after,
                "gain": self.proof.gain,
                "low": self.proof.low,
                "cases": self.proof.cases,
            }
        if self.judged_ndcg is not None:
            entry["judged_before"], entry["judged_after"] = self.judged_ndcg
        if self.reason:
            entry["reason"] = self.reason
        return entry


@dataclass(frozen=True, kw_only=True)
class WeightSearch:
    """A frozen record that tells of a whole look: for the weight of words and meaning, then for that of
    taste."""

    bias: PositionBias
    text_weight: WeightStep
    taste_weight: WeightStep

    @property
    def found(self) -> dict[str, float]:
        """Proven weights by field of the configuration."""
        named = (("text_weight", self.text_weight.found), ("taste_weight", self.taste_weight.found))
        return {name: value for name, value in named if value is not None}

    def as_json(self) -> dict[str, Any]:
        """Return what `SearchWeightRun.report` holds of it."""
        return {
            "bias": {
                "exponent": self.bias.exponent,
                "error": self.bias.error if self.bias.clicks else None,
                "clicks": self.bias.clicks,
            },
            "text_weight": self.text_weight.as_json(),
            "taste_weight": self.taste_weight.as_json(),
        }


def sentences(run: SearchWeightRun) -> Iterator[str]:
    """Yield what was found, or why nothing changed."""
    report = run.report
    if "reason" in report:
        yield _no_search_because(report["reason"])
        return
    for name in ("text_weight", "taste_weight"):
        yield _sentence(name, report[name])


def _no_search_because(reason: str) -> str:
    return {
        "off": _("The plugin is switched off."),
        "own": _("Editors want their own weights of search to count, so none are looked for."),
        "experiment": _("An experiment on searches is running, and what it compares must stay as it is."),
        "degraded": _("The engine or the encoder did not answer."),
    }[reason]


def _sentence(name: str, step: Mapping[str, Any]) -> str:
    what = _("Words") if name == "text_weight" else _("Personal taste")
    values = {"what": what, "least_judged": MIN_JUDGED, "least_clicks": MIN_CLICKS, **step}
    if step["kept"]:
        return (
            _(
                "%(what)s: %(tried).2f counts instead of %(before).2f, NDCG@10 %(value_after).4f instead of "
                "%(value_before).4f on %(cases)d judged queries that had no part in the choice (at least "
                "%(low)+.4f)."
            )
            if step["source"] == "judgements"
            else _(
                "%(what)s: %(tried).2f counts instead of %(before).2f, what was clicked stands higher on "
                "%(cases)d clicks that had no part in the choice (%(value_after).4f instead of "
                "%(value_before).4f, at least %(low)+.4f)."
            )
        ) % values
    why = {
        "few": _(
            "there are %(judged)d of %(least_judged)d judged queries and %(clicks)d of %(least_clicks)d "
            "clicks since the weights last changed, or too few different ones"
        ),
        "few-personal": _("too few of the %(clicks)d clicks are by visitors with a past"),
        "bias": _(
            "results hardly ever stood at several positions, so that clicks do not tell what was good "
            "from what was on top"
        ),
        "none-better": _("no other weight was better"),
        "not-proven": _(
            "%(tried).2f was better for one half, and not proven by the other (%(gain)+.4f, at "
            "least %(low)+.4f)"
        ),
        "judgements": _(
            "with %(tried).2f the judged queries would be answered worse (NDCG@10 "
            "%(judged_after).4f instead of %(judged_before).4f)"
        ),
    }[step["reason"]]
    return _("%(what)s: %(before).2f stays, as %(why)s.") % {**values, "why": why % values}
