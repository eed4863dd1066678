"""What one search carries from stage to stage: who asks for what, what answers, and what it was read as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from llmrec_plugin.analysis.exact import TypedWord
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.curation.synonyms import KnownSynonym
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.serving import rule_application
from llmrec_plugin.services.serving.rule_application import ActiveRules, RuleContext
from llmrec_plugin.types import Filter, Phrase, SearchRequest, Vector

SEARCH_PLACEMENT = "search"
"""The name under which searches are kept, measured and ruled."""


@dataclass(frozen=True, kw_only=True)
class AnalysedQuery:
    """A frozen record of a query, in the two forms that the two legs take."""

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
        """Return the text with its synonyms, for an index that reads it itself and for highlighting."""
        return " ".join([self.text, *(word for found in self.synonyms.values() for word in found)])


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchContext:
    """A frozen record that holds all that the stages of one search are given; a stage that learns more
    returns a copy that says it."""

    request: SearchRequest
    document: SearchDocument[Any]
    pair: LivePair
    """What answers: the live pair, or what an experiment's arm puts in its place."""
    configuration: Configuration
    """The variant's, with the search weights that were learned for this index."""
    user: UserContext
    filters: tuple[Filter, ...]
    """The request's, checked against the index."""
    taste_strength: float
    """How much the user's taste counts; 0: not at all."""
    now: datetime
    proposed: Sequence[KnownSynonym] = ()
    """Synonyms that are tried out; they count like those in effect."""
    query: AnalysedQuery = AnalysedQuery(text="")
    """Empty until the text was analysed."""

    @cached_property
    def rules(self) -> ActiveRules:
        """Return the editors' rules that hold for this query."""
        context = RuleContext(
            document=self.document,
            version=self.pair.index_version,
            placement=SEARCH_PLACEMENT,
            user=self.user,
            now=self.now,
            text=self.query.text,
            filters=self.filters,
            phrases=self.query.phrases,
            without=self.query.without,
            ordered=bool(self.request.sort),
        )
        return rule_application.active_rules(context, self.configuration)

    def with_query(self, query: AnalysedQuery) -> SearchContext:
        """Return the context of this query; the rules that hold for it are looked up anew."""
        return replace(self, query=query)
