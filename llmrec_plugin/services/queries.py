"""A query as the engine takes it: words to look for and the vector of its meaning, where there is one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from llmrec_plugin import monitoring
from llmrec_plugin.analysis import operators
from llmrec_plugin.analysis.exact import TypedWord, exact_terms, typed_words
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.analysis.languages import detect_language
from llmrec_plugin.analysis.operators import Operators
from llmrec_plugin.analysis.tokens import query_words
from llmrec_plugin.backends.spelling import SHORTEST
from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.services import caching, dictionaries, embedding, synonyms
from llmrec_plugin.services.live import encoder_of
from llmrec_plugin.services.synonyms import KnownSynonym
from llmrec_plugin.types import Matrix, Phrase, Vector

logger = logging.getLogger(__name__)

MAX_LENGTH = 500
"""Characters of a query that are read."""
MOST_SPELLED = 8
"""Words of a query whose spelling is looked up; of a longer text none."""
VECTOR_SECONDS = 3600
PAUSE_SECONDS = 5
"""After a failure the encoder is left alone for so long, lest each visitor waits for its timeout."""
ILL_SECONDS = 600
"""A failure is told for so long, unless the encoder is seen to work before."""

_vectors: caching.LatestUsed[tuple[str, str], Vector] = caching.LatestUsed(1024)


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
    return tuple(found) if len(found) <= MOST_SPELLED else ()


def _is_worth_a_look(word: str) -> bool:
    return word.isalpha() and len(word) >= (2 if HAN.match(word) else SHORTEST)


def encode_query(text: str, *, version: IndexVersion) -> Vector | None:
    """The text as a query in the space of that index; None: the encoder cannot be used now.

    The latest ones are remembered in the process and in the site's cache.
    """
    known = _vectors.get((version.encoder_id, text))
    if known is not None:
        monitoring.query_vectors.add(source="process")
        return known
    key = caching.cache_key("query", version.encoder_id, text)
    pause, ill = _pause_key(version), _ill_key(version)
    found = caching.read([key, pause, ill])
    if key in found:
        vector: Vector | None = np.frombuffer(found[key], dtype="<f4").astype(np.float32, copy=False)
        source = "cache"
    elif pause in found:
        vector, source = None, "none"
    else:
        with monitoring.encode_seconds.time(document=version.document, kind="query"):
            vector = _encoded(lambda encoder: encoder.encode_query([text]), version, hide=text)
        source = "none" if vector is None else "encoder"
        if vector is not None:
            caching.write(key, vector.astype("<f4").tobytes(), seconds=VECTOR_SECONDS)
            if ill in found:
                caching.write(ill, "", seconds=0)
    monitoring.query_vectors.add(source=source)
    if vector is not None:
        _vectors.put((version.encoder_id, text), vector)
    return vector


def encode_document(passage: str, *, version: IndexVersion) -> Vector | None:
    """The text of an item that the index does not hold yet; None: the encoder cannot be used now."""
    if _pause_key(version) in caching.read([_pause_key(version)]):
        return None
    return _encoded(lambda encoder: encoder.encode_document([passage]), version, hide=passage)


def _pause_key(version: IndexVersion) -> str:
    return caching.cache_key("encoder-pause", version.encoder_id)


def _ill_key(version: IndexVersion) -> str:
    return caching.cache_key("encoder-ill", version.encoder_id)


def known_ills(versions: Iterable[IndexVersion]) -> dict[str, str]:
    """Encoder id -> type of its latest error, of those that failed of late in any process."""
    keys = {_ill_key(version): version.encoder_id for version in versions}
    return {keys[key]: error for key, error in caching.read(list(keys)).items() if error}


def _encoded(encode: Callable[[Encoder], Matrix], version: IndexVersion, *, hide: str) -> Vector | None:
    try:
        vector: Vector = encode(encoder_of(version))[0]
    except (EncoderUnavailable, ConfigurationError, InvalidVector) as error:
        logger.error(
            "encoder unusable document=%s index=%s error=%s",
            version.document,
            version.name,
            embedding.describe(error, hide=hide),
        )
        caching.write(_pause_key(version), 1, seconds=PAUSE_SECONDS)
        caching.write(_ill_key(version), type(error).__name__, seconds=ILL_SECONDS)
        return None
    return vector
