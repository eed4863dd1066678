"""Finds words that visitors use for the same thing, in what they searched for and took.

Two kinds of evidence: a search that led to nothing, after which the same visitor soon searched in other words
and took something (Jones, Rey, Madani and Greiner, "Generating Query Substitutions", WWW 2006); and searches
after which people take the same items. What chance alone may bring is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = tuple[str, ...]
Pair: TypeAlias = tuple[Words, Words]
Reason: TypeAlias = Literal["reworded", "same items"]

SOON = 600.0
"""Seconds within which a further search is taken for another attempt at the same."""
ALPHA = 0.01
"""Chance that logs without any connection give a single suggestion, for each kind of evidence."""
SHUFFLES = 99
"""The largest likeness of each: exceeding all of them happens by chance once in a hundred times."""
MIN_LIKENESS = 0.5
NEARLY, MOST_ALIKE = 0.8, 3
"""How many other searches may be nearly as alike to one of a pair."""
MAX_QUERIES = 500
"""Those with most clicks, whose items are compared."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Holds one search by one visitor."""

    visitor: str
    words: Words
    at: float
    """Seconds."""
    taken: frozenset[str] = frozenset()
    """Items of the list."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Holds words that seem to mean what others mean."""

    typed: Words
    found: Words
    two_way: bool
    """Each stands for the other; if not, only who types the first also means the second."""
    visitors: int
    """Different ones who say so."""
    reasons: tuple[Reason, ...]
    examples: tuple[tuple[Words, Words, int], ...]
    """Pairs of searches and how many visitors each rests on, most first."""


@dataclass(frozen=True)
class _Evidence:
    """Holds what speaks for one pair of searches."""

    pair: Pair
    visitors: frozenset[str]
    reason: Reason


@dataclass
class _Case:
    """Holds what speaks for one pair of phrases, in either direction."""

    evidence: list[_Evidence] = field(default_factory=list)
    directions: set[Pair] = field(default_factory=set)


def suggest(searches: Iterable[Search], *, least: int, rng: np.random.Generator) -> list[Suggestion]:
    """Return what at least `least` visitors speak for, most visitors first.

    Searches that fewer have made are never told of, nor does anything rest on them.
    """
    rows = sorted(searches, key=lambda search: (search.visitor, search.at))
    askers: dict[Words, set[str]] = defaultdict(set)
    for row in rows:
        askers[row.words].add(row.visitor)
    common = {words for words, visitors in askers.items() if len(visitors) >= least}
    evidence = [*_reworded(rows, common), *_same_items(rows, common, least=least, rng=rng)]
    suggestions = [
        suggestion
        for names, case in _cases(evidence).items()
        if (suggestion := _suggestion(names, case)).visitors >= least
    ]
    return sorted(suggestions, key=lambda one: (-one.visitors, one.typed, one.found))


def differing(one: Words, other: Words) -> Pair | None:
    """Return what stands in the one where the other says something else; None where the one only says more.

    "red couch cover", "red sofa cover": "couch", "sofa".
    """
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    found = one[start : len(one) - end], other[start : len(other) - end]
    return found if all(found) else None


def _reworded(rows: Sequence[Search], common: set[Words]) -> Iterator[_Evidence]:
    """Yield pairs from a search in vain to one that was not, more often than both are searched for anyway."""
    visitors: dict[Pair, set[str]] = defaultdict(set)
    for first, second in pairwise(rows):
        again = first.visitor == second.visitor and second.at - first.at <= SOON
        if again and not first.taken and second.taken and first.words != second.words:
            visitors[first.words, second.words].add(first.visitor)
    left: dict[Words, int] = defaultdict(int)
    right: dict[Words, int] = defaultdict(int)
    for (first_words, second_words), who in visitors.items():
        left[first_words] += len(who)
        right[second_words] += len(who)
    total = sum(left.values())
    least = NormalDist().inv_cdf(1 - ALPHA / (2 * max(len(visitors), 1))) ** 2
    for pair, who in visitors.items():
        if common.issuperset(pair) and surprise(len(who), left[pair[0]], right[pair[1]], total) > least:
            yield _Evidence(pair, frozenset(who), "reworded")


def surprise(both: int, one: int, other: int, total: int) -> float:
    """Return Dunning's log-likelihood ratio (1993) of two things that come together `both` times, the one
    `one` and the other `other` times of `total`; 0 where that is no more than chance would have it."""
    if both * total <= one * other:
        return 0.0
    table = np.array([[both, one - both], [other - both, total - one - other + both]], np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    seen = table > 0
    return float(2 * (table[seen] * np.log(table[seen] / expected[seen])).sum())


def _same_items(
    rows: Sequence[Search], common: set[Words], *, least: int, rng: np.random.Generator
) -> Iterator[_Evidence]:
    """Yield searches after which people take more of the same items than they would if it did not matter what
    was searched for: more than any two do once the items are dealt out anew."""
    taken: dict[Words, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        if row.words in common:
            for item in row.taken:
                taken[row.words][item].add(row.visitor)
    counted = {words: sum(map(len, items.values())) for words, items in taken.items()}
    queries = sorted((words for words in taken if counted[words] >= least), key=lambda words: -counted[words])
    queries = queries[:MAX_QUERIES]
    number = {item: place for place, item in enumerate(sorted({item for q in queries for item in taken[q]}))}
    clicks = [
        (place, number[item])
        for place, words in enumerate(queries)
        for item, who in taken[words].items()
        for _ in who
    ]
    if len(queries) < 2:
        return
    places, items = np.array(clicks).T
    shape = len(queries), len(number)
    shuffled = max(_likeness(places, rng.permutation(items), shape).max() for _ in range(SHUFFLES))
    for pair in _specific(_likeness(places, items, shape), above=max(float(shuffled), MIN_LIKENESS)):
        one, other = (queries[place] for place in pair)
        sides = _takers(taken[one], taken[other]), _takers(taken[other], taken[one])
        if min(map(len, sides)) >= least:
            yield _Evidence((one, other), frozenset(sides[0] | sides[1]), "same items")


def _specific(likeness: NDArray[np.float32], *, above: float) -> Iterator[tuple[int, int]]:
    """Yield pairs that are alike as few others are: all of one kind that lead to the same merely belong to
    it."""
    for one, other in np.argwhere(np.triu(likeness > above)).tolist():
        nearly = likeness[[one, other]] >= NEARLY * likeness[one, other]
        if (nearly.sum(axis=1) - 1).max() <= MOST_ALIKE:
            yield one, other


def _likeness(
    places: NDArray[np.int64], items: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return for each pair of searches the sum over the items of the root of both their shares, 0..1."""
    counts = np.bincount(places * shape[1] + items, minlength=shape[0] * shape[1]).reshape(shape)
    roots = np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    likeness: NDArray[np.float32] = roots @ roots.T
    np.fill_diagonal(likeness, 0.0)
    return likeness


def _takers(taken: Mapping[str, set[str]], shared: Mapping[str, set[str]]) -> set[str]:
    return {visitor for item, who in taken.items() if item in shared for visitor in who}


def _cases(evidence: Iterable[_Evidence]) -> dict[Pair, _Case]:
    """Return the evidence by what differs, where several pairs of searches differ in that; else by the
    searches."""
    by_difference: dict[Pair, list[tuple[Pair, _Evidence]]] = defaultdict(list)
    for one in evidence:
        found = differing(*one.pair)
        if found is not None:
            by_difference[_sorted(found)].append((found, one))
    cases: dict[Pair, _Case] = defaultdict(_Case)
    for names, known in by_difference.items():
        shared = len({_sorted(one.pair) for _, one in known}) > 1
        for found, one in known:
            case = cases[names if shared else _sorted(one.pair)]
            case.evidence.append(one)
            case.directions.add(found if shared else one.pair)
            if one.reason == "same items":
                case.directions.add((found if shared else one.pair)[::-1])
    return cases


def _sorted(pair: Pair) -> Pair:
    return min(pair, pair[::-1])


def _suggestion(names: Pair, case: _Case) -> Suggestion:
    two_way = len(case.directions) > 1
    typed, found = names if two_way else next(iter(case.directions))
    visitors: dict[Pair, set[str]] = defaultdict(set)
    for one in case.evidence:
        visitors[one.pair].update(one.visitors)
    examples = sorted(((*pair, len(who)) for pair, who in visitors.items()), key=lambda row: (-row[2], row))
    return Suggestion(
        typed=typed,
        found=found,
        two_way=two_way,
        visitors=len(set().union(*visitors.values())),
        reasons=tuple(sorted({one.reason for one in case.evidence})),
        examples=tuple(examples),
    )
