"""What the engine finds for a query: normally in one round trip, in another one only where it finds nothing.

Where an editor allows it, a query that finds nothing is relaxed, step by step, and the answer says so:
without the demand for every word (`words`), without quotes (`phrases`), at last what is nearest in meaning
(`vector`). Filters and what the visitor does not want hold in every step. A misspelt query that finds next to
nothing is asked for as it must be meant (`spelling`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from llmrec_plugin import monitoring
from llmrec_plugin.services.deployment.engines import asking
from llmrec_plugin.services.search import ranking_signals, spelling
from llmrec_plugin.services.search.context import SearchContext
from llmrec_plugin.services.search.query_analysis import respelled
from llmrec_plugin.types import EngineQuery, EngineResult, Spelled, TextQuery

LISTED_ITEMS = 1000
"""Items of a listing that its pages walk; `total` counts all."""
FEW = 5
"""Items near in meaning; a query that makes sense here finds more."""
NEAREST_ITEMS = 20
"""Of the nearest in meaning, where nothing else was found: further ones have nothing to do with the query."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """A frozen record that tells what was found, and for what."""

    context: SearchContext
    """With the query that was answered: the typed one, or one in a better spelling."""
    result: EngineResult
    relaxed: str = ""
    """As of `ResultPage`: what was given up to find anything."""
    did_you_mean: str | None = None

    @property
    def is_next_to_nothing(self) -> bool:
        """Return whether words found nothing, and hardly anything is near in meaning, as where its word is
        misspelt. What is merely called otherwise, as a couch among sofas, has its like in meaning."""
        return not self.result.text and bool(self.relaxed or len(self.result.vector) < FEW)


def retrieve(context: SearchContext) -> Retrieved:
    """Return what answers the query, relaxed or in its better spelling where it finds nothing as it is.

    Raises what the engine raises.
    """
    as_typed = _relaxing(context)
    meant = spelling.did_you_mean(context, as_typed.result.spelling)
    if meant and context.configuration.relax_queries and as_typed.is_next_to_nothing:
        as_meant = _relaxing(respelled(context, meant))
        if as_meant.result.text:
            return replace(as_meant, relaxed="spelling", did_you_mean=meant)
    return replace(as_typed, did_you_mean=meant)


def _relaxing(context: SearchContext) -> Retrieved:
    """Return what the first of the query and its relaxations finds that finds anything."""
    version = context.pair.index_version
    query = engine_query(context)
    with monitoring.engine_seconds.time(document=version.document), asking(version) as engine:
        found = engine.search(version.name, query)
        if not found.total and context.query.text and context.configuration.relax_queries and query.limit:
            for given_up, relaxed_query in _relaxations(query, context):
                result = engine.search(version.name, relaxed_query)
                if result.total:
                    with_spelling = replace(result, spelling=found.spelling)
                    return Retrieved(context=context, result=with_spelling, relaxed=given_up)
    return Retrieved(context=context, result=found)


def engine_query(context: SearchContext) -> EngineQuery:
    """Return all that is asked for at first.

    In the order of a field, words decide alone and all of them must occur: among what is merely near in
    meaning, the cheapest item would come first.
    """
    query, version, rules = context.query, context.pair.index_version, context.rules
    text, sort = _text_query(context), context.request.sort
    words_alone = bool(sort and query.text) and text is not None
    return EngineQuery(
        text=replace(text, every=True, text=query.text) if text is not None and words_alone else text,
        vector=None if words_alone else query.vector,
        filters=context.filters,
        phrases=query.phrases,
        without=query.without,
        exclude=rules.hidden,
        unless=rules.unless,
        limit=context.configuration.candidates if query.text else LISTED_ITEMS,
        floor=version.floor if context.configuration.use_floor else None,
        facets=tuple(dict.fromkeys(context.request.facets)),
        values=tuple(dict.fromkeys(_fields_read(context))),
        spelling=tuple(Spelled(exact=word.exact, terms=word.terms) for word in query.spelled),
        sort="" if query.text else sort,
    )


def _fields_read(context: SearchContext) -> Sequence[str]:
    """Return the filter fields whose values rank the items of a text's result."""
    if not context.query.text:
        return ()
    if context.request.sort:
        return [context.request.sort.removeprefix("-")]
    return ranking_signals.fields(context)


def _text_query(context: SearchContext) -> TextQuery | None:
    """Return None where there is no word to look for, or where meaning alone is wanted and at hand."""
    query = context.query
    if not query.words or (context.configuration.text_weight == 0.0 and query.vector is not None):
        return None
    weights = context.document.weights()
    fields: Sequence[str] = context.pair.index_version.schema["text_fields"]
    named = {name: weights.get(name, 1.0) for name in fields}
    return TextQuery(words=query.words, weights=named, text=query.expanded_text)


def _relaxations(first: EngineQuery, context: SearchContext) -> Iterator[tuple[str, EngineQuery]]:
    """Yield what is given up, and what is asked for then; each step gives up what those before it did."""
    query = context.query
    relaxed = replace(first, spelling=())
    if relaxed.text is not None and relaxed.text.every and len(relaxed.text.words) > 1:
        relaxed = replace(relaxed, text=replace(relaxed.text, every=False, text=query.expanded_text))
        yield "words", relaxed
    if relaxed.phrases:
        relaxed = replace(relaxed, phrases=())
        yield "phrases", relaxed
    if query.vector is not None:
        yield (
            "vector",
            replace(relaxed, text=None, vector=query.vector, phrases=(), floor=None, limit=NEAREST_ITEMS),
        )
