"""Files that are written are files that can be read: nothing is lost, and who refused is not in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.documents import ImportedItemDocument, registry
from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.models import ImportedItem, Interaction
from llmrec_plugin.services import privacy
from llmrec_plugin.services.import_export import exports, imports
from tests.hostapp.models import Product
from tests.support.serving import did, stock

pytestmark = pytest.mark.django_db


class BookDocument(ImportedItemDocument):
    label = "book"
    text_fields = {"title": 2, "brand_name": 1}
    filter_fields = ["price", "category", "in_stock"]
    kinds = {"price": "number", "category": "keyword", "in_stock": "boolean"}


@pytest.fixture
def books() -> Iterator[None]:
    registry.register(BookDocument)
    yield
    registry.unregister(BookDocument)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows(model: Any, *fields: str) -> list[tuple[Any, ...]]:
    return list(model.objects.order_by(*fields).values_list(*fields))


@pytest.mark.usefixtures("books")
def test_imported_items_come_back_as_they_were(tmp_path: Path) -> None:
    ImportedItem.objects.create(
        id="a", document="book", text={"title": "机器学习", "note": "\u2028x"}, filters={"tags": ["x", 1]}
    )
    ImportedItem.objects.create(id="b", document="book", text={"title": "B"}, image="https://b/b.png")
    ImportedItem.objects.create(id="c", document="film", text={"title": "no book"})
    fields = ("id", "document", "text", "filters", "image")
    before = rows(ImportedItem.objects.filter(document="book").model, *fields)[:2]
    path = tmp_path / "books.jsonl"
    assert exports.export_items(path, document="book") == 2
    ImportedItem.objects.all().delete()
    assert imports.import_items(path).stored == 2
    assert rows(ImportedItem, *fields) == before


@pytest.mark.usefixtures("books")
def test_items_of_the_sites_own_models_can_be_imported_elsewhere(tmp_path: Path) -> None:
    products = stock(1)
    Product.objects.filter(title="steel lawn mower").update(is_draft=True)
    path = tmp_path / "products.jsonl"
    assert exports.export_items(path, document="product") == len(products) - 1
    first = read(path)[0]
    product = products[first["text"]["title"]]
    assert first["text"] == {
        "title": product.title,
        "description": product.description,
        "brand_name": "Acme",
    }
    assert first["filters"]["price"] == float(product.price)
    assert first["filters"]["category"] == ["coffee"]
    path.write_text(path.read_text().replace('"document": "product"', '"document": "book"'))
    assert imports.import_items(path).stored == len(products) - 1
    document = registry.get("book")
    found = document.prepare(document.in_bulk([first["id"]])[first["id"]])
    assert found is not None
    assert found.passage.splitlines() == [product.title, "Acme"]
    assert found.filters["price"] == float(product.price)


def test_events_come_back_once_and_only_of_who_agrees(tmp_path: Path) -> None:
    products = stock(1)
    hose, lamp = products["steel garden hose"], products["steel desk lamp"]
    did("7", "view", [hose, hose, lamp], at=datetime(2026, 1, 1, tzinfo=UTC))
    did("8", "purchase", [hose])
    did("refused", "view", [lamp])
    Interaction.objects.create(
        user_key="7",
        document="product",
        item_id=str(lamp.pk),
        kind="rating",
        value=4.5,
        at=datetime(2026, 2, 1, tzinfo=UTC),
        event_id="theirs",
    )
    privacy.set_consent("refused", granted=False)
    did("refused", "view", [lamp])  # left over from before, say
    fields = ("user_key", "item_id", "kind", "value", "at")
    before = [row for row in rows(Interaction, *fields) if row[0] != "refused"]
    path = tmp_path / "events.jsonl"
    assert exports.export_interactions(path, document="product") == 5
    assert "refused" not in path.read_text()
    Interaction.objects.all().delete()
    assert imports.import_interactions(path).stored == 5
    assert rows(Interaction, *fields) == before
    assert imports.import_interactions(path).skipped == 5
    again = tmp_path / "again.jsonl"
    exports.export_interactions(again, document="product")
    assert all(line.pop("id") for line in read(again))
    said = [{**line, "id": ""} for line in read(path)]
    assert [{**line, "id": ""} for line in read(again)] == said


def test_many_events_take_no_more_queries(tmp_path: Path) -> None:
    products = stock(1)
    counts = []
    for _ in range(2):
        did("7", "view", list(products.values()))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            exports.export_interactions(tmp_path / "events.jsonl", document="product")
        counts.append(len(queries))
    assert counts == [1, 1]


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    stock(1)
    (tmp_path / "old.jsonl").write_text("kept")
    with pytest.raises(InvalidRequest, match="cannot be written"):
        exports.export_items(tmp_path / "no" / "items.jsonl", document="product")
    with pytest.raises(NotFound):
        exports.export_items(tmp_path / "old.jsonl", document="teapot")
    assert (tmp_path / "old.jsonl").read_text() == "kept"
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidRequest, match="folder cannot be written"):
        exports.export_items(tmp_path / "folder", document="product")
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_command_says_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    products = stock(1)
    path = tmp_path / "items.jsonl"
    call_command("llmrec", "export", "items", str(path), "--document", "product")
    assert f"{len(products)} items are in {path}." in capsys.readouterr().out
    call_command("llmrec", "export", "interactions", str(path), "--document", "product", "--json")
    assert json.loads(capsys.readouterr().out) == {"written": 0}
    assert path.read_text() == ""
