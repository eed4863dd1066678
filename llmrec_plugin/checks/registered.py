"""What a site registers: list strategies, and the sentences of kinds of events and of contributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, register
from django.utils import translation
from django.utils.translation import to_locale

from llmrec_plugin.checks.messages import error
from llmrec_plugin.contributions import Contribution, contributions
from llmrec_plugin.event_kinds import EventKind, event_kinds, kind_names
from llmrec_plugin.services.curation.list_types import ListType, cannot_fill, fillers, list_types
from llmrec_plugin.suggest import hint
from llmrec_plugin.wording import COUNT, NOTHING, TITLE, Text, flaw_of


@register("llmrec")
def check_strategies(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E008: a list strategy begins with what there is not."""
    return [message for strategy in list_types for message in _strategy(strategy)]


@register("llmrec")
def check_sentences(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E009: a sentence, or its translation, asks for what it is never given, or a kind counts as none."""
    found: list[CheckMessage] = []
    for declared in (*event_kinds, *contributions):
        for attribute, values in _sentences_of(declared).items():
            found.extend(_sentence(declared, attribute, values))
    for kind in event_kinds:
        if kind.counted_as and kind.counted_as not in event_kinds:
            message = f'{kind.called("counted_as")} is "{kind.counted_as}", which is none.'
            found.append(error(9, message, hint(kind.counted_as, kind_names()), kind))
        elif kind.counted_as and not event_kinds.get(kind.counted_as).weekly:
            message = f'{kind.called("counted_as")} is "{kind.counted_as}", which is not told by the week.'
            found.append(error(9, message, f'Give "{kind.counted_as}" its `weekly`.', kind))
    return found


def _strategy(strategy: ListType) -> Iterator[CheckMessage]:
    for attribute, names in {"hide": kind_names(), "fallback": fillers()}.items():
        given = getattr(strategy, attribute)
        called = f'The list strategy "{strategy.name}": {attribute}'
        if isinstance(given, str):
            yield error(8, f"{called} is one string.", f'Write {attribute} = ("{given}",).', type(strategy))
            continue
        for name in given:
            if name not in names:
                cure = (cannot_fill(name) if attribute == "fallback" else "") or hint(name, names)
                yield error(8, f'{called} names "{name}".', cure, type(strategy))


def _sentences_of(declared: EventKind | Contribution) -> Mapping[str, Mapping[str, Any]]:
    """Return the sentences of a declaration, and what each may have places for."""
    if isinstance(declared, EventKind):
        return {"because": TITLE, "others": TITLE, "weekly": COUNT}
    return {"sentence": declared.sentence_values, "untitled_sentence": NOTHING}


def _sentence(
    declared: EventKind | Contribution, attribute: str, values: Mapping[str, Any]
) -> Iterator[CheckMessage]:
    """Yield what is wrong with a sentence as declared, or else with each of its translations."""
    sentence: Text = getattr(declared, attribute)
    with translation.override(None):
        flaw = flaw_of(sentence, values)
    if flaw:
        yield error(9, f"{declared.called(attribute)} {flaw}", f"Mend {attribute}.", declared)
        return
    for code in () if isinstance(sentence, str) else _translated_languages():
        with translation.override(code):
            flaw = flaw_of(sentence, values)
        if flaw:
            message = f'{declared.called(attribute)}: its translation into "{code}" {flaw}'
            cure = "Mend it in the .po file, then run `manage.py compilemessages`."
            yield error(9, message, cure, declared)


def _translated_languages() -> list[str]:
    """Return those of LANGUAGES that somebody but Django itself translates into: to read the catalogues of
    all hundred takes seconds."""
    folders = [
        Path(app.path) / "locale" for app in apps.get_app_configs() if not app.name.startswith("django.")
    ]
    catalogues = {
        path.name for folder in (*folders, *settings.LOCALE_PATHS) for path in Path(folder).glob("*/")
    }
    codes = (code for code, _ in settings.LANGUAGES)
    return [code for code in codes if catalogues & {to_locale(code), to_locale(code.partition("-")[0])}]
