"""What proxies, other programs and restores do to Elasticsearch: lists degrade, writes and workers mend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from rest_framework.test import APIClient

from llmrec_plugin.backends import get_backend
from llmrec_plugin.exceptions import BackendUnavailable
from llmrec_plugin.models import IndexVersion, OutboxEntry
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import index_mending
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import autocomplete, search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Product
from tests.support.elasticsearch_proxy import Proxy, proxy
from tests.support.servers import OLDEST_ELASTICSEARCH, elasticsearch
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def door() -> Iterator[Proxy]:
    with proxy(elasticsearch(OLDEST_ELASTICSEARCH).url) as opened:
        changed = {
            **django_settings.LLMREC,
            "BACKEND": "llmrec_plugin.backends.elasticsearch",
            "BACKEND_OPTIONS": {"hosts": opened.url, "refresh": True, "retries": 0, "request_timeout": 30},
        }
        with override_settings(LLMREC=changed):
            clean()
            open_shop()
            yield opened
            opened.fault = None
            clean()
            client()._transport.close()


def client() -> Any:
    return get_backend()._connection.client  # type: ignore[attr-defined]


def clean() -> None:
    for name in get_backend().index_names():
        get_backend().drop_index(name)


def name() -> str:
    return live_pair("product").index_version.name


def find(text: str = "steel lamp", **more: Any) -> ResultPage:
    return search(SearchRequest(document="product", text=text, limit=40, **more))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "<html>wait</html>",
        {"responses": None},
        {"responses": []},
        {"responses": [{"a": 1}] * 9},
    ],
    ids=["no responses", "a list", "a page", "null", "none", "other things"],
)
def test_an_answer_that_is_not_the_awaited_one_degrades_lists(door: Proxy, answer: Any) -> None:
    product = Product.objects.first()
    assert product is not None
    find()
    build("course")
    door.fault = lambda request: (
        None if "_cluster" in request.path or "_nodes" in request.path else (200, answer)
    )
    for page in (find(), find(""), recommendations.similar("product", product.pk)):
        assert page.results
        assert "engine" in page.degraded
    assert autocomplete.suggest("stee", document="product").degraded == ("engine",)
    health = APIClient().get("/api/health/ready/")
    assert health.status_code == 200
    assert health.json()["checks"]["engine"] != "ok"
    for ask in (lambda: get_backend().count(name()), lambda: list(get_backend().digests(name()))):
        with pytest.raises(BackendUnavailable):
            ask()
    Product.objects.create(title="A new lamp of steel")
    assert indexing.drain().failed == 1
    door.fault = None
    OutboxEntry.objects.update(not_before=None)
    indexing.drain()
    assert "A new lamp of steel" in [item.title for item in find().results]
    assert find().degraded == ()


@pytest.mark.parametrize(
    "foreign", [{}, {"digest": "x"}, {"key": "another"}], ids=["empty", "no key", "other key"]
)
def test_a_document_of_another_program_hurts_nothing_and_a_repair_removes_it(foreign: dict[str, str]) -> None:
    before = [item.title for item in find().results]
    client().index(index=name(), id="from elsewhere", document=foreign, refresh=True)
    assert [item.title for item in find().results] == before
    listing = find("", facets=("in_stock",))
    assert len(listing.results) == 30
    assert audit("product").orphaned == ("from elsewhere",)
    assert audit("product", repair=True).repaired == 1
    assert audit("product").orphaned == ()
    assert find("").total == 30


def test_an_item_that_another_program_wrote_over_is_stale() -> None:
    lamp = Product.objects.get(title="steel desk lamp")
    client().index(index=name(), id=str(lamp.pk), document={}, refresh=True)
    assert audit("product").stale == (str(lamp.pk),)
    for number in range(5):  # revisions grow with each batch, beyond the version that Elasticsearch gave it
        Product.objects.create(title=f"A new lamp of steel {number}")
        indexing.drain()
    assert audit("product", repair=True).repaired == 1
    assert "steel desk lamp" in [item.title for item in find().results]


def test_an_alias_that_a_restore_left_out_comes_back_with_the_next_write() -> None:
    client().indices.delete_alias(index=name(), name=f"{name()}@Write")
    Product.objects.create(title="A new lamp of steel")
    assert indexing.drain().failed == 0
    assert "A new lamp of steel" in [item.title for item in find().results]
    assert get_backend().index_names() == [name()]


def test_an_index_that_another_program_took_over_is_built_anew() -> None:
    taken = live_pair("product").index_version
    client().indices.delete(index=taken.name)
    client().indices.create(index=taken.name)
    assert "engine" in find().degraded
    assert audit("product").damaged == (taken.name,)
    assert index_mending.mend_all() == {"product": [taken.name]}
    IndexVersion.objects.update(floor=None)
    assert find().degraded == ()
    assert name() != taken.name


def test_an_index_that_is_gone_is_told_and_built_anew() -> None:
    gone = name()
    build("course")
    client().indices.delete(index=gone)
    assert find().degraded == ("engine",)
    assert APIClient().get("/api/health/ready/").json()["checks"]["index product"] == "gone"
    assert index_mending.mend_all() == {"product": [gone]}
    assert find().degraded == ()
