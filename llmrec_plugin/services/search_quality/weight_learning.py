"""Finds better weights of search by judgements or clicks, and lets them count where they are proven.

How is `learning.search_weights`; the weights go into the configuration, whose history leads back (ADR 0020).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal, TypeAlias

import numpy as np
from django.db import transaction

from llmrec_plugin.conf import get_settings
from llmrec_plugin.learning.click_models.fusion_weights import (
    STRENGTHS,
    TEXT_WEIGHTS,
    Candidates,
    Setting,
    click_values,
    first_half,
    graded_values,
    prove,
)
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.models import Configuration, Judgment, SearchWeightRun, own
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.experiments import assignment
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT
from llmrec_plugin.services.search_quality import click_evidence, judgments
from llmrec_plugin.services.search_quality.click_evidence import Click, ClickLog, Degraded
from llmrec_plugin.services.search_quality.weight_report import (
    MIN_CLICKS,
    MIN_JUDGED,
    Evidence,
    NoSearch,
    WeightSearch,
    WeightStep,
)

logger = logging.getLogger(__name__)

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
"""A query to its candidates, each query being run once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredSettings:
    """A frozen record that tells how good each setting is by each case: a judged query or a click."""

    source: Literal["judgements", "clicks"]
    values: Values
    """Shape (settings, cases)."""
    names: Sequence[str]
    """Of each case: by which the halves are dealt and, as a whole, drawn."""
    under: Sequence[Values] = ()
    """The same at the ends of doubt."""


@dataclass(frozen=True)
class TooLittle:
    """Says that nothing tells the settings apart, and why."""

    reason: Literal["few", "few-personal", "bias"]


Measured: TypeAlias = MeasuredSettings | TooLittle


def learn_search_weights(label: str, *, by: str) -> SearchWeightRun:
    """Look for better weights of the document's searches; on record either way, with the reason.

    What is proven counts from the next request on. Raises NotFound and NotBuilt.
    """
    pair = live_pair(label)
    configuration = Configuration.current()
    newest_judgment = _newest_judgment(label)
    searched = _searched(label, pair, configuration)
    if isinstance(searched, WeightSearch):
        adopted = bool(searched.found) and _adopt(label, pair, searched.found, by=by)
        reason = "own" if searched.found and not adopted else ""
        steps = searched.as_json()
    else:
        adopted, reason, steps = False, searched, {}
    report = {"newest_judgment": newest_judgment, **steps, **({"reason": reason} if reason else {})}
    logger.info("search weighed document=%s adopted=%s reason=%s", label, adopted, reason)
    return SearchWeightRun.objects.create(document=label, adopted=adopted, by=by, report=report)


def is_due(label: str) -> bool:
    """Return whether editors judged something since the last look, and enough in all to tell by."""
    newest = _newest_judgment(label)
    latest = SearchWeightRun.objects.filter(document=label).first()
    if not newest or (latest is not None and latest.report.get("newest_judgment") == newest):
        return False
    return Configuration.current().search_learned and len(judgments.graded_queries(label)) >= MIN_JUDGED


def _newest_judgment(label: str) -> int:
    newest = Judgment.objects.filter(document=label).order_by("-id").values_list("id", flat=True).first()
    return newest or 0


def _searched(label: str, pair: LivePair, configuration: Configuration) -> WeightSearch | NoSearch:
    """Return what the look came to, or why there was none."""
    if not get_settings().ENABLED:
        return "off"
    if not configuration.search_learned:
        return "own"
    if assignment.experiment_for(label, SEARCH_PLACEMENT, configuration) is not None:
        return "experiment"
    try:
        return _search_weights(label, pair, configuration)
    except Degraded:
        return "degraded"


def _search_weights(label: str, pair: LivePair, configuration: Configuration) -> WeightSearch:
    """Look for the weight of words and meaning, and under it for that of taste; raises Degraded."""
    current = configuration.for_search(label, pair.index_version.encoder_id)
    log = click_evidence.read_clicks(label, pair, configuration)
    grades = judgments.graded_queries(label)
    evidence = Evidence(judged=len(grades), clicks=len(log.clicks))
    find = cache(partial(click_evidence.candidates, label, configuration=current))
    text_step = _text_step(label, current, grades, log, find, evidence)
    settled = current
    if text_step.found is not None:
        settled = current.with_overrides({"text_weight": text_step.found})
    strengths = sorted({*STRENGTHS, current.taste_weight})
    settings = [Setting(text_weight=settled.text_weight, strength=strength) for strength in strengths]
    measured = _by_tastes(pair, log, settings, current, find)
    taste_step = _proven(measured, strengths, current.taste_weight, evidence)
    return WeightSearch(bias=log.bias, text_weight=text_step, taste_weight=taste_step)


def _text_step(
    label: str,
    current: Configuration,
    grades: Mapping[str, Mapping[str, int]],
    log: ClickLog,
    find: Find,
    evidence: Evidence,
) -> WeightStep:
    """Look by judgements where there are enough, else by clicks; judged queries must not become worse."""
    weights = sorted({*TEXT_WEIGHTS, current.text_weight})
    settings = [Setting(text_weight=weight) for weight in weights]
    enough = evidence.judged >= MIN_JUDGED
    measured = _by_grades(grades, settings, find) if enough else _by_clicks(log, settings, find)
    step = _proven(measured, weights, current.text_weight, evidence)
    if step.found is None or not grades:  # where nothing was judged, nobody can say
        return step
    before = judgments.mean_ndcg(label, grades, current)
    after = judgments.mean_ndcg(label, grades, current.with_overrides({"text_weight": step.found}))
    return replace(step, judged_ndcg=(before, after), reason="judgements" if after < before else "")


def _by_grades(
    grades: Mapping[str, Mapping[str, int]], settings: Sequence[Setting], find: Find
) -> MeasuredSettings:
    columns = []
    for text, judged in grades.items():
        found = find(text)
        columns.append(graded_values(found.scores(settings), found, judged))
    return MeasuredSettings(source="judgements", values=np.stack(columns, axis=1), names=list(grades))


def _by_clicks(log: ClickLog, settings: Sequence[Setting], find: Find) -> Measured:
    """Measure by the words alone, without taste."""
    reason = _too_little(log)
    if reason is not None:
        return reason
    columns, counted = [], []
    for text, clicks in _by_query(log.clicks).items():
        found = find(text)
        known = [click for click in clicks if click.key in found.places]
        places = [found.places[click.key] for click in known]
        columns.append(click_values(found.scores(settings), places))
        counted += known
    if len(counted) < MIN_CLICKS:
        return TooLittle("few")
    return _weighed(np.concatenate(columns, axis=1), counted, log, [click.query for click in counted])


def _by_tastes(
    pair: LivePair, log: ClickLog, settings: Sequence[Setting], configuration: Configuration, find: Find
) -> Measured:
    """Measure by the clicks of visitors with a past, who are dealt into halves as a whole."""
    reason = _too_little(log)
    if reason is not None:
        return reason
    columns, counted = [], []
    for text, clicks in _by_query(log.clicks).items():
        found = find(text)
        known = [click for click in clicks if click.key in found.places]
        for click, taste in click_evidence.tastes(pair, found, known, configuration):
            columns.append(click_values(found.scores(settings, taste), [found.places[click.key]]))
            counted.append(click)
    if len(counted) < MIN_CLICKS:
        return TooLittle("few-personal")
    return _weighed(np.concatenate(columns, axis=1), counted, log, [click.user for click in counted])


def _too_little(log: ClickLog) -> TooLittle | None:
    if len(log.clicks) < MIN_CLICKS:
        return TooLittle("few")
    if log.bias.clicks < MIN_TELLING or log.bias.error > MAX_ERROR:
        return TooLittle("bias")
    return None


def _by_query(clicks: Sequence[Click]) -> dict[str, list[Click]]:
    """Return the latest clicks, on the queries that have most of them."""
    latest = clicks[:MAX_CLICKS]
    most = Counter(click.query for click in latest).most_common(MAX_QUERIES)
    found: dict[str, list[Click]] = defaultdict(list)
    wanted = {query for query, _ in most}
    for click in latest:
        if click.query in wanted:
            found[click.query].append(click)
    return found


def _weighed(
    values: Values, clicks: Sequence[Click], log: ClickLog, names: Sequence[str]
) -> MeasuredSettings:
    """Have each click count what its position was missed for, by the likeliest bias and the ends of doubt."""
    positions = [click.position for click in clicks]
    likeliest, *others = (
        values * (weights / weights.mean())
        for weights in (log.bias.weights(positions, errors=errors) for errors in (0.0, -ERRORS, ERRORS))
    )
    return MeasuredSettings(source="clicks", values=likeliest, names=names, under=others)


def _proven(measured: Measured, weights: Sequence[float], current: float, evidence: Evidence) -> WeightStep:
    """Have one half of the cases choose a weight, and the other prove it."""
    if isinstance(measured, TooLittle):
        return WeightStep(before=current, evidence=evidence, reason=measured.reason)
    step = WeightStep(before=current, evidence=evidence, source=measured.source)
    chooses = first_half(measured.names)
    halves = [
        len({name for name, one in zip(measured.names, chooses.tolist(), strict=True) if one is half})
        for half in (True, False)
    ]
    if min(halves) < MIN_HALF:
        return replace(step, reason="few")
    place = list(weights).index(current)
    proof = prove(
        measured.values,
        current=place,
        chooses=chooses,
        groups=measured.names,
        rng=np.random.default_rng(SEED),
        under=measured.under,
    )
    unproven = "none-better" if proof.tried == place else "not-proven"
    return replace(step, tried=weights[proof.tried], proof=proof, reason="" if proof.proven else unproven)


def _adopt(label: str, pair: LivePair, found: Mapping[str, float], *, by: str) -> bool:
    """Put the weights into the configuration, unless editors want their own weights to count by now."""
    encoder_id = pair.index_version.encoder_id
    with transaction.atomic(using=own.database()):
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
