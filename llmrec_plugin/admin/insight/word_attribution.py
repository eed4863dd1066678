"""Makes the page that tells which words of a result and of its query carry what both mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.services.explorer import word_attribution
from llmrec_plugin.services.explorer.comparison import ContributionRow
from llmrec_plugin.services.explorer.word_attribution import TokenAttribution

IN_TABLE = 12
NOTABLE = 0.25
"""Of the largest effect of a word: what has that much is marked in the text."""

REST = 200
"""Characters that are shown of what was not looked at."""


@dataclass(frozen=True)
class Words:
    """A frozen record of one of the two texts."""

    title: Any
    pieces: tuple[tuple[str, float | None], ...]
    """The text in order; a number where the word is to be marked."""
    strongest: tuple[ContributionRow, ...]


def words_page(label: str, text: str, key: str) -> dict[str, Any]:
    """Return what the template shows; `error` says why there is nothing else."""
    values: dict[str, Any] = {"title": _("Which words carry the meaning"), "document": label, "query": text}
    try:
        found = word_attribution.explain_words(label, text, key)
    except LlmrecError as error:
        return {**values, "error": str(error)}
    sides = [_words(_("Words of the query"), found.query), _words(_("Words of the item"), found.item)]
    return {**values, "item": found.title, "cosine": found.cosine, "texts": sides}


def _words(title: Any, pieces: Sequence[TokenAttribution]) -> Words:
    strongest = word_attribution.strongest(pieces, IN_TABLE)
    largest = max((abs(piece.value or 0.0) for piece in strongest), default=0.0)
    return Words(
        title,
        tuple((_short(piece), _marked(piece.value, largest)) for piece in pieces),
        tuple(
            ContributionRow(
                name=piece.text, title="", value=piece.value or 0.0, share=abs(piece.value or 0.0) / largest
            )
            for piece in strongest
            if piece.value
        ),
    )


def _short(piece: TokenAttribution) -> str:
    """Return a word, or the beginning of what follows the words that were looked at."""
    return piece.text if piece.value is not None else Truncator(piece.text).chars(REST)


def _marked(value: float | None, largest: float) -> float | None:
    return value if value is not None and largest and abs(value) >= NOTABLE * largest else None
