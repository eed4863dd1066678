"""What else a query looks for, as editors say: its words gain alternatives (ADR 0017)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmrec_plugin.analysis.exact import exact_terms, worded_terms
from llmrec_plugin.analysis.languages import configured
from llmrec_plugin.analysis.tokens import index_terms, query_words
from llmrec_plugin.analysis.words import spellings
from llmrec_plugin.models import Configuration, Synonym
from llmrec_plugin.models.synonyms import lines_of
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache

Words = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class KnownSynonym:
    """One direction of a synonym: whoever types this also finds that."""

    typed: str
    forms: tuple[frozenset[str], ...]
    """By word of `typed`, the stems that stand for it."""
    found: tuple[str, ...]
    document: str = ""
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """A frozen record of a query, with its synonyms."""

    words: Words
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was typed -> what is looked for as well."""
    terms: frozenset[str] = frozenset()
    """Words of the query that have synonyms, as of `exact_terms`."""


def known(row: Synonym) -> list[KnownSynonym]:
    """Return the directions of a row."""
    words, found = lines_of(row.words), lines_of(row.found)
    two_way = row.kind == Synonym.Kind.TWO_WAY
    return [
        KnownSynonym(
            typed=typed,
            forms=tuple(_forms(term) for term in exact_terms(typed)),
            found=tuple(other for other in words if other != typed) if two_way else tuple(found),
            document=row.document,
            language=row.language,
        )
        for typed in words
        if exact_terms(typed)
    ]


def expand(
    text: str,
    words: Words,
    *,
    document: str,
    language: str,
    configuration: Configuration,
    proposed: Sequence[KnownSynonym] = (),
) -> Expanded:
    """Return the query's `words` with the synonyms of what they say; `proposed` ones count, too. No query
    unless an editor wrote something since the last one."""
    held = [
        synonym
        for synonym in (*_synonyms.get(configuration), *proposed)
        if synonym.document in ("", document) and synonym.language in ("", language)
    ]
    if not held or not words:
        return Expanded(words=words)
    terms, starts = worded_terms(text)
    forms = [_forms(term) for term in terms]
    added: dict[str, tuple[str, ...]] = {}
    replaced: set[str] = set()
    for synonym in held:
        place = _place(synonym.forms, forms, starts)
        if place is not None:
            added[synonym.typed] = tuple(dict.fromkeys((*added.get(synonym.typed, ()), *synonym.found)))
            size = len(synonym.forms)
            replaced.update(terms[place : place + size])
            words = _with(words, terms[place : place + size], synonym)
    return Expanded(words=words, added=added, terms=frozenset(replaced))


def _place(
    wanted: Sequence[frozenset[str]], given: Sequence[frozenset[str]], starts: frozenset[int]
) -> int | None:
    """Return where the words stand in the query as whole words; None: nowhere."""
    size = len(wanted)
    for place in range(len(given) - size + 1):
        if place in starts and place + size in starts:
            pairs = zip(wanted, given[place : place + size], strict=True)
            if all(not one.isdisjoint(other) for one, other in pairs):
                return place
    return None


def _with(words: Words, typed: Sequence[str], synonym: KnownSynonym) -> Words:
    """Return the words with the synonyms as alternatives of the one word that was typed, or of its first
    where it is several.

    Only where every word must occur does that differ: the others of a phrase are still demanded.
    """
    alternatives = [term for found in synonym.found for term in _alternatives(found)]
    first = {*_forms(typed[0]), "".join(typed), "".join(typed[:2])}
    for number, word in enumerate(words):
        if first.intersection(word):
            return (*words[:number], tuple(dict.fromkeys((*word, *alternatives))), *words[number + 1 :])
    return (*words, tuple(dict.fromkeys(alternatives)))


def _alternatives(found: str) -> list[str]:
    """Return the forms of one word; of several, to stand side by side, those of each language and as
    written."""
    words = query_words(found)
    if len(words) == 1:
        return list(words[0])
    terms = exact_terms(found)
    stems = [" ".join(index_terms(found, code)) for code in configured().spoken]
    return list(dict.fromkeys([*stems, " ".join(terms)]))


def _forms(term: str) -> frozenset[str]:
    return frozenset(spellings(term, configured().spoken))


def _read() -> tuple[KnownSynonym, ...]:
    rows: Iterable[Synonym] = Synonym.objects.filter(enabled=True).order_by("id")
    return tuple(one for row in rows for one in known(row))


_synonyms: VersionedCache[tuple[KnownSynonym, ...]] = VersionedCache(_read, empty=())
