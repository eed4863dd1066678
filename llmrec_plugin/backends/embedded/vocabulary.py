"""The words of an index in memory, to find those that are nearly spelt like another."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from llmrec_plugin.backends.embedded.lookups import as_json
from llmrec_plugin.backends.embedded.schema import State
from llmrec_plugin.backends.embedded.terms import encode_term
from llmrec_plugin.backends.spelling import SHORTEST, near_words
from llmrec_plugin.types import Spelled

Table = Literal["exact", "starts"]

REFRESH_SECONDS = 60.0
"""How long a new word may take to be suggested for a wrong one; reading all words anew takes a while."""


@dataclass(frozen=True)
class Vocabulary:
    """Words of at least SHORTEST - 1 letters, and in how many items each is, by first letter."""

    sequence: int
    good_until: float
    words: Mapping[str, Mapping[str, int]]

    def near(self, word: str, *, limit: int) -> tuple[str, ...]:
        return near_words(word, self.words.get(word[:1], {}), limit=limit)

    def is_good(self, state: State) -> bool:
        return self.sequence == state.sequence or time.monotonic() < self.good_until


def load_vocabulary(connection: sqlite3.Connection, state: State, table: Table) -> Vocabulary:
    words: dict[str, dict[str, int]] = {}
    rows = connection.execute(
        f"SELECT term, doc FROM {table}_vocabulary WHERE length(term) >= ?", (SHORTEST - 1,)
    )
    for term, count in rows:
        if "^" in term:  # escaped, hence no word that anybody means
            continue
        words.setdefault(term[:1], {})[term] = count
    return Vocabulary(state.sequence, time.monotonic() + REFRESH_SECONDS, words)


def unknown_words(connection: sqlite3.Connection, asked: Iterable[Spelled]) -> list[Spelled]:
    """Those that no item holds in any form."""
    asked = list(asked)
    tokens = {encode_term(term) for word in asked for term in word.terms}
    held = {
        term
        for (term,) in connection.execute(
            "SELECT term FROM json_each(?) AS given CROSS JOIN vocabulary ON term = given.value",
            (as_json(tokens),),
        )
    }
    return [word for word in asked if not held.intersection(map(encode_term, word.terms))]
