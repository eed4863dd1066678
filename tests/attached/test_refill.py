"""What the site's index lost is noticed and put back from the stored vectors, without the encoder."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.backends import get_backend
from llmrec_plugin.celery_tasks import refill_lost as refill_task
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.indexing.vector_refill import RefillReport, refill_lost
from tests.attached.site import Site
from tests.attached.test_attached import TITLES, filled, find, keys, stocked, titles
from tests.hostapp.models import Product
from tests.support.servers import Server

pytestmark = pytest.mark.django_db


def made_anew(site: Site, products: list[Product]) -> None:
    site.rebuild(*products)


def swapped(site: Site, products: list[Product]) -> None:
    """The name was an index and becomes an alias of a fresh one, in one step."""
    fresh = f"{site.index}-2"
    site.create(fresh)
    site.put(*products, index=fresh)
    actions = [
        {"remove_index": {"index": site.index}},
        {"add": {"index": fresh, "alias": site.index}},
    ]
    site.client.indices.update_aliases(actions=actions)


def written_over(site: Site, products: list[Product]) -> None:
    site.put(*products)


@pytest.mark.parametrize("lose", [made_anew, swapped, written_over])
def test_all_that_was_lost_comes_back_without_encoding(
    site: Site, lose: Callable[[Site, list[Product]], None]
) -> None:
    products = stocked(site)
    build("attached")
    lose(site, products)
    assert filled() == set()
    assert refill_lost() == RefillReport(lost=len(TITLES), encoded=0)
    assert filled() == keys(*products)
    assert refill_lost() == RefillReport()
    found = audit("attached")
    assert (found.missing, found.stale, found.orphaned) == ((), (), ())
    assert titles(find("desk lamp"))[0] == "Wooden desk lamp"


def test_what_was_just_refilled_is_not_lost(site: Site) -> None:
    products = stocked(site)
    build("attached")
    site.put(*products)
    options = {**django_settings.LLMREC["BACKEND_OPTIONS"], "refresh": False}
    with override_settings(LLMREC={**django_settings.LLMREC, "BACKEND_OPTIONS": options}):
        assert refill_lost().lost == len(TITLES)
        assert refill_lost().lost == 0
        get_backend()._connection.close()  # type: ignore[attr-defined]


def test_every_generation_that_is_kept_is_refilled(site: Site) -> None:
    products = stocked(site)
    first = build("attached").index_version
    second = build("attached", rebuild=True).index_version
    site.rebuild(*products)
    assert refill_lost().encoded == 0
    assert filled(first) == filled(second) == keys(*products)


def test_an_audit_repairs_an_index_that_was_made_anew(site: Site) -> None:
    products = stocked(site)
    build("attached")
    site.rebuild(*products)
    report = audit("attached", repair=True)
    assert len(report.missing) == report.repaired == len(TITLES)
    assert filled() == keys(*products)


def test_the_first_save_after_a_rebuild_prepares_the_index_again(site: Site) -> None:
    lamp, *others = stocked(site)
    build("attached")
    site.rebuild(lamp, *others)
    lamp.save()
    indexing.drain()
    OutboxEntry.objects.update(not_before=None)
    assert indexing.drain().failed == 0
    assert str(lamp.pk) in filled()


def test_what_is_no_item_is_not_taken_for_lost(site: Site) -> None:
    stocked(site)
    draft = Product.objects.create(title="Draft", is_draft=True)
    site.put(draft)
    site.client.index(index=site.index, id="brand-1", document={"title": "a brand"}, refresh=True)
    build("attached")
    indexing.drain()
    assert refill_lost() == RefillReport()
    assert not OutboxEntry.objects.exists()


def test_an_index_that_is_gone_is_no_failure_of_the_task(site: Site) -> None:
    stocked(site)
    build("attached")
    site.clean()
    assert refill_lost() == RefillReport()
    refill_task()
    site.create()
    refill_task()


def test_an_index_that_is_mapped_by_its_documents_is_refilled_as_soon_as_it_has_some(site: Site) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    site.client.indices.delete(index=site.index)
    site.client.indices.create(index=site.index)
    assert refill_lost() == RefillReport()
    site.put(lamp)
    assert refill_lost() == RefillReport(lost=1, encoded=0)
    assert filled() == keys(lamp)


def test_while_elasticsearch_says_nothing_the_sites_own_writes_wait_for_it_once(
    site: Site, server: Server
) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    options = {**django_settings.LLMREC["BACKEND_OPTIONS"], "request_timeout": 2}
    with override_settings(LLMREC={**django_settings.LLMREC, "BACKEND_OPTIONS": options}):
        assert indexing.attached_fields(Product, [lamp.pk], index=site.index)
        server.freeze()
        try:
            started = time.monotonic()
            found = [indexing.attached_fields(Product, [lamp.pk], index=site.index) for _ in range(10)]
            took = time.monotonic() - started
        finally:
            server.thaw()
        assert found == [{}] * 10
        assert took < 10, "2 seconds, and each write by itself would wait as long"
        get_backend()._connection.close()  # type: ignore[attr-defined]
