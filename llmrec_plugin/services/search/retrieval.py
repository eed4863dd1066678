"""What the engine finds for a query: normally in one round trip, in another one only where it finds nothing.

Where an editor allows it, a query that finds nothing asks for less, step by step, and the answer says so:
without the demand for every word (`words`), without quotes (`phrases`), at last what is nearest in meaning
(`vector`). Filters and what the visitor does not want hold in every step. A misspelt query that finds next to
nothing is asked for as it must be meant (`spelling`): see `search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmrec_plugin import monitoring
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.deployment.engines import engine_of
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.search import ranking_signals
from llmrec_plugin.services.search.query_analysis import AnalysedQuery
from llmrec_plugin.services.serving.rule_application import ActiveRules
from llmrec_plugin.types import EngineQuery, EngineResult, Spelled, TextQuery

LISTED_ITEMS = 1000
"""Items of a listing that its pages walk; `total` counts all."""
FEW = 5
"""Items near in meaning; a query that makes sense here finds more."""
RESCUED_ITEMS = 20
"""Of the nearest in meaning, where nothing else was found: further ones have nothing to do with the query."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What was found, and what was not asked for any longer to find it: "", "words", "phrases", "vector", or
    "spelling" where another one was asked for."""

    result: EngineResult
    rescued: str = ""

    @property
    def is_next_to_nothing(self) -> bool:
        """Words found nothing, and hardly anything is near in meaning, as where its word is misspelt. What is
        merely called otherwise, as a couch among sofas, has its like in meaning."""
        return not self.result.text and bool(self.rescued or len(self.result.vector) < FEW)


def engine_query(
    query: AnalysedQuery,
    ruling: ActiveRules,
    pair: LivePair,
    configuration: Configuration,
    *,
    facets: Sequence[str] = (),
    sort: str = "",
) -> EngineQuery:
    """All that is asked for at first.

    In the order of a field, words decide alone and all of them must occur: among what is merely near in
    meaning, the cheapest item would come first.
    """
    text = _text_query(query, ruling.occasion.document, pair, configuration)
    ordered = bool(sort and query.text)
    values: Iterable[str] = ()
    if ordered:
        values = [sort.removeprefix("-")]
    elif query.text:
        values = ranking_signals.fields(ruling.occasion.document, pair.index_version, configuration).values()
    if ordered and text is not None:
        text = replace(text, every=True, text=query.text)
    return EngineQuery(
        text=text,
        vector=None if ordered and text is not None else query.vector,
        filters=ruling.occasion.filters,
        phrases=query.phrases,
        without=query.without,
        exclude=ruling.hidden,
        unless=ruling.unless,
        limit=configuration.candidates if query.text else LISTED_ITEMS,
        floor=pair.index_version.floor if configuration.use_floor else None,
        facets=tuple(dict.fromkeys(facets)),
        values=tuple(dict.fromkeys(values)),
        spelling=tuple(Spelled(exact=word.exact, terms=word.terms) for word in query.spelled),
        sort="" if query.text else sort,
    )


def retrieve(
    asked: EngineQuery, query: AnalysedQuery, pair: LivePair, configuration: Configuration
) -> Retrieved:
    """Raises what the engine raises."""
    engine, name = engine_of(pair.index_version), pair.index_version.name
    with monitoring.engine_seconds.time(document=pair.index_version.document):
        found = engine.search(name, asked)
        if found.total or not (query.text and configuration.rescue and asked.limit):
            return Retrieved(result=found)
        for rescued, easier in _easier(asked, query):
            result = engine.search(name, easier)
            if result.total:
                return Retrieved(result=replace(result, spelling=found.spelling), rescued=rescued)
    return Retrieved(result=found)


def _easier(asked: EngineQuery, query: AnalysedQuery) -> Iterator[tuple[str, EngineQuery]]:
    asked = replace(asked, spelling=())
    if asked.text is not None and asked.text.every and len(asked.text.words) > 1:
        asked = replace(asked, text=replace(asked.text, every=False, text=query.expanded_text))
        yield "words", asked
    if asked.phrases:
        asked = replace(asked, phrases=())
        yield "phrases", asked
    if query.vector is not None:
        yield (
            "vector",
            replace(asked, text=None, vector=query.vector, phrases=(), floor=None, limit=RESCUED_ITEMS),
        )


def _text_query(
    query: AnalysedQuery, document: SearchDocument[Any], pair: LivePair, configuration: Configuration
) -> TextQuery | None:
    """None where there is no word to look for, or where meaning alone is wanted and at hand."""
    if not query.words or (configuration.text_weight == 0.0 and query.vector is not None):
        return None
    weights = document.weights()
    fields: Sequence[str] = pair.index_version.schema["text_fields"]
    named = {name: weights.get(name, 1.0) for name in fields}
    return TextQuery(words=query.words, weights=named, text=query.expanded_text)
