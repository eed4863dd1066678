"""docs/words.md says what things are called; public names keep to it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from rest_framework.serializers import Serializer

from llmrec_plugin.api import serializers, urls
from llmrec_plugin.conf import Settings
from llmrec_plugin.public import PUBLIC

PAGE = Path(settings.BASE_DIR) / "docs" / "words.md"


def rows() -> list[tuple[str, str]]:
    """Each word with what it stands instead of, as the page's tables say."""
    found = re.findall(r"^\| (.+?) \| .+? \| ?(.*?) ?\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(word, instead) for word, instead in found if word != "word"]


def replaced(*, whole: bool) -> set[str]:
    """What the last column names: whole names, in backquotes there, or words that are part of none."""
    names = {name.strip() for _, instead in rows() for name in instead.split(",") if name.strip()}
    return {name.strip("`") for name in names if name.startswith("`") == whole}


def parts_of(name: str) -> set[str]:
    """The words of `a_name`, `a-name` and `AName`, and the name itself.

    >>> sorted(parts_of("RankedList"))
    ['list', 'ranked', 'rankedlist']
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return {name.lower(), *(word.lower() for word in words)}


def public_names() -> Iterator[tuple[str, str]]:
    """Where each name stands, and the name: what sites import, send, read, store and set."""
    for module, names in PUBLIC.items():
        for name in names:
            yield module, name
            value = inspect.getattr_static(importlib.import_module(module), name)
            yield from ((f"{module}.{name}", inner) for inner in _inner_names(value))
    for name, serializer in inspect.getmembers(serializers, inspect.isclass):
        if issubclass(serializer, Serializer):
            yield from ((f"REST {name}", str(field)) for field in serializer().fields)
    yield from (("address", str(pattern.name)) for pattern in urls.urlpatterns)
    for model in apps.get_app_config("llmrec_plugin").get_models():
        yield "table", model.__name__
        yield from ((f"table {model.__name__}", field.name) for field in model._meta.get_fields())
    yield from (("LLMREC", field.name) for field in dataclasses.fields(Settings))


def _inner_names(value: object) -> Iterator[str]:
    if inspect.isclass(value):
        if dataclasses.is_dataclass(value):
            yield from (field.name for field in dataclasses.fields(value))
        yield from (name for name in vars(value) if not name.startswith("_"))
    elif inspect.isfunction(value):
        yield from inspect.signature(value).parameters


def test_no_public_name_has_a_word_that_the_page_replaced() -> None:
    replaced_words = replaced(whole=False)
    assert {"slot", "rescue", "verdict"} <= replaced_words
    names = list(public_names())
    assert len(names) > 500
    assert [(where, name) for where, name in names if parts_of(name) & replaced_words] == []


def test_what_is_sent_and_read_has_one_name() -> None:
    sent = {name for where, name in public_names() if where.startswith("REST")}
    assert {"limit", "item_id", "event_id", "at", "user_key"} <= sent
    assert {"size", "page_size", "object_id", "external_id"} <= replaced(whole=True)
    assert not sent & replaced(whole=True)


def test_each_word_is_explained_once() -> None:
    words = [word.strip(" `") for row, _ in rows() for word in row.split(",")]
    assert len(words) > 50
    assert len(set(words)) == len(words)
    assert not set(words) & (replaced(whole=True) | replaced(whole=False))
