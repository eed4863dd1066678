"""Finds better weights of search by judgements or clicks, and lets them count where they are proven.

How is `learning.search_weights`; the weights go into the configuration, whose history leads back (ADR 0020).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from llmrec_plugin.conf import get_settings
from llmrec_plugin.learning.click_models.fusion_weights import (
    STRENGTHS,
    TEXT_WEIGHTS,
    Candidates,
    Proof,
    Setting,
    click_values,
    first_half,
    graded_values,
    prove,
)
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.models import Configuration, Judgment, SearchWeightRun
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.experiments import assignment
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT
from llmrec_plugin.services.search_quality import click_evidence, judgments
from llmrec_plugin.services.search_quality.click_evidence import Click, ClickLog, Degraded

logger = logging.getLogger(__name__)

MIN_JUDGED = 50
"""Judged queries below which clicks are asked."""
MIN_CLICKS = 200
MIN_HALF = 20
"""Different queries, or visitors, in each half."""
MIN_TELLING = 100
"""Clicks on results that stood at several positions."""
MAX_ERROR = 0.3
"""Of the exponent of the position bias."""
ERRORS = 1.64
"""A gain by clicks must hold with a position bias so many standard errors weaker or stronger."""
MAX_QUERIES = 500
MAX_CLICKS = 3_000
SEED = 0

Find: TypeAlias = Callable[[str], Candidates]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Cases:
    """Settings, measured."""

    values: Values
    """Shape (settings, cases)."""
    names: Sequence[str]
    """Of each case: by which the halves are dealt and, as a whole, drawn."""
    under: Sequence[Values] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def learn_search_weights(label: str, *, by: str) -> SearchWeightRun:
    """Look for better weights of the document's searches; on record either way, with the reason.

    What is proven counts from the next request on. Raises NotFound and NotBuilt.
    """
    pair = live_pair(label)
    configuration = Configuration.current()
    report: dict[str, Any] = {"newest_judgment": _newest_judgment(label)}
    found: dict[str, float] = {}
    reason = _why_not(label, configuration)
    if not reason:
        try:
            found = _chosen(label, pair, configuration, report)
        except Degraded:
            reason = "degraded"
    kept = bool(found) and _put(label, pair, found, by=by)
    if found and not kept:
        reason = "own"
    if reason:
        report["reason"] = reason
    logger.info("search weighed document=%s kept=%s reason=%s", label, kept, reason)
    return SearchWeightRun.objects.create(document=label, kept=kept, by=by, report=report)


def is_due(label: str) -> bool:
    """Whether editors judged something since the last look, and enough in all to tell by."""
    newest = _newest_judgment(label)
    latest = SearchWeightRun.objects.filter(document=label).first()
    if not newest or (latest is not None and latest.report.get("newest_judgment") == newest):
        return False
    return Configuration.current().search_learned and len(judgments.graded_queries(label)) >= MIN_JUDGED


def _newest_judgment(label: str) -> int:
    newest = Judgment.objects.filter(document=label).order_by("-id").values_list("id", flat=True).first()
    return newest or 0


def _why_not(label: str, configuration: Configuration) -> str:
    if not get_settings().ENABLED:
        return "off"
    if not configuration.search_learned:
        return "own"
    if assignment.experiment_for(label, SEARCH_PLACEMENT, configuration) is not None:
        return "experiment"
    return ""


def _chosen(
    label: str, pair: LivePair, configuration: Configuration, report: dict[str, Any]
) -> dict[str, float]:
    """Proven weights by field, those of words and meaning first; the report is filled in."""
    now = configuration.for_search(label, pair.index_version.encoder_id)
    log = click_evidence.read_clicks(label, pair, configuration)
    report["bias"] = {
        "exponent": log.bias.exponent,
        "error": log.bias.error if log.bias.clicks else None,
        "clicks": log.bias.clicks,
    }
    grades = judgments.graded_queries(label)
    find = cache(partial(click_evidence.candidates, label, configuration=now))
    weights = sorted({*TEXT_WEIGHTS, now.text_weight})
    settings = [Setting(text_weight=weight) for weight in weights]
    if len(grades) >= MIN_JUDGED:
        cases: _Cases | str = _by_grades(grades, settings, find)
    else:
        cases = _by_clicks(log, settings, find)
    counts = {"judged": len(grades), "clicks": len(log.clicks)}
    text, step = _proven(cases, weights, now.text_weight, counts)
    report["text_weight"] = step
    if text is not None and not _holds(label, grades, now, text, step):
        text = None
    settled = now if text is None else now.with_overrides({"text_weight": text})
    strengths = sorted({*STRENGTHS, now.taste_weight})
    settings = [Setting(text_weight=settled.text_weight, strength=strength) for strength in strengths]
    taste, report["taste_weight"] = _proven(
        _by_tastes(pair, log, settings, now, find), strengths, now.taste_weight, counts
    )
    named = (("text_weight", text), ("taste_weight", taste))
    return {name: value for name, value in named if value is not None}


def _by_grades(grades: Mapping[str, Mapping[str, int]], settings: Sequence[Setting], find: Find) -> _Cases:
    columns = []
    for text, judged in grades.items():
        found = find(text)
        columns.append(graded_values(found.scores(settings), found, judged))
    facts = {"source": "judgements"}
    return _Cases(values=np.stack(columns, axis=1), names=list(grades), facts=facts)


def _by_clicks(log: ClickLog, settings: Sequence[Setting], find: Find) -> _Cases | str:
    """By the words alone, without taste; or why it cannot be."""
    why = _too_little(log)
    if why:
        return why
    columns, counted = [], []
    for text, clicks in _by_query(log.clicks).items():
        found = find(text)
        known = [click for click in clicks if click.key in found.places]
        places = [found.places[click.key] for click in known]
        columns.append(click_values(found.scores(settings), places))
        counted += known
    if len(counted) < MIN_CLICKS:
        return "few"
    return _weighed(np.concatenate(columns, axis=1), counted, log, [click.query for click in counted])


def _by_tastes(
    pair: LivePair, log: ClickLog, settings: Sequence[Setting], configuration: Configuration, find: Find
) -> _Cases | str:
    """By the clicks of visitors with a past, who are dealt into halves as a whole; or why it cannot be."""
    why = _too_little(log)
    if why:
        return why
    columns, counted = [], []
    for text, clicks in _by_query(log.clicks).items():
        found = find(text)
        known = [click for click in clicks if click.key in found.places]
        for click, taste in click_evidence.tastes(pair, found, known, configuration):
            columns.append(click_values(found.scores(settings, taste), [found.places[click.key]]))
            counted.append(click)
    if len(counted) < MIN_CLICKS:
        return "few-personal"
    return _weighed(np.concatenate(columns, axis=1), counted, log, [click.user for click in counted])


def _too_little(log: ClickLog) -> str:
    if len(log.clicks) < MIN_CLICKS:
        return "few"
    if log.bias.clicks < MIN_TELLING or log.bias.error > MAX_ERROR:
        return "bias"
    return ""


def _by_query(clicks: Sequence[Click]) -> dict[str, list[Click]]:
    """The latest clicks, on the queries that have most of them."""
    latest = clicks[:MAX_CLICKS]
    most = Counter(click.query for click in latest).most_common(MAX_QUERIES)
    found: dict[str, list[Click]] = defaultdict(list)
    wanted = {query for query, _ in most}
    for click in latest:
        if click.query in wanted:
            found[click.query].append(click)
    return found


def _weighed(values: Values, clicks: Sequence[Click], log: ClickLog, names: Sequence[str]) -> _Cases:
    """Each click counts what its position was missed for, by the likeliest bias and at the ends of doubt."""
    positions = [click.position for click in clicks]
    likeliest, *others = (
        values * (weights / weights.mean())
        for weights in (log.bias.weights(positions, errors=errors) for errors in (0.0, -ERRORS, ERRORS))
    )
    return _Cases(values=likeliest, names=names, under=others, facts={"source": "clicks"})


def _proven(
    cases: _Cases | str, weights: Sequence[float], current: float, counts: Mapping[str, int]
) -> tuple[float | None, dict[str, Any]]:
    """The better weight, None where there is none, and the step for the record."""
    step: dict[str, Any] = {"before": current, **counts}
    if isinstance(cases, str):
        return None, {**step, "kept": False, "reason": cases}
    chooses = first_half(cases.names)
    halves = [
        len({name for name, one in zip(cases.names, chooses.tolist(), strict=True) if one is half})
        for half in (True, False)
    ]
    if min(halves) < MIN_HALF:
        return None, {**step, **cases.facts, "kept": False, "reason": "few"}
    place = list(weights).index(current)
    proof = prove(
        cases.values,
        current=place,
        chooses=chooses,
        groups=cases.names,
        rng=np.random.default_rng(SEED),
        under=cases.under,
    )
    step |= {**cases.facts, **_as_json(proof), "tried": weights[proof.tried], "kept": proof.proven}
    if not proof.proven:
        step["reason"] = "none-better" if proof.tried == place else "not-proven"
    return (weights[proof.setting] if proof.proven else None), step


def _as_json(proof: Proof) -> dict[str, Any]:
    return {
        "value_before": proof.before,
        "value_after": proof.after,
        "gain": proof.gain,
        "low": proof.low,
        "cases": proof.cases,
    }


def _holds(
    label: str,
    grades: Mapping[str, Mapping[str, int]],
    now: Configuration,
    text_weight: float,
    step: dict[str, Any],
) -> bool:
    """Whether real searches answer the judged queries no worse; where nothing was judged, nobody can say."""
    if not grades:
        return True
    before = judgments.mean_ndcg(label, grades, now)
    after = judgments.mean_ndcg(label, grades, now.with_overrides({"text_weight": text_weight}))
    step["judged_before"], step["judged_after"] = before, after
    if after < before:
        step["kept"], step["reason"] = False, "judgements"
    return after >= before


def _put(label: str, pair: LivePair, found: Mapping[str, float], *, by: str) -> bool:
    """Into the configuration, unless editors want their own weights to count by now."""
    encoder_id = pair.index_version.encoder_id
    with transaction.atomic():
        configuration = Configuration.objects.select_for_update().filter(pk=1).first() or Configuration()
        if not configuration.search_learned:
            return False
        former = configuration.search_weights.get(label, {})
        known = former if former.get("encoder_id") == encoder_id else {}
        entry = {**known, "encoder_id": encoder_id, **found}
        configuration.search_weights = {**configuration.search_weights, label: entry}
        configuration.changed_by = by
        configuration.save()
    return True


def sentences(choice: SearchWeightRun) -> Iterator[str]:
    """What was found, or why nothing changed."""
    report = choice.report
    if "reason" in report:
        yield _why(report["reason"])
        return
    for name in ("text_weight", "taste_weight"):
        yield from _told(name, report[name])


def _why(reason: str) -> str:
    return {
        "off": _("The plugin is switched off."),
        "own": _("Editors want their own weights of search to count, so none are looked for."),
        "experiment": _("An experiment on searches is running, and what it compares must stay as it is."),
        "degraded": _("The engine or the encoder did not answer."),
    }[reason]


def _told(name: str, step: Mapping[str, Any]) -> Iterator[str]:
    what = _("Words") if name == "text_weight" else _("Personal taste")
    values = {"what": what, "least_judged": MIN_JUDGED, "least_clicks": MIN_CLICKS, **step}
    if step["kept"]:
        yield (
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
        return
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
    yield _("%(what)s: %(before).2f stays, as %(why)s.") % {**values, "why": why % values}
