"""Whether a query contains a phrase that an editor wrote."""

from __future__ import annotations

from llmrec_plugin.analysis.han import HAN


def contains(text: str, phrase: str) -> bool:
    """Return whether the phrase stands in the text as whole words; both folded.

    Chinese has no spaces to part its words, so that there any place will do.
    """
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        if not (_is_one_word(text, start) or _is_one_word(text, end)):
            return True
        start = text.find(phrase, start + 1)
    return False


def _is_one_word(text: str, position: int) -> bool:
    """Return whether what stands before and behind the position belongs together."""
    around = text[max(0, position - 1) : position + 1]
    return len(around) == 2 and position > 0 and around.isalnum() and not HAN.search(around)
