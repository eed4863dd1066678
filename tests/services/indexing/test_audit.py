"""Every difference between the site and its indexes is found, told apart, and mended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.backends import embedded, get_backend
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import LeaseLost, NotBuilt, NotFound
from llmrec_plugin.models import Embedding, IndexBatch, IndexVersion, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.indexing import index_audit as audit_module
from llmrec_plugin.services.indexing.index_audit import AuditReport, audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.types import IndexedItem, Removal
from tests.hostapp.models import Brand, Course, Product
from tests.support import moody_encoder
from tests.support.indexed import declared, found, listed
from tests.support.moody_encoder import mood

pytestmark = pytest.mark.django_db

LATER = 1_000_000
"""A revision above any that a test draws."""


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    moody_encoder.reset()
    moody = {**django_settings.LLMREC, "ENCODER": "tests.support.moody_encoder", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=moody):
        yield
    moody_encoder.reset()


@pytest.fixture
def lamps() -> list[Product]:
    lamps = [Product.objects.create(title=f"Lamp {number}") for number in range(6)]
    build("product")
    indexing.drain()
    return lamps


def differences(report: AuditReport) -> tuple[tuple[str, ...], ...]:
    return report.missing, report.stale, report.orphaned


CLEAN = ((), (), ())


def keys(*products: Product) -> tuple[str, ...]:
    return tuple(sorted(str(product.pk) for product in products))


def live_name() -> str:
    return IndexVersion.objects.order_by("-id").values_list("name", flat=True)[0]


def test_after_a_build_nothing_differs(lamps: list[Product]) -> None:
    report = audit("product")
    assert differences(report) == CLEAN
    assert (report.checked, report.failing, report.pending, report.repaired) == (6, (), (), 0)


def test_every_kind_of_difference_is_found_and_mended(lamps: list[Product]) -> None:
    missing, changed, gone, refiltered, *_ = lamps
    newer = IndexBatch.objects.latest("id").pk + 50
    get_backend().write(live_name(), [], [Removal(key=str(missing.pk), revision=newer)])
    Product.objects.filter(pk=changed.pk).update(title="Torch")
    Product.objects.filter(pk=refiltered.pk).update(price=3)
    Product.objects.filter(pk=gone.pk)._raw_delete("default")
    expected = (keys(missing), keys(changed, refiltered), keys(gone))
    assert differences(audit("product")) == expected
    while IndexBatch.objects.create().pk < newer:
        pass  # revisions go on from the removal written above
    report = audit("product", repair=True)
    assert differences(report) == expected
    assert report.repaired == 4
    assert differences(audit("product")) == CLEAN
    assert found("product", "torch") == {str(changed.pk)}
    assert listed("product") == set(keys(*lamps)) - {str(gone.pk)}


def test_what_the_index_holds_of_nothing_is_orphaned(lamps: list[Product]) -> None:
    stranger = IndexedItem(
        key="no key of ours",
        terms={"title": "ghost", "description": "", "brand__name": ""},
        filters={"brand": None, "category": (), "price": 0.0, "in_stock": True},
        vector=np.eye(64, dtype=np.float32)[0],
        digest="x",
        revision=1,
    )
    get_backend().write(live_name(), [stranger])
    assert audit("product", repair=True).orphaned == ("no key of ours",)
    assert differences(audit("product")) == CLEAN


def test_vectors_are_compared_too(lamps: list[Product]) -> None:
    first, second, *_ = lamps
    Embedding.objects.filter(item_id=str(first.pk)).update(fingerprint="of another text")
    Embedding.objects.filter(item_id=str(second.pk)).delete()
    Embedding.objects.create(
        document="product", item_id="999", encoder_id="moody", fingerprint="x", vector=b"\0" * 256
    )
    mood.read.clear()
    report = audit("product", repair=True)
    assert differences(report) == ((), keys(first, second), ("999",))
    assert report.repaired == 3
    assert len(mood.read) == 2
    assert differences(audit("product")) == CLEAN
    assert Embedding.objects.count() == 6


def test_a_lost_index_is_filled_again(lamps: list[Product]) -> None:
    get_backend().drop_index(live_name())
    report = audit("product", repair=True)
    assert report.missing == keys(*lamps)
    assert report.repaired == 6
    assert differences(audit("product")) == CLEAN


def test_every_index_that_follows_the_site_is_compared(lamps: list[Product]) -> None:
    first = live_name()
    build("product", rebuild=True)
    get_backend().drop_index(first)
    report = audit("product", repair=True)
    assert report.missing == keys(*lamps)
    assert len(listed("product", version=IndexVersion.objects.get(name=first))) == 6


def test_what_waits_in_the_backlog_is_pending_not_stale(lamps: list[Product]) -> None:
    lamps[0].title = "Torch"
    lamps[0].save()
    lamps[1].delete()
    report = audit("product")
    assert differences(report) == CLEAN
    assert report.pending == tuple(
        sorted(
            [
                str(lamps[0].pk),
                listed("product").difference({str(lamp.pk) for lamp in Product.objects.all()}).pop(),
            ]
        )
    )


def test_what_waits_through_a_related_object_is_pending(lamps: list[Product]) -> None:
    brand = Brand.objects.create(name="Acme")
    Product.objects.update(brand=brand)
    indexing.mark(Product.objects.all())
    indexing.drain()
    brand.name = "Zenith"
    brand.save()
    report = audit("product")
    assert differences(report) == CLEAN
    assert report.pending == keys(*lamps)


def test_what_failed_is_named(lamps: list[Product]) -> None:
    mood.refuses = "poison"
    lamps[0].title = "poison"
    lamps[0].save()
    indexing.drain()
    report = audit("product", repair=True)
    assert (report.failing, report.stale, report.repaired) == (keys(lamps[0]), (), 0)


def test_an_item_that_cannot_be_prepared_is_named_and_left_as_it_is() -> None:
    class Fragile(SearchDocument[Product]):
        model = Product
        label = "fragile"
        text_fields = ["title"]

        def prepare(self, obj: Product) -> Any:
            if obj.price:
                raise RuntimeError("broken")
            return super().prepare(obj)

    with declared(Fragile):
        lamp = Product.objects.create(title="Lamp")
        build("fragile")
        Product.objects.update(price=1)
        report = audit("fragile", repair=True)
        assert (report.failing, report.orphaned, report.stale) == (keys(lamp), (), ())
        assert found("fragile", "lamp") == {str(lamp.pk)}


def test_what_cannot_be_mended_does_not_count_as_repaired(lamps: list[Product]) -> None:
    get_backend().write(live_name(), [], [Removal(key=str(lamps[0].pk), revision=LATER)])
    report = audit("product", repair=True)
    assert (report.missing, report.repaired) == (keys(lamps[0]), 0)
    assert "--rebuild" in OutboxEntry.objects.get().last_error
    build("product", rebuild=True)
    indexing.drain()
    assert listed("product") == set(keys(*lamps))


def test_hidden_items_are_neither_missing_nor_left_in(lamps: list[Product]) -> None:
    Product.objects.filter(pk=lamps[0].pk).update(is_draft=True)
    report = audit("product", repair=True)
    assert report.orphaned == keys(lamps[0])
    assert (report.checked, report.repaired) == (5, 1)


def test_uuid_keys_are_compared_alike() -> None:
    course = Course.objects.create(title="Intro")
    build("course")
    indexing.drain()
    Course.objects.update(title="Outro")
    assert audit("course", repair=True).stale == (str(course.pk),)
    assert differences(audit("course")) == CLEAN


def test_items_are_read_in_chunks(lamps: list[Product], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "CHUNK", 2)
    Product.objects.update(title="Torch")
    report = audit("product", repair=True)
    assert (report.checked, report.stale, report.repaired) == (6, keys(*lamps), 6)


def test_a_repair_ends_on_a_site_that_is_never_still() -> None:
    class Restless(SearchDocument[Product]):
        """Somebody else saves something whenever an item is indexed."""

        model = Product
        label = "restless"
        text_fields = ["title"]
        saves = 0

        def prepare(self, obj: Product) -> Any:
            if self.saves < 50 and Product.objects.count() > 1:
                type(self).saves += 1
                indexing.mark(Product.objects.latest("pk"), document=self.label)
            return super().prepare(obj)

    with declared(Restless):
        lamp = Product.objects.create(title="Lamp")
        build("restless")
        Product.objects.create(title="Torch")
        Product.objects.filter(pk=lamp.pk).update(title="Beam")
        OutboxEntry.objects.all().delete()
        report = audit("restless", repair=True)
        assert report.stale == keys(lamp)
        assert Restless.saves < 10
        assert found("restless", "beam") == {str(lamp.pk)}


class SearchBackend(embedded.SearchBackend):
    """The embedded engine, during whose reading somebody changes an item and another process indexes it."""

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        yield from list(super().digests(name))
        for lamp in Product.objects.filter(title="Lamp 0"):
            lamp.title = "Torch"
            lamp.save()
            indexing.drain()


def test_what_was_indexed_meanwhile_is_no_difference(lamps: list[Product]) -> None:
    with override_settings(
        LLMREC={**django_settings.LLMREC, "BACKEND": "tests.services.indexing.test_audit"}
    ):
        report = audit("product", repair=True)
    assert differences(report) == CLEAN
    assert report.repaired == 0
    assert found("product", "torch") == {str(lamps[0].pk)}


def test_an_audit_needs_a_live_index_and_a_known_label() -> None:
    with pytest.raises(NotBuilt):
        audit("product")
    with pytest.raises(NotFound):
        audit("nothing")


def test_two_audits_of_one_document_exclude_each_other(lamps: list[Product]) -> None:
    with locks.hold("audit:product"), pytest.raises(LeaseLost):
        audit("product")
