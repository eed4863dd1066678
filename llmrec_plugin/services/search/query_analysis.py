"""A query, from what was typed to words, phrases and a vector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.exact import TypedWord, exact_terms, typed_words
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.analysis.languages import detect_language
from llmrec_plugin.analysis.operators import Operators
from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.backends.spelling import SHORTEST
from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.curation import synonyms
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.inference.query_embeddings import encode_query
from llmrec_plugin.services.search.context import AnalysedQuery, SearchContext
from llmrec_plugin.types import Phrase

MAX_LENGTH = 500
"""Characters of a query that are read."""
MAX_SPELLED = 8
"""Words of a query whose spelling is looked up; of a longer text none."""


def analyse(context: SearchContext) -> SearchContext:
    """Return the context with its query analysed; a text of blanks alone is empty."""
    return context.with_query(_analysed_query(context.request.text, context))


def respelled(context: SearchContext, text: str) -> SearchContext:
    """Return the context with this text asked for in place of what was typed."""
    return context.with_query(replace(_analysed_query(text, context), typed=context.query.typed))


def _analysed_query(text: str, context: SearchContext) -> AnalysedQuery:
    with dictionaries.of(context.pair.index_version):
        # PostgreSQL stores no NUL
        return _read(" ".join(text[:MAX_LENGTH].replace("\0", " ").split()), context)


def _read(text: str, context: SearchContext) -> AnalysedQuery:
    if not text:
        return AnalysedQuery(text="")
    version = context.pair.index_version
    parts = operators.parse(text)
    with_vector = _wants_vector(context.configuration) and bool(parts.text)
    vector = encode_query(parts.text, version=version) if with_vector else None
    language = detect_language(parts.text)
    expanded = synonyms.expand(
        parts.text,
        query_words(parts.text),
        document=version.document,
        language=language,
        configuration=context.configuration,
        proposed=context.proposed,
    )
    return AnalysedQuery(
        text=parts.text,
        typed=text,
        words=expanded.words,
        synonyms=expanded.added,
        phrases=_phrases(parts.phrases),
        without=_phrases(parts.without),
        spelled=tuple(word for word in _spelled(text, parts) if word.exact not in expanded.terms),
        language=language,
        vector=vector,
        degraded=("vector",) if with_vector and vector is None else (),
    )


def _wants_vector(configuration: Configuration) -> bool:
    return get_settings().ENABLED and configuration.text_weight < 1.0


def _phrases(texts: Iterable[str]) -> tuple[Phrase, ...]:
    """Return the phrases that have a word in them; what has none asks for nothing."""
    found = (Phrase(terms=tuple(exact_terms(text)), text=text) for text in texts)
    return tuple(phrase for phrase in found if phrase.terms)


def _spelled(text: str, parts: Operators) -> tuple[TypedWord, ...]:
    """Return the words whose spelling is worth a look: not of what stands in quotes or is not wanted, where
    visitors mean what they typed, nor of a long text, a code or a number."""
    if parts.phrases or parts.without:
        return ()
    found = [word for word in typed_words(text) if _is_worth_a_look(word.exact)]
    return tuple(found) if len(found) <= MAX_SPELLED else ()


def _is_worth_a_look(word: str) -> bool:
    return word.isalpha() and len(word) >= (2 if HAN.match(word) else SHORTEST)
