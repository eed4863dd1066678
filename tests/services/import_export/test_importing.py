"""Files of items, interactions and judgements: bad lines are named, the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from llmrec_plugin.documents import ImportedItemDocument, registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import ImportedItem, Interaction, Judgment, OutboxEntry
from llmrec_plugin.services import privacy
from llmrec_plugin.services.import_export import imports
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.types import Range, SearchRequest, Terms

pytestmark = pytest.mark.django_db


class BookDocument(ImportedItemDocument):
    label = "book"
    text_fields = {"title": 2, "blurb": 1}
    filter_fields = ["year", "tags"]
    kinds = {"year": "number", "tags": "keyword"}


@pytest.fixture
def books() -> Iterator[None]:
    registry.register(BookDocument)
    yield
    registry.unregister(BookDocument)


def lines(path: Path, *rows: Any) -> Path:
    """Each row as a line: texts and bytes as they are, everything else as JSON."""
    encoded = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode()
        for row in rows
    ]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def book(key: str, title: str = "A book", **more: Any) -> dict[str, Any]:
    return {"id": key, "document": "book", "text": {"title": title}} | more


@pytest.mark.usefixtures("books")
def test_imported_items_are_found_by_their_words_and_filters(tmp_path: Path) -> None:
    rows = [
        book("1", title="The night sky", filters={"year": 1999, "tags": ["stars"]}),
        book("2", title="The day sky", filters={"year": 2001, "tags": []}),
        {"id": "3", "document": "book", "text": {"title": "Bread", "blurb": "no sky here"}},
    ]
    imports.import_items(lines(tmp_path / "items.jsonl", *rows))
    ImportedItem.objects.create(id="4", document="film", text={"title": "Sky, the film"})
    build("book")
    request = SearchRequest(document="book", text="sky")
    assert {item.item_id for item in search(request).results} == {"1", "2", "3"}
    later = replace(request, filters=(Range(field="year", gte=2000),), facets=("tags",))
    assert [item.item_id for item in search(later).results] == ["2"]
    starry = replace(request, filters=(Terms(field="tags", values=("stars",)),))
    assert [(item.item_id, item.title) for item in search(starry).results] == [("1", "The night sky")]


@pytest.mark.usefixtures("books")
def test_items_are_stored_and_wait_to_be_indexed(tmp_path: Path) -> None:
    file = lines(tmp_path / "items.jsonl", book("1", filters={"year": 1999, "tags": ["a", "b"]}), book("2"))
    report = imports.import_items(file)
    assert (report.stored, report.errors) == (2, [])
    assert ImportedItem.objects.get(pk="1").filters == {"year": 1999, "tags": ["a", "b"]}
    assert set(OutboxEntry.objects.values_list("document", "item_id")) == {("book", "1"), ("book", "2")}


@pytest.mark.usefixtures("books")
def test_an_item_that_comes_again_is_replaced(tmp_path: Path) -> None:
    file = lines(tmp_path / "items.jsonl", book("1", "old"), book("1", "new"))
    imports.import_items(file)
    imports.import_items(lines(tmp_path / "more.jsonl", book("1", "newest")))
    assert [item.text["title"] for item in ImportedItem.objects.all()] == ["newest"]


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("{broken", "JSON"),
        ("[1, 2]", "object"),
        (b"\xff\xfe", "UTF-8"),
        (b"\x00", "NUL"),
        (book("1", "a NUL\0"), "NUL"),
        (book("1", "half \ud800"), "half"),
        ({"document": "book", "text": {"title": "x"}}, "id"),
        (book("x" * 256), "id"),
        (book("1", filters={"a": {"b": 1}}), "filters"),
        (book("1", filters={"a": float("nan")}), "filters"),
        (book("1", filters=[1]), "filters"),
        (book("1", image=5), "image"),
        ({"id": "1", "document": "book", "text": {}}, "text"),
        ({"id": "1", "document": "book", "text": {"title": 5}}, "text"),
        ({"id": "1", "document": "magazine", "text": {"title": "x"}}, "magazine"),
        ({"id": "1", "document": "product", "text": {"title": "x"}}, "register an ImportedItemDocument"),
        ({"id": "1", "text": {"title": "x"}}, "Name the document"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path: Path, line: Any, word: str) -> None:
    file = lines(tmp_path / "items.jsonl", book("8"), line, "", book("9"))
    report = imports.import_items(file)
    assert report.stored == 2
    ((number, why),) = report.errors
    assert number == 2
    assert word in why


@pytest.mark.usefixtures("books")
def test_a_text_about_escapes_is_a_text(tmp_path: Path) -> None:
    file = lines(tmp_path / "items.jsonl", book("1", r"\u0000 and \ud800 \\"), book("2", "\u8336"))
    assert imports.import_items(file) == imports.ImportReport(stored=2, skipped=0)


@pytest.mark.usefixtures("books")
def test_strict_stores_nothing_if_a_line_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 2)
    file = lines(tmp_path / "items.jsonl", book("1"), book("2"), book("3"), "{")
    with pytest.raises(InvalidRequest, match=r"items\.jsonl, line 4"):
        imports.import_items(file, strict=True)
    assert not ImportedItem.objects.exists()
    assert not OutboxEntry.objects.exists()


@pytest.mark.usefixtures("books")
def test_an_id_of_another_document_is_not_taken_over(tmp_path: Path) -> None:
    ImportedItem.objects.create(id="1", document="film", text={"title": "A film"})
    report = imports.import_items(lines(tmp_path / "items.jsonl", book("1"), book("2")))
    assert report.stored == 1
    assert report.errors[0][0] == 1
    assert ImportedItem.objects.get(pk="1").document == "film"


def seen(**changes: Any) -> dict[str, Any]:
    return {"user": 7, "item": "1", "kind": "view", "time": "2024-05-01T12:00:00Z"} | changes


def test_interactions_come_in_once_however_often_the_file_is_read(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "events.jsonl",
        b"\xef\xbb\xbf" + json.dumps(seen()).encode(),
        seen(item="2", id="e2", kind="rating", value=4.5),
    )
    assert imports.import_interactions(file, document="product").stored == 2
    again = imports.import_interactions(file, document="product")
    assert (again.stored, again.skipped) == (0, 2)
    row = Interaction.objects.get(item_id="2")
    assert (row.user_key, row.value, row.at) == ("7", 4.5, datetime(2024, 5, 1, 12, tzinfo=UTC))


def test_a_time_without_a_zone_is_the_sites(tmp_path: Path) -> None:
    with override_settings(TIME_ZONE="Asia/Shanghai"):
        file = lines(tmp_path / "events.jsonl", seen(time="2024-05-01T12:00:00"))
        imports.import_interactions(file, document="product")
    assert Interaction.objects.get().at == datetime(2024, 5, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "look"}, "look"),
        ({"time": "yesterday"}, "ISO 8601"),
        ({"time": 5}, "ISO 8601"),
        ({"time": "2999-01-01T00:00:00Z"}, "future"),
        ({"value": float("nan")}, "finite"),
        ({"user": None}, "user"),
        ({"user": "x" * 101}, "user"),
        ({"item": {"a": 1}}, "item"),
        ({"document": "nothing"}, "nothing"),
        ({"id": ""}, "id"),
    ],
)
def test_a_bad_event_is_named(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    file = lines(tmp_path / "events.jsonl", seen(), seen(**change), seen(item="3"))
    report = imports.import_interactions(file, document="product")
    assert report.stored == 2
    assert report.errors[0][0] == 2
    assert word in report.errors[0][1]


def test_events_of_one_who_refused_are_skipped_not_wrong(tmp_path: Path) -> None:
    privacy.set_consent("7", granted=False)
    file = lines(tmp_path / "events.jsonl", seen(), seen(user=8))
    report = imports.import_interactions(file, document="product", strict=True)
    assert (report.stored, report.skipped, report.errors) == (1, 1, [])
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        assert imports.import_interactions(file, document="product").skipped == 2


def test_an_event_without_a_time_is_now_and_counts_each_time(tmp_path: Path) -> None:
    line = {"user": 7, "item": "1", "kind": "view"}
    file = lines(tmp_path / "events.jsonl", line, line)
    assert imports.import_interactions(file, document="product").stored == 2


@pytest.mark.usefixtures("books")
def test_a_batch_of_bad_lines_alone_stores_nothing(tmp_path: Path) -> None:
    ImportedItem.objects.create(id="1", document="film", text={"title": "A film"})
    report = imports.import_items(lines(tmp_path / "items.jsonl", book("1")))
    assert (report.stored, len(report.errors)) == (0, 1)


def test_progress_counts_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 2)
    file = lines(tmp_path / "events.jsonl", *(seen(item=str(n)) for n in range(5)))
    steps: list[tuple[int, int]] = []
    imports.import_interactions(
        file, document="product", progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(2, 5), (4, 5), (5, 5)]


def test_judgements_come_with_the_texts_of_their_queries(tmp_path: Path) -> None:
    queries = lines(tmp_path / "queries.jsonl", {"id": "q1", "text": "desk lamp"})
    qrels = lines(tmp_path / "qrels.txt", "q1 0 1 3", "q1\t0\t2\t0")
    report = imports.import_judgments(qrels, queries=queries, document="product")
    assert report.stored == 2
    assert set(Judgment.objects.values_list("query", "item_id", "grade")) == {
        ("desk lamp", "1", 3),
        ("desk lamp", "2", 0),
    }
    again = lines(tmp_path / "more.txt", "q1 0 1 2")
    imports.import_judgments(again, document="product")
    assert Judgment.objects.get(item_id="1").grade == 2


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("q1 0 1", "four parts"),
        ("q2 0 1 1", "q2"),
        ("q1 0 1 x", "whole number"),
        ("q1 0 1 4", "outside"),
        ("q1 0 1 -1", "outside"),
    ],
)
def test_a_bad_judgement_is_named(tmp_path: Path, line: str, word: str) -> None:
    queries = lines(tmp_path / "queries.jsonl", {"id": "q1", "text": "desk lamp"})
    qrels = lines(tmp_path / "qrels.txt", "q1 0 1 3", line)
    report = imports.import_judgments(qrels, queries=queries, document="product")
    assert report.stored == 1
    assert report.errors[0][0] == 2
    assert word in report.errors[0][1]


def test_a_bad_line_of_queries_ends_the_import(tmp_path: Path) -> None:
    queries = lines(tmp_path / "queries.jsonl", {"id": "q1", "text": ""})
    qrels = lines(tmp_path / "qrels.txt", "q1 0 1 3")
    with pytest.raises(InvalidRequest, match=r"queries\.jsonl, line 1"):
        imports.import_judgments(qrels, queries=queries, document="product")


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.lists(st.binary(max_size=60).filter(lambda raw: b"\n" not in raw), max_size=8))
def test_no_noise_in_a_file_stops_the_good_lines(tmp_path: Path, noise: list[bytes]) -> None:
    Interaction.objects.all().delete()
    file = lines(tmp_path / "events.jsonl", seen(), *noise, seen(item="2"))
    report = imports.import_interactions(file, document="product")
    assert report.stored == 2
    assert len(report.errors) == sum(1 for raw in noise if raw.strip())
