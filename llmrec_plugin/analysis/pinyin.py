"""Chinese as it is typed in Latin letters; where pypinyin is not installed, it is not."""

from __future__ import annotations

import re
from functools import lru_cache

from llmrec_plugin import extras
from llmrec_plugin.analysis.han import HAN
from llmrec_plugin.analysis.languages import configured


def is_available() -> bool:
    """The site speaks Chinese and has pypinyin: pip install "llmrec-plugin[pinyin]"."""
    return configured().chinese and _is_installed()


def spellings(text: str) -> list[str]:
    """A Chinese text in pinyin without tones and blanks: in full, and the first letters; each letter of
    other scripts stays. Empty without pypinyin."""
    if not is_available():
        return []
    syllables = _syllables(text)
    return list(dict.fromkeys(["".join(syllables), "".join(syllable[0] for syllable in syllables)]))


def reading(text: str) -> str:
    """The text in pinyin without tones and blanks; empty without pypinyin."""
    return "".join(_syllables(text)) if is_available() else ""


def find_reading(text: str, sound: str) -> str:
    """The first characters of the text that are read as that sound; empty where there are none."""
    for run in re.finditer(f"{HAN.pattern}+", text):
        syllables = _syllables(run[0])
        if len(syllables) != len(run[0]):
            continue
        for start in range(len(syllables)):
            read = ""
            for end in range(start, len(syllables)):
                read += syllables[end]
                if read == sound:
                    return run[0][start : end + 1]
                if not sound.startswith(read):
                    break
    return ""


@lru_cache(maxsize=8192)
def _syllables(text: str) -> tuple[str, ...]:
    from pypinyin import lazy_pinyin

    return tuple(syllable.replace("ü", "v") for syllable in lazy_pinyin(text) if syllable)


@lru_cache(maxsize=1)
def _is_installed() -> bool:
    return extras.is_installed("pinyin")
