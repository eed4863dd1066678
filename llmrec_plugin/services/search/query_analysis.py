"""A query, from what was typed to words, phrases and a vector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.exact import TypedWord, exact_terms, typed_words
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.analysis.languages import detect_language
from llmrec_plugin.analysis.operators import Operators
from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.backends.spelling import SHORTEST
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.services.curation import synonyms
from llmrec_plugin.services.curation.synonyms import KnownSynonym
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.inference.query_embeddings import encode_query
from llmrec_plugin.types import Phrase, Vector

MAX_LENGTH = 500
"""Characters of a query that are read."""
MAX_SPELLED = 8
"""Words of a query whose spelling is looked up; of a longer text none."""


@dataclass(frozen=True, kw_only=True)
class AnalysedQuery:
    """What is asked, in the two forms that the two legs take."""

    text: str
    """What is looked for: without quotes, and without what is not wanted."""
    typed: str = ""
    """All that was typed."""
    words: tuple[tuple[str, ...], ...] = ()
    """Empty when the text has no word to look for."""
    phrases: tuple[Phrase, ...] = ()
    without: tuple[Phrase, ...] = ()
    spelled: tuple[TypedWord, ...] = ()
    """Words whose spelling is worth a look, with their places in `typed`."""
    language: str = ""
    """One of LLMREC["LANGUAGES"]; empty: it cannot be told."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was typed -> what is looked for as well, as editors say; it is in `words`."""
    vector: Vector | None = None
    degraded: tuple[str, ...] = ()
    """("vector",) when there should have been a vector."""

    @property
    def expanded_text(self) -> str:
        """The text with its synonyms, for an index that reads it itself and for highlighting."""
        return " ".join([self.text, *(word for found in self.synonyms.values() for word in found)])


def analyse(
    text: str,
    *,
    version: IndexVersion,
    with_vector: bool,
    configuration: Configuration,
    proposed: Sequence[KnownSynonym] = (),
) -> AnalysedQuery:
    """The query of a visitor; a text of blanks alone is empty. `proposed` synonyms count like known ones."""
    with dictionaries.of(version):
        return _analysed(text, version, with_vector, configuration, proposed)


def _analysed(
    text: str,
    version: IndexVersion,
    with_vector: bool,
    configuration: Configuration,
    proposed: Sequence[KnownSynonym],
) -> AnalysedQuery:
    text = " ".join(text[:MAX_LENGTH].replace("\0", " ").split())  # PostgreSQL stores no NUL
    if not text:
        return AnalysedQuery(text="")
    parts = operators.parse(text)
    with_vector = with_vector and bool(parts.text)
    vector = encode_query(parts.text, version=version) if with_vector else None
    language = detect_language(parts.text)
    expanded = synonyms.expand(
        parts.text,
        query_words(parts.text),
        document=version.document,
        language=language,
        configuration=configuration,
        proposed=proposed,
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


def _phrases(texts: Iterable[str]) -> tuple[Phrase, ...]:
    """What has no word in it asks for nothing."""
    found = (Phrase(terms=tuple(exact_terms(text)), text=text) for text in texts)
    return tuple(phrase for phrase in found if phrase.terms)


def _spelled(text: str, parts: Operators) -> tuple[TypedWord, ...]:
    """Not of what stands in quotes or is not wanted: there, the visitor means what he typed; nor of a long
    text, a code or a number."""
    if parts.phrases or parts.without:
        return ()
    found = [word for word in typed_words(text) if _is_worth_a_look(word.exact)]
    return tuple(found) if len(found) <= MAX_SPELLED else ()


def _is_worth_a_look(word: str) -> bool:
    return word.isalpha() and len(word) >= (2 if HAN.match(word) else SHORTEST)
