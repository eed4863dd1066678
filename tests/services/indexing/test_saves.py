"""What the plugin does inside a save of the site: little, late, and nothing that the save could notice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import ImportedItem, OutboxEntry
from llmrec_plugin.receivers import after_response
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import missed_changes
from llmrec_plugin.services.indexing import AuditReport, outbox, routes
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.monitoring import health
from tests.hostapp.models import Brand, Label, Product, ProductLabel, Review
from tests.support import moody_encoder
from tests.support.indexed import declared, found, listed, waiting
from tests.support.moody_encoder import mood
from tests.support.responses import respond

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 1000


class Shown(SearchDocument[Product]):
    """Everything that a product can be made of."""

    model = Product
    label = "shown"
    text_fields = ["title", "brand__name", "reviews__text", "labels__name"]
    filter_fields = {"labels": "labels", "reviews": "reviews"}


@contextmanager
def tasks_in(place: str) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": place}):
        yield


def rename_brand() -> Callable[[], object]:
    brand = Brand.objects.create(name="Acme")
    Product.objects.bulk_create(Product(title=f"Lamp {number}", brand=brand) for number in range(MANY))
    brand.name = "Zenith"
    return brand.save


def save_item() -> Callable[[], object]:
    lamp = Product.objects.create(title="Lamp")
    lamp.title = "Torch"
    return lamp.save


def add_item() -> Callable[[], object]:
    return Product(title="Lamp").save


def move_review() -> Callable[[], object]:
    first, second = (Product.objects.create(title=title) for title in ("Lamp", "Torch"))
    review = Review.objects.create(product=first, text="splendid")
    review.product = second
    return review.save


def move_link() -> Callable[[], object]:
    first, second = (Product.objects.create(title=title) for title in ("Lamp", "Torch"))
    link = ProductLabel.objects.create(product=first, label=Label.objects.create(name="sale"))
    link.product = second
    return link.save


CHANGES = [save_item, add_item, rename_brand, move_review, move_link]


class TestCost:
    def statements(self, change: Callable[[], object], *, atomic: bool) -> list[str]:
        with transaction.atomic() if atomic else nullcontext(), CaptureQueriesContext(connection) as queries:
            change()
        return [query["sql"] for query in queries]

    @pytest.mark.parametrize("place", ["off", "process", "celery"])
    @pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "autocommit"])
    @pytest.mark.parametrize("prepare", CHANGES)
    def test_a_save_costs_three_statements_at_most(
        self, prepare: Callable[[], Callable[[], object]], atomic: bool, place: str
    ) -> None:
        with declared(Shown), tasks_in(place):
            change = prepare()
            statements = self.statements(change, atomic=atomic)
        assert len(statements) - 1 <= 3, statements  # one is the site's own
        assert len(statements) - 1 <= 2 or "SAVEPOINT" in "".join(statements), statements

    def test_a_renamed_brand_of_a_thousand_items_is_one_entry_a_document(self) -> None:
        with declared(Shown):
            change = rename_brand()
            OutboxEntry.objects.all().delete()
            change()
            assert sorted(OutboxEntry.objects.values_list("document", "via")) == [
                ("product", "brand"),
                ("shown", "brand"),
            ]

    def test_a_brand_that_goes_costs_one_read_a_document_and_one_entry(self) -> None:
        brand = Brand.objects.create(name="Acme")
        Product.objects.bulk_create(Product(title=f"Lamp {number}", brand=brand) for number in range(MANY))
        build("product")
        brand.delete()
        entry = OutboxEntry.objects.get()
        assert len(entry.keys or ()) == MANY
        indexing.drain()
        assert found("product", "acme") == set()
        assert indexing.audit("product") == AuditReport(checked=MANY)

    def test_of_very_many_items_a_worker_looks_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(routes, "MOST_KEYS", 3)
        brand = Brand.objects.create(name="Acme")
        Product.objects.bulk_create(Product(title=f"Lamp {number}", brand=brand) for number in range(5))
        build("product")
        brand.delete()
        assert list(OutboxEntry.objects.values_list("via", "keys")) == [(routes.EVERYTHING, None)]
        indexing.drain()
        assert found("product", "acme") == set()

    def test_neither_encoder_nor_engine_is_asked_before_the_response_is_out(self) -> None:
        moody = {"ENCODER": "tests.support.moody_encoder", "ENCODER_OPTIONS": {}, "TASKS": "process"}
        moody_encoder.reset()
        with override_settings(LLMREC={**django_settings.LLMREC, **moody}):
            build("product")
            mood.batches.clear()
            lamp = Product.objects.create(title="Lamp")
            assert mood.batches == []
            respond()
            assert mood.batches == [1]
            assert found("product", "lamp") == {str(lamp.pk)}
        moody_encoder.reset()

    def test_beside_requests_a_thread_writes_only_where_it_has_none_refused(self) -> None:
        default = connections["default"]
        if default.vendor == "postgresql":
            assert after_response.bears_threads(default)
            return
        assert not after_response.bears_threads(default)  # in memory
        shapes = {"DEFERRED": False, None: False, "IMMEDIATE": True, "EXCLUSIVE": True}
        for mode, expected in shapes.items():
            options = {} if mode is None else {"transaction_mode": mode}
            wrapper = type(default)({**default.settings_dict, "NAME": "shop.sqlite3", "OPTIONS": options})
            wrapper.get_connection_params()
            assert after_response.bears_threads(wrapper) is expected, mode


class TestFaults:
    @pytest.fixture
    def no_backlog(self) -> Iterator[None]:
        """As between the deployment of a new version and its migrations."""
        table = OutboxEntry._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO renamed_backlog")
        yield
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE renamed_backlog RENAME TO {table}")

    @pytest.mark.parametrize("nested", [False, True])
    def test_a_backlog_that_cannot_be_written_fails_no_transaction(
        self, no_backlog: None, nested: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        with transaction.atomic():
            brand = Brand.objects.create(name="Acme")
            with transaction.atomic() if nested else nullcontext():
                lamp = Product.objects.create(title="Lamp", brand=brand)
                lamp.save()
                torch = Product.objects.create(title="Torch", brand=brand)
            torch.delete()
            brand.name = "Zenith"
            brand.save()
        lamp.save()
        assert list(Product.objects.values_list("title", "brand__name")) == [("Lamp", "Zenith")]
        assert "a change is not followed model=hostapp.Product" in caplog.text

    def test_what_was_missed_is_told_until_it_is_repaired(self) -> None:
        build("product")
        table = OutboxEntry._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO renamed_backlog")
        try:
            lamp = Product.objects.create(title="Lamp")
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE renamed_backlog RENAME TO {table}")
        (part,) = (part for part in health.components() if part.name == "backlog product")
        assert part.code == "missed"
        assert "audit --repair" in part.detail
        indexing.audit("product", repair=True)
        assert found("product", "lamp") == {str(lamp.pk)}
        assert missed_changes.noted("product") is None

    def test_a_declaration_that_fails_holds_up_no_other(self) -> None:
        class Raising(SearchDocument[Product]):
            model = Product
            label = "raising"
            text_fields = ["title"]

            @property
            def related(self) -> Any:  # type: ignore[override]
                raise RuntimeError("the site's own code")

        with declared(Raising):
            lamp = Product.objects.create(title="Lamp")
        assert set(waiting("product")) == {str(lamp.pk)}
        assert missed_changes.noted("raising") is not None

    def test_a_broken_transaction_is_the_sites_own_affair(self) -> None:
        def fail() -> None:
            with transaction.atomic():
                Product.objects.create(title="Lamp")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert not OutboxEntry.objects.exists()
        assert missed_changes.noted("product") is None


class TestMoves:
    """A worker that is quicker than the save sees the row as it is written, and nothing before."""

    @pytest.fixture
    def seen(self) -> Iterator[list[list[str]]]:
        looks: list[list[str]] = []

        class Looked(Shown):
            def prepare(self, obj: Product) -> Any:
                looks.append([review.text for review in obj.reviews.all()])
                return super().prepare(obj)

        def work(**kwargs: object) -> None:
            indexing.drain()

        with declared(Looked):
            build("shown")
            outbox.marked.connect(work, dispatch_uid="tests.worker")
            yield looks
            outbox.marked.disconnect(dispatch_uid="tests.worker")

    def test_a_row_that_moves_is_read_once_for_both_items_and_after_it_is_written(
        self, seen: list[list[str]]
    ) -> None:
        lamp, torch = (Product.objects.create(title=title) for title in ("Lamp", "Torch"))
        review = Review.objects.create(product=lamp, text="splendid")
        seen.clear()
        review.product = torch
        review.save()
        assert sorted(seen) == [[], ["splendid"]]
        assert found("shown", "splendid") == {str(torch.pk)}
        assert listed("shown") == {str(lamp.pk), str(torch.pk)}

    def test_a_through_row_that_moves_takes_its_label_along(self, seen: list[list[str]]) -> None:
        lamp, torch = (Product.objects.create(title=title) for title in ("Lamp", "Torch"))
        link = ProductLabel.objects.create(product=lamp, label=Label.objects.create(name="sale"))
        link.product = torch
        link.save()
        assert found("shown", "sale") == {str(torch.pk)}
        link.delete()
        assert found("shown", "sale") == set()


class TestJson:
    def test_a_list_where_a_path_reads_a_key_is_empty_and_told_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Imported(SearchDocument[ImportedItem]):
            model = ImportedItem
            label = "imported"
            text_fields = ["id", "text__unheard_of"]
            filter_fields = {"colour": "filters__shade__name", "size": "filters__size"}
            kinds = {"colour": "keyword", "size": "number"}

        caplog.set_level(logging.WARNING)
        shapes: list[Any] = [
            {"shade": ["red"]},
            {"shade": "red"},
            ["red"],
            {"size": "large"},
            {"size": {}},
            {},
        ]
        with declared(Imported):
            build("imported")
            for number, shape in enumerate(shapes):
                ImportedItem.objects.create(
                    id=f"thing-{number}", document="elsewhere", text={"a": "b"}, filters=shape
                )
            assert indexing.drain().failed == 0
            assert len(listed("imported")) == len(shapes)
            indexing.audit("imported")
        told = [message for message in caplog.messages if "filters__size" in message]
        assert len(told) == 2  # a text, and an object


def test_models_that_no_document_reads_cost_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        Group.objects.create(name="staff")
    assert len(queries) == 1
