"""Suggests synonyms to editors, from what visitors searched for and took; accepted, one is an ordinary row.

How they are found is `learning.synonyms` (ADR 25).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice, pairwise
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.exact import worded_terms
from llmrec_plugin.analysis.languages import configured
from llmrec_plugin.analysis.text import fold
from llmrec_plugin.analysis.words import spellings
from llmrec_plugin.backends.spelling import allowed_edits
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError, NotFound
from llmrec_plugin.learning.mining.synonyms import Search, Suggestion, Words, differing, suggest
from llmrec_plugin.models import Impression, Synonym, SynonymSuggestion, own
from llmrec_plugin.models.synonyms import LONGEST_LINE, lines_of
from llmrec_plugin.services.curation import synonyms
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.search import pipeline
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT
from llmrec_plugin.services.search_quality.click_evidence import clicked_in
from llmrec_plugin.types import SearchRequest

logger = logging.getLogger(__name__)

WINDOW = timedelta(days=90)
MAX_LISTS = 50_000
BATCH = 500
MAX_SUGGESTIONS = 30
"""Per document: nobody decides on more at a time."""
MAX_EXAMPLES = 5
SHOWN = 10
SEED = 0
OPEN = SynonymSuggestion.State.OPEN


def suggest_all() -> dict[str, int]:
    """Look anew, for every document; how many suggestions wait for a decision, by document.

    Each rests on LLMREC["SUGGEST_MIN_VISITORS"] visitors at least, whose searches may be learned from, and
    tells of no search that fewer have made. What was decided before is not suggested again.
    """
    return {label: _suggest(label) for label in registry.labels()}


def accept(pk: int, *, by: str) -> Synonym:
    """Make it a synonym, in effect from the next search on; raises NotFound where it is decided already."""
    with transaction.atomic(using=own.database()):
        row = _decide(pk, SynonymSuggestion.State.ACCEPTED, by=by).as_synonym()
        row.save()
    return row


def dismiss(pk: int, *, by: str) -> SynonymSuggestion:
    """Have it never be suggested again; raises NotFound where it is decided already."""
    return _decide(pk, SynonymSuggestion.State.DISMISSED, by=by)


def _decide(pk: int, state: SynonymSuggestion.State, *, by: str) -> SynonymSuggestion:
    rows = SynonymSuggestion.objects.filter(pk=pk, state=OPEN)
    if not rows.update(state=state, by=by, decided_at=timezone.now()):
        raise NotFound("This suggestion was decided on, or replaced by a newer count: open the page again.")
    return SynonymSuggestion.objects.get(pk=pk)


def _suggest(label: str) -> int:
    found = suggest(
        _searches(label), least=get_settings().SUGGEST_MIN_VISITORS, rng=np.random.default_rng(SEED)
    )
    known = _known(label)
    rows = []
    for one in found:
        typed, meant = _text(one.typed), _text(one.found)
        if _is_worth_asking(one) and not any({fold(typed), fold(meant)} <= group for group in known):
            rows.append(_row(label, one, typed, meant))
    rows = rows[:MAX_SUGGESTIONS]
    for row in rows:
        row.evidence["preview"] = _preview(row)
    with transaction.atomic(using=own.database()):
        SynonymSuggestion.objects.filter(document=label, state=OPEN).delete()
        SynonymSuggestion.objects.bulk_create(rows)
    logger.info("synonyms suggested document=%s suggestions=%d", label, len(rows))
    return len(rows)


def _searches(label: str) -> Iterator[Search]:
    lists = Impression.objects.filter(
        document=label, placement=SEARCH_PLACEMENT, at__gt=timezone.now() - WINDOW
    )
    rows = consent.consented(lists).exclude(user_key="").exclude(query="").order_by("-at")
    latest = rows.values_list("request_id", "user_key", "query", "at")[:MAX_LISTS].iterator(chunk_size=BATCH)
    while batch := list(islice(latest, BATCH)):
        clicked = clicked_in([request_id for request_id, *_ in batch])
        for request_id, visitor, query, at in batch:
            parts = operators.parse(query)
            words = _words(parts.text)
            if words and not (parts.phrases or parts.without):  # who quotes means these very words
                taken = frozenset(clicked.get(request_id, ()))
                yield Search(visitor=visitor, words=words, at=at.timestamp(), taken=taken)


def _words(text: str) -> Words:
    """Return the words, folded; Chinese as the dictionary divides it."""
    terms, starts = worded_terms(text)
    return tuple("".join(terms[start:end]) for start, end in pairwise(sorted(starts)))


def _text(words: Words) -> str:
    """Return the words as they are written: Chinese words side by side, others with a blank between them."""
    text = words[0]
    for before, word in pairwise(words):
        text += word if not (before[-1].isascii() or word[0].isascii()) else f" {word}"
    return text


def _known(label: str) -> list[set[str]]:
    """Return groups of words that stand in a row already, in effect or not, or were decided on."""
    written = Synonym.objects.filter(Q(document="") | Q(document=label))
    decided = SynonymSuggestion.objects.filter(document=label).exclude(state=OPEN)
    rows = [*written.values_list("words", "found"), *decided.values_list("words", "found")]
    return [{fold(line) for line in (*lines_of(words), *lines_of(found))} for words, found in rows]


def _is_worth_asking(one: Suggestion) -> bool:
    """Return False for numbers, and for forms and spellings of one word, which search knows by itself."""
    sides = (one.typed, one.found)
    said = differing(*sides) or sides
    if not all(any(map(str.isalpha, "".join(side))) for side in said):
        return False
    if any(len(_text(side)) > LONGEST_LINE for side in sides):
        return False
    if len(one.typed) != len(one.found):
        return "".join(one.typed) != "".join(one.found)
    return not all(map(_is_same_word, *sides))


def _is_same_word(one: str, other: str) -> bool:
    from rapidfuzz.distance import OSA

    spoken = configured().spoken
    if not set(spellings(one, spoken)).isdisjoint(spellings(other, spoken)):
        return True
    edits = min(allowed_edits(one), allowed_edits(other))
    return one[0] == other[0] and OSA.distance(one, other) <= edits


def _row(label: str, one: Suggestion, typed: str, meant: str) -> SynonymSuggestion:
    examples = [[_text(first), _text(second), count] for first, second, count in one.examples[:MAX_EXAMPLES]]
    return SynonymSuggestion(
        document=label,
        kind=Synonym.Kind.TWO_WAY if one.two_way else Synonym.Kind.ONE_WAY,
        words=f"{typed}\n{meant}" if one.two_way else typed,
        found="" if one.two_way else meant,
        visitors=one.visitors,
        evidence={"reasons": list(one.reasons), "examples": examples},
    )


def _preview(row: SynonymSuggestion) -> list[dict[str, Any]]:
    """Return what each of the searches finds now, what with the synonym, and how many of the first ten are
    new."""
    proposed = synonyms.known(row.as_synonym())
    return [one for text in lines_of(row.words) if (one := _previewed(row.document, text, proposed))]


def _previewed(label: str, text: str, proposed: Sequence[synonyms.KnownSynonym]) -> dict[str, Any] | None:
    request = SearchRequest(document=label, text=text)
    try:
        before, after = pipeline.preview(request), pipeline.preview(request, proposed=proposed)
    except LlmrecError:  # no index, or it does not answer: the evidence stands all the same
        return None
    totals = [len(ranked.items) if ranked.total is None else ranked.total for ranked in (before, after)]
    known = {item.key for item in before.items[:SHOWN]}
    new = sum(item.key not in known for item in after.items[:SHOWN])
    return {"query": text, "before": totals[0], "after": totals[1], "new": new}
