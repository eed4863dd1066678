"""From analysed terms to the tokens of the index, and which words of a query are worth looking for.

The index splits texts at white space and does nothing else, so a token is a term as it stands. The rule for
very common words is the embedded engine's. How common a word is, it counts for each query; here that would
be another round trip, so a sample of the index, taken now and then, has to tell.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmrec_plugin.backends.embedded.terms import MAX_WORDS, PRUNED_LEAST, PRUNED_SHARE, is_searchable

Words = Sequence[tuple[str, ...]]
"""By word its alternative tokens."""

SAMPLED = 1_000
"""Items; shares are off by 1.5 % (standard error) at most."""
SAMPLE_SECONDS = 600.0
"""How long a sample is good for."""

_LONGEST = 120
"""Characters; the analyser cuts what has more than 255 of Java's, which may be twice as many."""
_HASHED = "\ue000"
"""From the private use area, which no analysis makes."""


def encode_term(term: str) -> str:
    """The token of a term; two terms have the same one only if they are equal."""
    if len(term) > _LONGEST or not _is_unicode(term):
        return _HASHED + hashlib.sha256(term.encode("utf-8", "surrogatepass")).hexdigest()
    return term


def _is_unicode(term: str) -> bool:
    """Half a surrogate pair is no text that JSON in UTF-8 could carry."""
    return term.isascii() or not any("\ud800" <= character <= "\udfff" for character in term)


def encode_terms(terms: str) -> str:
    """The text of one field, its terms separated by white space, as the index splits it."""
    return " ".join(map(encode_term, terms.split()))


def encode_words(words: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """The words of a query as tokens, each once; what no item can hold (empty, white space) is left out."""
    encoded = (tuple(encode_terms(term) for term in word if is_searchable(term)) for word in words)
    return list(dict.fromkeys(tokens for tokens in encoded if tokens))


@dataclass(frozen=True)
class Sample:
    """What some items tell of all."""

    items: int = 0
    """In the whole index."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of the items that hold a token, for those that are not rare."""

    def is_common(self, word: tuple[str, ...]) -> bool:
        share = self.share(word)
        return share > PRUNED_SHARE and share * self.items > PRUNED_LEAST

    def share(self, word: tuple[str, ...]) -> float:
        return sum(self.shares.get(token, 0.0) for token in word)


def sample_of(items: int, documents: Sequence[Iterable[str]]) -> Sample:
    """`documents` are the tokens of the sampled items."""
    if items <= PRUNED_LEAST or not documents:
        return Sample(items)
    counts = Counter(token for tokens in documents for token in set(tokens))
    least = 0.1 * len(documents)
    shares = {token: count / len(documents) for token, count in counts.items() if count >= least}
    return Sample(items, shares)


@dataclass(frozen=True)
class Wanted:
    """The words to look for, and those to look for instead where the index has none of them."""

    words: Words
    otherwise: Words = ()


def worthwhile(words: Words, sample: Sample) -> Wanted:
    """Very common words go while a rarer one is left: they rank little."""
    common = [word for word in words if sample.is_common(word)]
    if not common:
        return Wanted(words)
    rarest = min(common, key=sample.share)
    rare = [word for word in words if not sample.is_common(word)]
    return Wanted(rare, (rarest,)) if rare else Wanted((rarest,))


def rarest(words: Words, frequencies: Mapping[str, int]) -> Words:
    """The MOST_WORDS rarest of those that the index holds, in the order of the query."""
    counts = {word: sum(frequencies.get(token, 0) for token in word) for word in words}
    kept = set(sorted(words, key=lambda word: (not counts[word], counts[word]))[:MAX_WORDS])
    return [word for word in words if word in kept]


class Samples:
    """The sample of each index, taken anew by one thread while the others go on with the old one."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[float, Sample]] = {}
        self._lock = threading.Lock()

    def of(self, name: str, take: Callable[[], Sample]) -> Sample:
        found = self._taken.get(name)
        if found is not None and (time.monotonic() < found[0] or not self._lock.acquire(blocking=False)):
            return found[1]
        try:
            sample = take()
        finally:
            if found is not None:
                self._lock.release()
        self._taken[name] = (time.monotonic() + SAMPLE_SECONDS, sample)
        return sample

    def forget(self, name: str) -> None:
        self._taken.pop(name, None)
