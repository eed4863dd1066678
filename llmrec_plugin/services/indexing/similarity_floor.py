"""The similarity floor of an index, measured on its own items when it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.ranking.calibration import MIN_SAMPLES, similarity_floor
from llmrec_plugin.services.deployment.engines import engine_of
from llmrec_plugin.services.items.preparation import sample
from llmrec_plugin.types import EngineQuery

NONSENSE_QUERIES = 64
TITLES = 128
TYPED_WORDS = 2
TYPED_CHARACTERS = 4
"""Where no spaces divide words."""
SEED = 0
DECIMALS = 4
HAN = (0x4E00, 0x9FA5)
HAN_LANGUAGES = {"zh", "ja", "ko"}
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The floor of an index, and what it was measured on."""

    floor: float | None = None
    """The least cosine of a meaningful match; None: it cannot be told, so there is none."""
    matches: Sequence[float] = ()
    """Cosines of items to the beginnings of their own titles."""
    nonsense: Sequence[float] = ()
    """The best cosine that each meaningless query finds; none where there are too few matches."""

    def samples(self) -> dict[str, list[float]]:
        """As `IndexVersion.floor_samples` keeps them."""
        return {
            name: [round(float(value), DECIMALS) for value in sorted(values)]
            for name, values in (("matches", self.matches), ("nonsense", self.nonsense))
        }


def measure_floor(document: SearchDocument[Any], version: IndexVersion, encoder: Encoder) -> Measured:
    """The similarity floor of this index; the same index gives the same every time."""
    items = {found.key: found.title for found in sample(document, TITLES) if found.title}
    if not items:
        return Measured()
    rows = Embedding.objects.filter(
        document=document.label, encoder_id=version.encoder_id, item_id__in=list(items)
    )
    own = {row.item_id: row.as_array() for row in rows}
    if not own:
        return Measured()
    typed = encoder.encode_query([as_typed(items[key]) for key in own])
    matches = np.einsum("ij,ij->i", typed, np.stack(list(own.values())))
    if len(matches) < MIN_SAMPLES:
        return Measured(matches=matches.tolist())
    queries = nonsense(np.random.default_rng(SEED), NONSENSE_QUERIES, languages=get_settings().LANGUAGES)
    best = [
        hits[0].score
        for vector in encoder.encode_query(queries)
        if (hits := engine_of(version).search(version.name, EngineQuery(vector=vector, limit=1)).vector)
    ]
    floor = similarity_floor(np.asarray(best, dtype=np.float32), matches)
    return Measured(floor=floor, matches=matches.tolist(), nonsense=best)


def as_typed(title: str) -> str:
    """The beginning of a title, as short as what visitors type: a whole one would match too well."""
    words = title.split()
    return " ".join(words[:TYPED_WORDS]) if len(words) > 1 else title[:TYPED_CHARACTERS]


def nonsense(rng: Generator, count: int, *, languages: Any) -> list[str]:
    """Queries without meaning, half of them in Han characters where the site has such a language."""
    han = bool(HAN_LANGUAGES.intersection(languages))
    return [_han_word(rng) if han and number % 2 else _latin_words(rng) for number in range(count)]


def _han_word(rng: Generator) -> str:
    return "".join(chr(int(code)) for code in rng.integers(*HAN, size=int(rng.integers(3, 8))))


def _latin_words(rng: Generator) -> str:
    return " ".join(
        "".join(
            CONSONANTS[int(rng.integers(len(CONSONANTS)))] + VOWELS[int(rng.integers(len(VOWELS)))]
            for _ in range(int(rng.integers(2, 5)))
        )
        for _ in range(int(rng.integers(1, 4)))
    )
