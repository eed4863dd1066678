"""Answers judged queries by each leg, by both ways to fuse them and as the site does, and compares."""

from __future__ import annotations

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation import comparison, metrics
from llmrec_plugin.evaluation.comparison import contrast
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Configuration, Judgment
from llmrec_plugin.services.evaluation.progress import ReportProgress
from llmrec_plugin.services.evaluation.recommendation import SERVED, Measured
from llmrec_plugin.services.items.preparation import prepared
from llmrec_plugin.services.search.pipeline import search
from llmrec_plugin.services.serving import stored_lists
from llmrec_plugin.types import PreparedItem, SearchRequest

METRICS: Mapping[str, Callable[..., float]] = {
    "NDCG@10": metrics.ndcg,
    "condensed NDCG@10": metrics.condensed_ndcg,
    "MRR": metrics.reciprocal_rank,
    "Recall@100": metrics.recall,
    "judged@10": metrics.judged,
}
PLACES = {"MRR": 100, "Recall@100": 100}
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "bm25": {"text_weight": 1.0},
    "vector": {"text_weight": 0.0},
    "rrf": {"fusion": Configuration.Fusion.RRF, "text_weight": 0.5},
    "linear": {"fusion": Configuration.Fusion.LINEAR, "text_weight": 0.5},
    SERVED: {},
}
"""What differs from the site's configuration."""
REFERENCE = "bm25s"
REFERENCE_HITS = 400
REFERENCE_LANGUAGES = {"en": "english", "": "english"}
"""By code the name that its stemmer goes by; where the items speak another one there is no reference."""


def measure(label: str, users: Mapping[str, str], report_progress: ReportProgress) -> Measured:
    """Return the search part of the report, from the stored judgements; `users`: query id -> who asks.

    Queries without a relevant item cannot be measured and are left out. For a throwaway database: the
    configuration is changed and put back. Raises InvalidRequest where no query can be measured.
    """
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    texts: dict[str, str] = {}
    for row in Judgment.objects.filter(document=label).order_by("id"):
        grades[row.query_id][row.item_id] = row.grade
        texts[row.query_id] = row.query
    queries = [query for query, judged in grades.items() if max(judged.values()) > 0]
    if not queries:
        raise InvalidRequest(
            "No query has an item that was judged relevant (a grade above 0).", parameter="qrels"
        )
    values: dict[str, dict[str, Any]] = {}
    for name, rank in _rankers(label).items():
        with rank as ranking:
            lists = []
            for number, query in enumerate(queries, start=1):
                lists.append(ranking(texts[query], users.get(query)))
                report_progress(f"search by {name}", number, len(queries))
        values[name] = {
            metric: np.array(
                [
                    found(items, grades[query], k=PLACES.get(metric, 10))
                    for items, query in zip(lists, queries, strict=True)
                ]
            )
            for metric, found in METRICS.items()
        }
    others = [name for name in values if name != SERVED]
    report = {
        "queries": len(queries),
        "judgments": sum(map(len, grades.values())),
        "unmeasured_queries": len(grades) - len(queries),
        "methods": comparison.table(values),
        "paired": [
            asdict(contrast(values, SERVED, other, metric=metric, groups=queries))
            for metric in ("NDCG@10", "condensed NDCG@10")
            for other in others
        ],
    }
    by_case = {metric: column.tolist() for metric, column in values[SERVED].items()}
    return Measured(report={"search": report}, by_case={**by_case, "groups": queries})


Ranking = Callable[[str, str | None], list[str]]


def _rankers(label: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: _configured(label, changes) for name, changes in CONFIGURATIONS.items()}
    if importlib.util.find_spec(REFERENCE) is not None:
        document = registry.get(label)
        items = [item for row in document.get_queryset() if (item := prepared(document, row)) is not None]
        ((language, _),) = Counter(item.language for item in items).most_common(1)
        if language in REFERENCE_LANGUAGES:
            found = {REFERENCE: _reference(items, REFERENCE_LANGUAGES[language]), **found}
    return found


@contextmanager
def _configured(label: str, changes: Mapping[str, Any]) -> Iterator[Ranking]:
    """Yield the search service under a changed configuration."""
    kept = Configuration.current()
    kept.with_overrides(changes).save()
    try:
        yield lambda text, user: stored_lists.ranked_keys(
            search(SearchRequest(document=label, text=text, user_key=user))
        )
    finally:
        kept.save()


@contextmanager
def _reference(items: Sequence[PreparedItem], language: str) -> Iterator[Ranking]:
    """Return somebody else's BM25, where it is installed: a weak one of ours would flatter what is built on
    it."""
    import bm25s
    import snowballstemmer

    stemmer = snowballstemmer.stemmer(language)
    options = {"stopwords": None, "stemmer": stemmer.stemWords, "show_progress": False}
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(bm25s.tokenize([item.passage for item in items], **options), show_progress=False)

    def rank(text: str, user: str | None) -> list[str]:
        words = bm25s.tokenize([text], **options)
        places, scores = index.retrieve(
            words, k=min(REFERENCE_HITS, len(items)), show_progress=False, sorted=True
        )
        return [items[p].key for p, score in zip(places[0], scores[0], strict=True) if score > 0]

    yield rank
