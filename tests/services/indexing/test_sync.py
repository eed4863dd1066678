"""From a change on the site to its indexes: what is written, what is encoded, and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import DocumentError, NotFound
from llmrec_plugin.models import Embedding, IndexBatch, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.types import Terms
from tests.hostapp.models import Brand, Course, Product
from tests.support import moody_encoder
from tests.support.indexed import declared, found, listed, waiting
from tests.support.moody_encoder import mood

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    moody_encoder.reset()
    yield
    moody_encoder.reset()


@pytest.fixture
def live() -> Iterator[None]:
    """An empty shop with a live index, encoded by the moody encoder."""
    moody = {**django_settings.LLMREC, "ENCODER": "tests.support.moody_encoder", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=moody):
        build("product")
        yield


def add(title: str, **fields: Any) -> Product:
    return Product.objects.create(title=title, **fields)


class TestChanges:
    def test_a_saved_item_is_found_by_its_words_and_filters(self, live: None) -> None:
        lamp = add("Desk lamp", in_stock=False)
        report = indexing.drain()
        assert (report.written, report.encoded, report.remaining) == (1, 1, 0)
        assert found("product", "lamp") == {str(lamp.pk)}
        assert listed("product", Terms(field="in_stock", values=(False,))) == {str(lamp.pk)}

    def test_a_changed_item_loses_its_former_words(self, live: None) -> None:
        lamp = add("Desk lamp")
        indexing.drain()
        lamp.title = "Floor light"
        lamp.save()
        indexing.drain()
        assert found("product", "light") == {str(lamp.pk)}
        assert found("product", "lamp") == set()

    def test_a_deleted_item_and_its_vector_are_gone(self, live: None) -> None:
        lamp = add("Desk lamp")
        indexing.drain()
        lamp.delete()
        report = indexing.drain()
        assert (report.removed, report.written) == (1, 0)
        assert listed("product") == set()
        assert not Embedding.objects.exists()

    def test_a_queryset_delete_is_followed_too(self, live: None) -> None:
        add("Desk lamp"), add("Floor lamp")
        indexing.drain()
        Product.objects.all().delete()
        assert indexing.drain().removed == 2
        assert listed("product") == set()

    def test_an_item_that_becomes_a_draft_is_taken_out_and_back_in(self, live: None) -> None:
        lamp = add("Desk lamp")
        indexing.drain()
        lamp.is_draft = True
        lamp.save()
        assert indexing.drain().removed == 1
        assert found("product", "lamp") == set()
        lamp.is_draft = False
        lamp.save()
        indexing.drain()
        assert found("product", "lamp") == {str(lamp.pk)}

    def test_an_item_without_any_text_is_no_search_result(self, live: None) -> None:
        add("<p> </p>")
        report = indexing.drain()
        assert (report.written, report.removed, report.failed) == (0, 1, 0)

    def test_prepare_decides_what_may_be_found(self) -> None:
        class Cheap(SearchDocument[Product]):
            model = Product
            label = "cheap"
            text_fields = ["title"]

            def prepare(self, obj: Product) -> Any:
                return super().prepare(obj) if obj.price < 10 else None

        with declared(Cheap):
            pen = add("Pen", price=1)
            add("Yacht", price=1_000_000)
            build("cheap")
            indexing.drain()
            assert listed("cheap") == {str(pen.pk)}

    def test_uuid_keys_travel_like_others(self) -> None:
        course = Course.objects.create(title="Introduction to machine learning")
        build("course")
        assert found("course", "machine") == {str(course.pk)}
        key = str(course.pk)
        course.delete()
        indexing.drain()
        assert key not in listed("course")

    def test_a_fixture_is_followed(self, live: None, tmp_path: Any) -> None:
        fixture = tmp_path / "lamps.json"
        fixture.write_text(
            '[{"model": "hostapp.product", "pk": 5, '
            '"fields": {"title": "Desk lamp", "created": "2024-01-01T00:00:00Z"}}]'
        )
        call_command("loaddata", fixture, verbosity=0)
        indexing.drain()
        assert found("product", "lamp") == {"5"}

    def test_without_an_index_entries_are_dropped_since_a_build_marks_all(self) -> None:
        add("Desk lamp")
        assert indexing.drain().remaining == 0
        build("product")
        assert len(listed("product")) == 1


class TestBulkWrites:
    def test_marking_a_queryset_follows_an_update_that_sends_no_signal(self, live: None) -> None:
        for number in range(3):
            add(f"Lamp {number}", price=number)
        indexing.drain()
        dear = Product.objects.filter(price__gt=0)
        dear.update(title="Torch")
        assert indexing.mark(dear) == 2
        indexing.drain()
        assert len(found("product", "torch")) == 2

    def test_marking_takes_instances_of_several_models(self, live: None) -> None:
        brand = Brand.objects.create(name="Acme")
        lamp = add("Lamp", brand=brand)
        indexing.drain()
        # the lamp itself, and the lamp through its brand
        assert indexing.mark([lamp, brand]) == 2
        assert sorted(OutboxEntry.objects.values_list("item_id", "via")) == sorted(
            [(str(lamp.pk), ""), (str(brand.pk), "brand")]
        )
        assert indexing.mark(lamp) == 1

    def test_marking_can_be_limited_to_one_document(self, live: None) -> None:
        class Second(SearchDocument[Product]):
            model = Product
            label = "second"
            text_fields = ["title"]

        with declared(Second):
            lamp = add("Lamp")
            OutboxEntry.objects.all().delete()
            assert indexing.mark(lamp, document="second") == 1
            assert waiting("second") == [str(lamp.pk)]
            with pytest.raises(NotFound):
                indexing.mark(lamp, document="third")

    def test_marking_by_key_takes_what_is_gone_and_leaves_out_what_is_no_key(self, live: None) -> None:
        assert indexing.mark_keys("product", [7, "8", "eight", ""]) == 2
        assert waiting("product") == ["7", "8"]
        assert indexing.drain().removed == 2

    def test_marking_a_model_that_no_document_reads_says_what_to_do(self) -> None:
        with pytest.raises(DocumentError, match="No document reads Permission"):
            indexing.mark(Permission.objects.all())

    def test_the_signal_is_sent_once_per_commit(
        self, live: None, django_capture_on_commit_callbacks: Any
    ) -> None:
        heard: list[object] = []

        def hear(**kwargs: object) -> None:
            heard.append(kwargs["sender"])

        outbox.marked.connect(hear)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                add("Lamp"), add("Torch")
                indexing.mark(Product.objects.all())
                assert not heard
        finally:
            outbox.marked.disconnect(hear)
        assert heard == [OutboxEntry]


class TestEncoding:
    def test_a_text_that_did_not_change_is_never_encoded_again(self, live: None) -> None:
        lamp = add("Lamp")
        indexing.drain()
        mood.read.clear()
        lamp.price = 5
        lamp.save()
        report = indexing.drain()
        assert (report.written, report.encoded, report.reused) == (1, 0, 1)
        assert mood.read == []

    def test_a_text_that_changes_back_is_written_again(self, live: None) -> None:
        lamp = add("Lamp")
        indexing.drain()
        for title in ("Torch", "Lamp"):
            Product.objects.filter(pk=lamp.pk).update(title=title)
            indexing.mark(lamp)
            assert indexing.drain().written == 1
        assert found("product", "lamp") == {str(lamp.pk)}
        assert found("product", "torch") == set()

    def test_one_text_of_many_items_is_encoded_once(self, live: None) -> None:
        for _ in range(3):
            add("Gift card")
        report = indexing.drain()
        assert (report.written, report.encoded) == (3, 1)
        add("Gift card")
        assert indexing.drain().encoded == 0
        assert Embedding.objects.count() == 4

    def test_a_batch_is_encoded_in_one_call(self, live: None) -> None:
        for number in range(20):
            add(f"Lamp {number}")
        mood.batches.clear()
        indexing.drain()
        assert mood.batches == [20]

    def test_many_saves_of_one_item_are_one_write(self, live: None) -> None:
        lamp = add("Lamp")
        for number in range(5):
            lamp.title = f"Lamp {number}"
            lamp.save()
        report = indexing.drain()
        assert (report.entries, report.written, report.encoded) == (6, 1, 1)


class TestCost:
    def count(self, items: int) -> int:
        brand = Brand.objects.create(name="Acme")
        for number in range(items):
            add(f"Lamp {items} {number}", brand=brand)
        with CaptureQueriesContext(connection) as queries:
            indexing.drain()
        return len(queries)

    def test_the_number_of_queries_does_not_grow_with_the_items(self, live: None) -> None:
        assert self.count(1) == self.count(50)

    def test_one_batch_costs_a_known_number_of_queries(self, live: None) -> None:
        # dead owners; claim 2 + repeats + lease; revision; versions; rows + categories; known texts;
        # savepoint, renew, own vectors, upsert, release; verify; savepoint, delete, release; batch;
        # the empty claim 2; what remains
        savepoints = 2 * 2 if connection.features.has_select_for_update_skip_locked else 0  # of the claims
        assert self.count(10) == 23 + savepoints

    def test_a_batch_is_bounded(self, live: None) -> None:
        for number in range(7):
            add(f"Lamp {number}")
        with override_settings(LLMREC={**django_settings.LLMREC, "LIMITS": {"drain_batch": 3}}):
            assert indexing.drain().entries == 7
        assert list(IndexBatch.objects.order_by("id").values_list("entries", flat=True)) == [3, 3, 1]

    def test_a_limit_leaves_the_rest_for_later(self, live: None) -> None:
        for number in range(5):
            add(f"Lamp {number}")
        calls: list[tuple[int, int]] = []
        report = indexing.drain(limit=2, progress=lambda done, total: calls.append((done, total)))
        assert (report.entries, report.remaining) == (2, 3)
        assert calls == [(2, 5)]
