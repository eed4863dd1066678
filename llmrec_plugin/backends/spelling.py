"""Which words count as nearly spelt like another: the same rule for every engine."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["near_words"]

SHORTEST, LONG = 4, 8
"""Letters from which on one of them, and two, may be wrong; Elasticsearch's "AUTO:4,8"."""
MAX_NEAR = 5


def allowed_edits(word: str) -> int:
    """How many letters of the word may be wrong, missing, too many or swapped with the next."""
    return 0 if len(word) < SHORTEST else 1 if len(word) < LONG else 2


def near_words(word: str, frequencies: Mapping[str, int], *, limit: int = MAX_NEAR) -> tuple[str, ...]:
    """Return those of the given words that are spelt nearly like this one, at most `limit` (5).

    One letter may be wrong, missing, too many or swapped with the next in a word of 4 letters and more, two
    in one of 8 and more; the first letter never. The nearest come first, of these the more frequent, at last
    in order of the alphabet. `frequencies` counts items by word.
    """
    edits = allowed_edits(word)
    candidates = [known for known in frequencies if known[:1] == word[:1] and known != word]
    if not edits or not candidates:
        return ()
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    found = process.extract(word, candidates, scorer=OSA.distance, score_cutoff=edits, limit=None)
    ordered = sorted((distance, -frequencies[known], known) for known, distance, _ in found)
    return tuple(known for _, _, known in ordered[:limit])
