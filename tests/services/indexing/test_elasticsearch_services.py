"""The whole way from a save to an answer on a real Elasticsearch: one setting is all that differs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings
from django.utils import timezone
from prometheus_client import REGISTRY

from llmrec_plugin.backends import get_backend
from llmrec_plugin.backends.elasticsearch.client import PAUSE_SECONDS
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.models import Embedding, IndexVersion, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment import promotion, retirement
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.types import EngineQuery, Range, Removal, ResultPage, SearchRequest, Terms
from tests.hostapp.models import Product
from tests.support.indexed import found, listed
from tests.support.servers import ELASTICSEARCH_VERSIONS, OLDEST_ELASTICSEARCH, Server, elasticsearch
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(params=ELASTICSEARCH_VERSIONS)
def server(request: pytest.FixtureRequest) -> Server:
    return elasticsearch(request.param)


@pytest.fixture(autouse=True)
def on_elasticsearch(server: Server) -> Iterator[None]:
    """The site's setting is switched; writes are visible at once, so that no test has to wait."""
    changed = {
        **django_settings.LLMREC,
        "BACKEND": "llmrec_plugin.backends.elasticsearch",
        "BACKEND_OPTIONS": {"hosts": server.url, "refresh": True, "retries": 1, "request_timeout": 30},
    }
    with override_settings(LLMREC=changed):
        clean()
        yield
        server.start()
        clean()
        get_backend()._connection.close()  # type: ignore[attr-defined]


def clean() -> None:
    """Numbers of versions come again with each test's database, and so would the names of indexes."""
    for name in get_backend().index_names():
        get_backend().drop_index(name)


def vanish(product: Product) -> None:
    """Delete it so that no signal tells of it."""
    Product.categories.through.objects.filter(product=product)._raw_delete("default")
    Product.objects.filter(pk=product.pk)._raw_delete("default")


def find(text: str = "", **values: Any) -> ResultPage:
    return search(SearchRequest(document="product", text=text, **values))


def titles(page: ResultPage) -> list[str]:
    return [item.title for item in page.results]


def test_a_shop_is_built_and_searched_by_words_meaning_and_filters() -> None:
    open_shop()
    page = find("wooden desk lamp", facets=("in_stock",))
    assert titles(page)[0] == "wooden desk lamp"
    assert page.degraded == ()
    assert page.results[0].contributions.keys() == {"text", "vector"}
    assert sum(count for _, count in page.facets["in_stock"]) == page.total
    cheap = find("lamp", filters=(Range(field="price", lte=5),))
    assert all(item.object.price <= 5 for item in cheap.results)
    assert len(titles(find(filters=(Terms(field="in_stock", values=(True,)),), limit=100))) > 0


def test_each_leg_tells_how_long_it_took() -> None:
    def counted(leg: str) -> float:
        return REGISTRY.get_sample_value("llmrec_leg_seconds_count", {"leg": leg}) or 0.0

    open_shop()
    before = counted("text"), counted("vector")
    find("wooden desk lamp")
    assert (counted("text"), counted("vector")) == (before[0] + 1, before[1] + 1)


def test_the_lists_are_those_of_the_embedded_engine() -> None:
    open_shop(copies=4)
    mine = {text: titles(find(text, limit=5)) for text in ("desk lamp", "steel grinder", "paper")}
    embedded = {**django_settings.LLMREC, "BACKEND": "llmrec_plugin.backends.embedded", "BACKEND_OPTIONS": {}}
    with override_settings(LLMREC=embedded):
        build("product", rebuild=True)
        IndexVersion.objects.update(floor=None)
        theirs = {text: titles(find(text, limit=5)) for text in mine}
    shared = [len({*mine[text]} & {*theirs[text]}) / 5 for text in mine]
    assert sum(shared) / len(shared) >= 0.85
    assert [mine[text][0] for text in mine] == [theirs[text][0] for text in mine]


def test_saves_and_deletes_reach_the_index() -> None:
    build("product")
    lamp = Product.objects.create(title="Desk lamp", in_stock=False)
    assert indexing.drain().written == 1
    assert found("product", "lamp") == {str(lamp.pk)}
    lamp.title = "Floor light"
    lamp.save()
    indexing.drain()
    assert (found("product", "lamp"), found("product", "light")) == (set(), {str(lamp.pk)})
    lamp.is_draft = True
    lamp.save()
    assert indexing.drain().removed == 1
    assert listed("product") == set()
    lamp.is_draft = False
    lamp.save()
    indexing.drain()
    assert listed("product") == {str(lamp.pk)}
    lamp.delete()
    assert indexing.drain().removed == 1
    assert listed("product") == set()
    assert not Embedding.objects.exists()


def test_an_audit_finds_and_mends_every_kind_of_difference() -> None:
    products = list(open_shop().values())
    name = live_pair("product").index_version.name
    lost, stale, *_ = products
    get_backend().write(name, [], [Removal(key=str(lost.pk), revision=10_000)])
    Product.objects.filter(pk=stale.pk).update(title="Quite another thing")
    vanish(products[-1])
    report = audit("product")
    assert (report.missing, report.stale, report.orphaned) == (
        (str(lost.pk),),
        (str(stale.pk),),
        (str(products[-1].pk),),
    )


def test_a_repair_leaves_nothing_to_find() -> None:
    products = list(open_shop().values())
    Product.objects.filter(pk=products[0].pk).update(title="Quite another thing")
    vanish(products[-1])
    assert audit("product", repair=True).repaired == 2
    after = audit("product")
    assert (after.missing, after.stale, after.orphaned, after.pending) == ((), (), (), ())
    assert found("product", "quite") == {str(products[0].pk)}


def test_an_index_that_the_cluster_lost_is_filled_again_from_stored_vectors() -> None:
    products = open_shop()
    get_backend().drop_index(live_pair("product").index_version.name)
    assert len(audit("product").missing) == len(products)
    assert find("lamp").degraded == ("engine",)
    report = build("product")
    assert (report.written, report.encoded) == (len(products), 0)
    assert find("lamp").degraded == ()


def test_a_new_version_goes_live_and_back_while_both_follow_the_site() -> None:
    open_shop()
    first = live_pair("product").index_version
    second = build("product", rebuild=True, promote=False).index_version
    assert live_pair("product").index_version == first
    promotion.promote(second, by="ada")
    torch = Product.objects.create(title="Torch")
    indexing.drain()
    for version in (first, second):
        assert found("product", "torch", version=version) == {str(torch.pk)}
    promotion.rollback("product", by="ada")
    assert live_pair("product").index_version == first
    assert found("product", "torch") == {str(torch.pk)}


def test_a_replaced_index_is_dropped_after_its_grace_time() -> None:
    open_shop()
    first = live_pair("product").index_version
    second = build("product", rebuild=True).index_version
    retirement.sweep(now=timezone.now() + timedelta(days=2))
    assert get_backend().index_names() == [second.name]
    first.refresh_from_db()
    assert first.state == IndexVersion.State.DROPPED


@pytest.mark.crash
def test_an_outage_costs_quality_but_no_answer_and_no_save(server: Server, client: Client) -> None:
    open_shop()
    address = "/api/search/?q=desk+lamp&document=product"
    assert client.get(address).json()["degraded"] == []
    server.stop(kill=True)
    lamp = Product.objects.create(title="Tiffany lamp")
    assert indexing.drain().failed == 1
    answer = client.get(address)
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["engine"])
    assert answer.json()["results"]
    Product.objects.filter(title="wooden desk lamp").get().delete()
    server.start()
    OutboxEntry.objects.update(not_before=timezone.now())
    report = indexing.drain()
    assert (report.written, report.removed, report.remaining) == (1, 1, 0)
    assert found("product", "tiffany") == {str(lamp.pk)}
    assert client.get(address).json()["degraded"] == []
    healed = audit("product")
    assert (healed.missing, healed.stale, healed.orphaned) == ((), (), ())


@pytest.mark.parametrize("server", [OLDEST_ELASTICSEARCH], indirect=True)
def test_an_engine_that_says_nothing_is_named_in_time_and_searches_go_on(
    server: Server, client: Client
) -> None:
    open_shop()
    build("course")
    impatient = {**django_settings.LLMREC["BACKEND_OPTIONS"], "request_timeout": 1}
    server.freeze()
    try:
        started = time.monotonic()
        ready = client.get("/api/health/ready/")
        with override_settings(LLMREC={**django_settings.LLMREC, "BACKEND_OPTIONS": impatient}):
            found = client.get("/api/search/?q=desk+lamp&document=product")
        took = time.monotonic() - started
    finally:
        server.thaw()
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["checks"]["engine"] == "timeout"
    assert (found.status_code, found.json()["degraded"]) == (200, ["engine"])
    assert took < 20, "the health page has 3 seconds and the search 1, on a machine at rest"
    assert client.get("/api/search/?q=desk+lamp&document=product").json()["degraded"] == []


@pytest.mark.parametrize("server", [OLDEST_ELASTICSEARCH], indirect=True)
def test_a_silent_engine_holds_up_one_search_in_two_seconds_and_is_used_again_when_it_speaks(
    server: Server, client: Client
) -> None:
    open_shop()
    address = "/api/search/?q=desk+lamp&document=product"
    impatient = {**django_settings.LLMREC["BACKEND_OPTIONS"], "request_timeout": 1}
    with override_settings(LLMREC={**django_settings.LLMREC, "BACKEND_OPTIONS": impatient}):
        assert client.get(address).json()["degraded"] == []
        server.freeze()
        try:
            waited = []
            for _ in range(4):
                started = time.monotonic()
                assert client.get(address).json()["degraded"] == ["engine"]
                waited.append(time.monotonic() - started)
        finally:
            server.thaw()
        assert waited[0] >= 1
        assert min(waited[1:]) < 1, "the second does not wait for its turn to be refused"
        deadline = time.monotonic() + 30
        while client.get(address).json()["degraded"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert client.get(address).json()["degraded"] == []


@pytest.mark.parametrize("server", [OLDEST_ELASTICSEARCH], indirect=True)
def test_an_engine_that_speaks_again_to_say_no_is_used_again_for_all(server: Server) -> None:
    open_shop()
    name = live_pair("product").index_version.name
    impatient = {**django_settings.LLMREC["BACKEND_OPTIONS"], "request_timeout": 2}
    with override_settings(LLMREC={**django_settings.LLMREC, "BACKEND_OPTIONS": impatient}):
        backend = get_backend()
        server.freeze()
        try:
            with pytest.raises(BackendUnavailable):
                backend.search(name, EngineQuery(limit=1))
        finally:
            server.thaw()
        backend.check()
        time.sleep(PAUSE_SECONDS)
        with pytest.raises(NotFound):
            backend.search("of-another-document", EngineQuery(limit=1))
        assert backend.search(name, EngineQuery(limit=1)).listing
