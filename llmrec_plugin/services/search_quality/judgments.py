"""Judgements by hand: what to grade for a query, and how good search is by all grades, over time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.utils.text import Truncator

from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation import metrics
from llmrec_plugin.exceptions import InvalidRequest, NotBuilt
from llmrec_plugin.models import Configuration, Judgment, SearchQuality, own
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.search import pipeline
from llmrec_plugin.services.search.query_analysis import MAX_LENGTH
from llmrec_plugin.services.serving.variants import Variant
from llmrec_plugin.types import SearchRequest

logger = logging.getLogger(__name__)

SHOWN = 20
CUT = 10
MAX_QUERIES = 500
"""The ones judged last; each is encoded and searched."""
EXCERPT = 160
GRADES = (0, 1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A frozen record of one result that is to be graded."""

    key: str
    title: str
    excerpt: str
    grade: int | None
    """None: nobody judged it."""


def candidates(document: str, query: str) -> list[Candidate]:
    """Return the first results as everybody gets them now, with their grades; nothing of it is kept or
    counted.

    Raises what a search raises.
    """
    declared = registry.get(document)
    ranked = pipeline.preview(SearchRequest(document=document, text=query))
    keys = [item.key for item in ranked.items[:SHOWN]]
    objects = declared.in_bulk(keys)
    grades = grades_of(document, query)
    return [
        Candidate(
            key=key,
            title=declared.get_title(objects[key]),
            excerpt=_excerpt(declared.prepare(objects[key])),
            grade=grades.get(key),
        )
        for key in keys
        if key in objects
    ]


def _excerpt(prepared: object) -> str:
    texts = list(getattr(prepared, "text", {}).values())
    return Truncator(" ".join(text for text in texts[1:] if text)).chars(EXCERPT)


def grades_of(document: str, query: str) -> dict[str, int]:
    """Return item -> grade, of this text as it stands."""
    rows = Judgment.objects.filter(document=document, query=query)
    return dict(rows.values_list("item_id", "grade"))


def judge(document: str, query: str, grades: Mapping[str, int | None]) -> int:
    """Store the grades; None takes one back. Returns how many rows changed.

    Raises InvalidRequest for a grade out of range or a query that is empty or too long.
    """
    if not query or len(query) > MAX_LENGTH:
        raise InvalidRequest(f"A query has 1 to {MAX_LENGTH} characters.", parameter="query")
    if not all(grade is None or grade in GRADES for grade in grades.values()):
        raise InvalidRequest("A grade is 0, 1, 2 or 3.", parameter="grade")
    known = grades_of(document, query)
    changed = {key: grade for key, grade in grades.items() if grade != known.get(key)}
    rows = Judgment.objects.filter(document=document, query=query)
    query_id = rows.values_list("query_id", flat=True).first() or _new_id(query)
    with transaction.atomic(using=own.database()):
        rows.filter(item_id__in=[key for key, grade in changed.items() if grade is None]).delete()
        for key, grade in changed.items():
            if grade is not None:
                Judgment.objects.update_or_create(
                    document=document,
                    query_id=query_id,
                    item_id=key,
                    defaults={"query": query, "grade": grade},
                )
    return len(changed)


def _new_id(query: str) -> str:
    """Return an id that is unlike those of any imported file."""
    return "hand:" + hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def judged_queries(document: str) -> list[str]:
    """Return the texts with at least one grade, the latest first."""
    rows = Judgment.objects.filter(document=document).order_by("-id").values_list("query", flat=True)
    return list(dict.fromkeys(rows.iterator()))


def measure_all() -> int:
    """Measure every document that something was judged for; returns how many."""
    measured = 0
    for label in registry.labels():
        try:
            measured += measure(label) is not None
        except NotBuilt:
            logger.warning("no live index document=%s", label)
    return measured


def measure(document: str) -> SearchQuality | None:
    """Measure how well what is live answers the judged queries, and put it on record; None where none can be
    measured.

    As everybody gets it: without taste and experiments. Raises NotBuilt.
    """
    pair = live_pair(document)
    grades = graded_queries(document)
    if not grades:
        return None
    found = rankings(document, grades, Configuration.current())
    return SearchQuality.objects.create(
        document=document,
        queries=len(found),
        ndcg=_mean(metrics.ndcg(*one, k=CUT) for one in found),
        condensed_ndcg=_mean(metrics.condensed_ndcg(*one, k=CUT) for one in found),
        judged=_mean(metrics.judged(*one, k=CUT) for one in found),
        index_version=pair.index_version,
        model_version=pair.model_version,
    )


def graded_queries(document: str) -> dict[str, dict[str, int]]:
    """Return text -> item -> grade, of the queries judged last for which something is relevant."""
    grades: dict[str, dict[str, int]] = {}
    rows = Judgment.objects.filter(document=document).order_by("-id")
    for text, key, grade in rows.values_list("query", "item_id", "grade").iterator():
        grades.setdefault(text, {})[key] = grade
    relevant = [text for text, judged in grades.items() if max(judged.values()) > 0]
    return {text: grades[text] for text in relevant[:MAX_QUERIES]}


def rankings(
    document: str, grades: Mapping[str, Mapping[str, int]], configuration: Configuration
) -> list[tuple[list[str], Mapping[str, int]]]:
    """Return what each query finds under the configuration, with its grades."""
    variant = Variant(configuration=configuration)
    return [
        (
            [
                item.key
                for item in pipeline.ranked_list(SearchRequest(document=document, text=text), variant).items
            ],
            of,
        )
        for text, of in grades.items()
    ]


def mean_ndcg(document: str, grades: Mapping[str, Mapping[str, int]], configuration: Configuration) -> float:
    """Return NDCG@10 over the queries as everybody would be served by the configuration."""
    return _mean(metrics.ndcg(*one, k=CUT) for one in rankings(document, grades, configuration))


def _mean(values: Iterable[float]) -> float:
    """Return the mean; a query that found nothing at all counts 0."""
    return float(np.mean([0.0 if np.isnan(value) else value for value in values]))
