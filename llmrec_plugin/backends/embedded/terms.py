"""From analysed terms to what FTS5 indexes and matches, term by term and nothing but the term.

FTS5's `ascii` tokenizer takes every non-ASCII character as part of a token and, told so by
`tokenchars`, all ASCII punctuation too; what it would still split, fold or misread is escaped.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Mapping, Sequence

TOKENIZER = "ascii tokenchars ''{}''".format(
    string.punctuation.replace('"', "").replace("'", "''''")  # quoted twice: in SQL and in the option
)
"""Value of the table's `tokenize` option, to stand between single quotes."""

PRUNED_SHARE = 0.3
PRUNED_LEAST = 1_000
"""A word in more than this share, and this number, of items is dropped while a rarer one is left."""
MAX_WORDS = 64
"""Of a longer query the rarest words are used."""

_ESCAPED = re.compile('[A-Z"^\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST = 200
"""Characters; FTS5 cuts tokens off at 32 KiB."""


def encode_term(term: str) -> str:
    """One FTS5 token; two terms have the same one only if they are equal."""
    escaped = _ESCAPED.sub(lambda match: f"^{ord(match[0]):04x}", term)
    if len(escaped) > _LONGEST:
        return "^#" + hashlib.sha256(escaped.encode()).hexdigest()
    return escaped


def encode_terms(terms: str) -> str:
    """The text of one field, its terms separated by white space, as FTS5 is to index it."""
    return " ".join(map(encode_term, terms.split()))


def encode_words(words: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The words of a query as tokens, each once; what no item can hold (empty, white space) is left out."""
    encoded = (tuple(encode_terms(term) for term in word if is_searchable(term)) for word in words)
    return list(dict.fromkeys(tokens for tokens in encoded if tokens))


def is_searchable(term: str) -> bool:
    """One term, or several with single blanks between them."""
    return bool(term) and " ".join(term.split()) == term


def keep_words(
    words: Sequence[tuple[str, ...]], frequencies: Mapping[str, int], items: int
) -> list[tuple[str, ...]]:
    """The words worth matching: scoring every match of very common ones takes long and ranks little.

    `frequencies` counts the items that hold a token. A word that no item holds stays: it costs nothing,
    but does not count as the rarer word that lets a common one go.
    """
    least = max(PRUNED_SHARE * items, PRUNED_LEAST)
    counts = {word: sum(frequencies.get(token, 0) for token in word) for word in words}
    found = [count for count in counts.values() if count]
    if found:
        least = max(least, min(found))
    kept = [word for word in words if counts[word] <= least]
    if len(kept) > MAX_WORDS:
        kept = sorted(kept, key=lambda word: (not counts[word], counts[word]))[:MAX_WORDS]
    return kept


def match_expression(
    words: Iterable[Sequence[str]], columns: Sequence[str] | None, *, every: bool = False
) -> str:
    """FTS5's query: any token of any word, or of every word, in one of the columns (None: in any). Tokens
    hold no quotes."""
    if every:
        expression = " AND ".join(f"({_any(word)})" for word in words)
    else:
        expression = _any(token for word in words for token in word)
    return expression if columns is None else f"{{{' '.join(columns)}}} : ({expression})"


def _any(tokens: Iterable[str]) -> str:
    return " OR ".join(f'"{token}"' for token in dict.fromkeys(tokens))


def phrase_expression(terms: Iterable[str]) -> str:
    """FTS5's query for terms side by side in one column."""
    return f'"{" ".join(map(encode_term, terms))}"'


def starts_expression(alternatives: Iterable[tuple[str, Sequence[str]]]) -> str:
    """FTS5's query: of each pair the beginning of a token, or one of the whole tokens."""
    return " AND ".join(
        "(" + " OR ".join([f'"{start}" *', *(f'"{token}"' for token in whole)]) + ")"
        for start, whole in alternatives
    )
