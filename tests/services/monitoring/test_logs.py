"""Logs say what happened, never to whom or about which text."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection
from django.test import Client, override_settings

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.logs import JsonFormatter
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services import indexing, interactions, privacy
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.services.recommendations import recommend
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product, Review
from tests.support.indexed import declared
from tests.support.responses import respond

SECRETS = ("ada-lovelace", "zanzibar", "heirloom", "poison", "velvet")


@pytest.mark.django_db
def test_no_text_title_query_or_user_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    options = {**django_settings.LLMREC, "ENCODER": "tests.support.quoting_encoder", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=options):
        Product.objects.create(title="heirloom lamp")
        build("product")
        Product.objects.create(title="poison velvet")
        indexing.drain()
        everything_a_visitor_does()
        with override_settings(LLMREC={**options, "BACKEND": "llmrec_plugin.contracts.silent_engine"}):
            everything_a_visitor_does()
            indexing.drain()
    assert OutboxEntry.objects.filter(attempts__gt=0).exists()
    ours = [record for record in caplog.records if record.name.startswith("llmrec_plugin")]
    said = "\n".join(JsonFormatter().format(record) for record in ours)
    for event in ("drained batch=", "encoder unusable", "engine unusable", "erased interactions="):
        assert event in said
    for secret in SECRETS:
        assert secret not in said.casefold(), said


def everything_a_visitor_does() -> None:
    search(SearchRequest(document="product", text="zanzibar heirloom", user_key="ada-lovelace"))
    Client().get("/api/search/", {"q": "zanzibar", "document": "product", "facets": "velvet"})
    Client().get("/api/health/ready/")
    item = Product.objects.get(title="heirloom lamp")
    interactions.record(user_key="ada-lovelace", document="product", item_id=item.pk, kind="view")
    recommend("for-you", user_key="ada-lovelace", document="product")
    privacy.erase_user("ada-lovelace")


@pytest.mark.django_db
def test_a_document_that_quotes_what_it_cannot_prepare_is_not_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Quoting(SearchDocument[Review]):
        model = Review
        label = "quoting"
        text_fields = ["text"]

        def prepare(self, obj: Review) -> Any:
            raise ValueError(f"I cannot make sense of {obj.text}")

    caplog.set_level(logging.INFO)
    with declared(Quoting):
        Review.objects.create(product=Product.objects.create(title="x"), text="zanzibar velvet")
        build("quoting", promote=False)
        indexing.drain()
    assert "indexing failed document=quoting error=ValueError" in caplog.text
    assert "zanzibar" not in "\n".join(r.getMessage() for r in caplog.records if "llmrec" in r.name)


@pytest.mark.django_db(transaction=True)
def test_an_error_that_quotes_a_row_is_told_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL names the failing row in the message of an error."""

    def refused(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("UPDATE", "DELETE")):
            raise IntegrityError("DETAIL: Failing row contains (1, velvet lamp, ada-lovelace)")
        return execute(sql, *arguments)

    in_process = {**django_settings.LLMREC, "TASKS": "process"}
    with override_settings(LLMREC=in_process), connection.execute_wrapper(refused):
        Product.objects.create(title="velvet lamp")
        derived_data.mark(["ada-lovelace"])
        respond()
    said = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert "draining failed error=IntegrityError at=" in said
    assert "refreshing users failed error=IntegrityError at=" in said
    for secret in SECRETS:
        assert secret not in said, said


def test_lines_are_json_with_their_fields() -> None:
    record = logging.LogRecord(
        "llmrec_plugin.indexing", logging.INFO, __file__, 1, "drained batch=%d took_ms=%d", (7, 30), None
    )
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "drained batch=7 took_ms=30"
    assert line["fields"] == {"batch": "7", "took_ms": "30"}
    assert (line["level"], line["logger"]) == ("INFO", "llmrec_plugin.indexing")
    assert line["time"].endswith("+00:00")


def test_a_traceback_is_one_field_of_the_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("llmrec_plugin", logging.ERROR, __file__, 1, "failed", (), caught)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "boom" in json.loads(text)["traceback"]
