"""Translated names as words to be found: a Chinese visitor looks for 音乐 where the other types "music"."""

from __future__ import annotations

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise


def in_all_languages(label: str | Promise) -> str:
    """The label in each language of the site, the same whoever is saving the item."""
    names = []
    for code, _ in settings.LANGUAGES:
        with translation.override(code):
            names.append(str(label))
    return " ".join(dict.fromkeys(names))
