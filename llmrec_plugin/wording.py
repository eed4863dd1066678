"""Sentences that a site declares and visitors read: what may stand in one, and how its places are filled.

A sentence with `%(title)s` or `%(count)d` in it is a format, in which a plain percent sign is written `%%`;
one without any such place is shown as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from django.utils import translation
from django.utils.functional import Promise

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import Rule
from llmrec_plugin.suggest import hint

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Text: TypeAlias = str | _StrPromise
else:  # what the reader of options goes by
    Text = Annotated[Any, Rule(lambda value: isinstance(value, str | Promise), ""), "a text"]

logger = logging.getLogger(__name__)

TITLE: Mapping[str, Any] = {"title": "hose"}
"""A value for each place of a sentence about an item."""
COUNT: Mapping[str, Any] = {"count": 9}
"""The same of a sentence about how often something happened."""
NOTHING: Mapping[str, Any] = {}

_BROKEN = (KeyError, TypeError, ValueError)
"""What filling a sentence that is no such format may raise."""


def fill(sentence: Text, values: Mapping[str, Any]) -> str:
    """Return the sentence in the active language with these values in its places.

    A translation that cannot be filled gives way to the sentence as it was declared, and that to an empty
    text: no list ends for it. `manage.py check` tells of both.
    """
    try:
        return _filled(sentence, values)
    except _BROKEN:
        logger.warning("sentence not filled language=%s", translation.get_language())
    with translation.override(None):
        try:
            return _filled(sentence, values)
        except _BROKEN:
            return ""


def has_places(sentence: Text) -> bool:
    """Return whether the sentence, in the active language, waits for values."""
    return "%(" in str(sentence)


def flaw_of(sentence: Text, values: Mapping[str, Any]) -> str:
    """Return what is wrong with a sentence, in the active language, that has places for these values alone,
    and how to mend it; empty: nothing."""
    asked = _Asked(values)
    try:
        written = _filled(sentence, asked)
    except (*_BROKEN, _Nameless):
        written = ""
        if not asked.unknown:
            known = ", ".join(f"%({name}){'d' if values is COUNT else 's'}" for name in values)
            return f"cannot be filled: write {known or 'no place for a value'}, and %% for a percent sign."
    if asked.unknown:
        return f'has a place for "{asked.unknown[0]}". {hint(asked.unknown[0], values)}'
    braced = next((name for name in values if f"{{{name}}}" in written), None)
    return f"has {{{braced}}}: write %({braced})s." if braced is not None else ""


def check_sentence(sentence: Text, values: Mapping[str, Any], *, called: str) -> None:
    """Raise ConfigurationError where a plain sentence has a place for something else than these values.

    A lazy one is left to `manage.py check`: it cannot be read before the apps are loaded.
    """
    if isinstance(sentence, str) and (flaw := flaw_of(sentence, values)):
        raise ConfigurationError(f"{called}, “{sentence}”, {flaw}")


def check_label(label: Text, *, called: str) -> None:
    """Raise ConfigurationError where a plain label says nothing."""
    if isinstance(label, str) and not label.strip():
        raise ConfigurationError(f"{called} is empty: say in a word or two what people read of it.")


def _filled(sentence: Text, values: Mapping[str, Any]) -> str:
    written = str(sentence)
    # What counts, of `ngettext_lazy`, is an empty text until it knows the number.
    return str(sentence % values) if "%(" in written or not written else written


class _Nameless(Exception):
    """Raised for a place without a name."""


class _Asked(dict[str, Any]):
    """Values of a sentence that note which others it asks for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.unknown: list[str] = []

    def __missing__(self, name: str) -> int:
        self.unknown.append(name)
        return 1

    def __str__(self) -> str:
        raise _Nameless
