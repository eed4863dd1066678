"""What the site speaks, and which of these languages a text is written in."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin import extras
from llmrec_plugin.conf import get_settings

_WITHOUT_SPACES = frozenset(["zh", "ja", "ko", "th", "lo", "km", "my"])
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "CYRILLIC": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn", "tg"),
    "GREEK": ("el",),
    "ARABIC": ("ar", "fa", "ur", "ps", "ug", "ku"),
    "HEBREW": ("he", "yi"),
    "ARMENIAN": ("hy",),
    "GEORGIAN": ("ka",),
    "DEVANAGARI": ("hi", "ne", "mr"),
    "BENGALI": ("bn", "as"),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "MYANMAR": ("my",),
    "HANGUL": ("ko",),
}
_OTHER_THAN_LATIN = frozenset(code for codes in _SCRIPTS.values() for code in codes) - {"sr", "ku"} | {
    "zh",
    "ja",
}
_SAMPLE = 2000
"""Characters that are looked at; more do not change the answer."""
_MIN_LETTERS = 3
_MIN_PROBABILITY = 0.7


@dataclass(frozen=True, slots=True)
class Languages:
    """LLMREC["LANGUAGES"], sorted out."""

    codes: Mapping[str, str]
    """ISO 639-1 code -> the code as configured, in that order."""
    spoken: tuple[str, ...]
    """Codes of the languages that put spaces between words."""
    default: str
    """Whose stems serve where a text's language is unknown; empty: nothing is stemmed."""
    chinese: bool
    """Chinese is cut by a dictionary: configured, and the extra for it is there."""

    def stemming(self, language: str) -> str:
        """The language whose stems a text of the given language gets."""
        code = _base(language)
        return code if code in self.spoken else self.default


@lru_cache(maxsize=1)
def configured() -> Languages:
    codes: dict[str, str] = {}
    for code in get_settings().LANGUAGES:
        codes.setdefault(_base(code), code)
    spoken = tuple(code for code in codes if code not in _WITHOUT_SPACES)
    default = "en" if "en" in spoken else next(iter(spoken), "")
    return Languages(codes, spoken, default, "zh" in codes and extras.is_installed("zh"))


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    if setting == "LLMREC":
        configured.cache_clear()


def detect_language(text: str) -> str:
    """One of LLMREC["LANGUAGES"]; empty where the text is too short, or none of them fits.

    The script decides; a model is asked only between languages that share one.
    """
    sample = unicodedata.normalize("NFKC", text[:_SAMPLE])
    letters = [character for character in sample if character.isalpha()]
    candidates = _candidates(Counter(map(_script, letters)))
    if not candidates:
        return ""
    if len(candidates) > 1 and len(letters) < _MIN_LETTERS:
        return ""
    code = candidates[0] if len(candidates) == 1 else _classify(sample, candidates)
    return configured().codes.get(code, "")


def are_told_apart_by_a_model() -> bool:
    """Return whether two configured languages share a script, so that the extra `languages` is needed."""
    return any(len(_candidates(Counter({script: 1}))) > 1 for script in ("LATIN", *_SCRIPTS))


def _candidates(scripts: Counter[str]) -> tuple[str, ...]:
    """Configured languages that are written as the text is."""
    kana = scripts.pop("HIRAGANA", 0) + scripts.pop("KATAKANA", 0)
    han = scripts.pop("CJK", 0)
    script, count = max(scripts.items(), key=lambda item: item[1], default=("", 0))
    codes = configured().codes
    # A character is about a third of a word here, a letter a fifth: names in Latin letters are
    # frequent in Chinese and Japanese, and make no English text of it.
    if kana + han and 3 * (kana + han) >= count:
        if 10 * kana >= kana + han or "zh" not in codes:
            return tuple(code for code in ("ja",) if code in codes)
        return ("zh",)
    if script == "LATIN":
        return tuple(code for code in codes if code not in _OTHER_THAN_LATIN)
    return tuple(code for code in codes if code in _SCRIPTS.get(script, ()))


@lru_cache(maxsize=8192)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _classify(sample: str, candidates: tuple[str, ...]) -> str:
    identifier = _identifier(candidates)
    if identifier is None:
        return ""
    code, probability = identifier.classify(sample)
    return str(code) if probability >= _MIN_PROBABILITY else ""


@lru_cache(maxsize=8)
def _identifier(candidates: tuple[str, ...]) -> Any:
    """A py3langid model of its own, so that the host's use of the library stays untouched; None where
    it knows fewer than two of the languages, or is not installed."""
    if not extras.is_installed("languages"):
        return None
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = set(candidates) & set(identifier.labels)
    if len(known) < 2:
        return None
    identifier.set_languages(sorted(known))
    return identifier


def _base(code: str) -> str:
    return code.replace("_", "-").partition("-")[0].lower()
