"""Mistakes in an AttachedIndex are found by `manage.py check`, without asking the engine."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.test import override_settings

from llmrec_plugin import checks
from llmrec_plugin.backends import get_backend
from llmrec_plugin.documents import AttachedIndex, SearchDocument
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.types import IndexSchema
from tests.hostapp.models import Course, Product
from tests.support.indexed import declared

ELASTICSEARCH = {"BACKEND": "llmrec_plugin.backends.elasticsearch"}


def document(attached: Any, **attributes: Any) -> type[SearchDocument[Product]]:
    base = {"model": Product, "label": "thing", "text_fields": ["title"], "filter_fields": ["price"]}
    return type("Thing", (SearchDocument,), {**base, "attached": attached, **attributes})


def found(*classes: Any, **settings: Any) -> list[CheckMessage]:
    with (
        override_settings(LLMREC={**django_settings.LLMREC, **(settings or ELASTICSEARCH)}),
        declared(*classes),
    ):
        return [message for message in checks.check_documents() if message.obj in classes]


@pytest.mark.parametrize(
    ("attached", "number", "said"),
    [
        ("products", "E030", "names no index"),
        (AttachedIndex(""), "E030", "names no index"),
        (AttachedIndex("products-*"), "E030", "a pattern"),
        (AttachedIndex("products", text_fields="title"), "E032", "one string"),
        (AttachedIndex("products", text_fields=["title^much"]), "E032", "title^much"),
        (AttachedIndex("products", filters={"prize": "price"}), "E033", '"prize"'),
    ],
)
def test_each_mistake_has_its_message(attached: Any, number: str, said: str) -> None:
    (message,) = found(document(attached))
    assert message.id == f"llmrec_plugin.{number}"
    assert said in message.msg
    assert message.hint


def test_a_right_declaration_has_none() -> None:
    attached = AttachedIndex("products", text_fields=["title^3", "body^0.5"], filters={"price": "cost"})
    assert found(document(attached)) == []


def test_another_engine_than_elasticsearch_cannot_attach() -> None:
    thing = document(AttachedIndex("products"))
    (message,) = found(thing, BACKEND="llmrec_plugin.backends.embedded")
    assert message.id == "llmrec_plugin.E031"
    schema = IndexSchema(
        text_fields=(),
        filters={},
        dimensions=2,
        encoder_id="e",
        analysis_id="a",
        attached=AttachedIndex("products"),
    )
    with pytest.raises(ConfigurationError, match=r"llmrec_plugin\.backends\.elasticsearch"):
        get_backend().attached(schema)


def test_two_models_in_one_index_must_say_which_documents_are_theirs() -> None:
    products = document(AttachedIndex("everything"))
    courses = document(AttachedIndex("everything"), label="lesson", model=Course, filter_fields=[])
    (message,) = found(products, courses)
    assert message.id == "llmrec_plugin.E034"
    own = AttachedIndex("everything", key=lambda found: found, id=lambda key: key)
    assert found(products, document(own, label="lesson", model=Course, filter_fields=[])) == []
