"""A site that keeps its index with django-elasticsearch-dsl goes on as before: signals, tasks, rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from django_elasticsearch_dsl.management.commands.search_index import Command as SearchIndex
from django_elasticsearch_dsl.signals import CelerySignalProcessor, RealTimeSignalProcessor
from elasticsearch import Elasticsearch
from elasticsearch.dsl.connections import connections

from llmrec_plugin.backends import get_backend
from llmrec_plugin.models import Embedding, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment.engines import attached_engine_of
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.indexing.vector_refill import refill_lost
from llmrec_plugin.services.search import search
from llmrec_plugin.types import EngineQuery, SearchRequest
from tests.attached.dsl_site import CarryingProduct, CarryingSearch, PlainProduct, PlainSearch
from tests.hostapp.models import Brand, Product
from tests.support.indexed import declared
from tests.support.servers import ELASTICSEARCH_VERSIONS, Server

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:Passing transport options:DeprecationWarning"),  # its own code
]

LABELS = ("plain", "carrying")
TITLES = ("Wooden desk lamp", "Steel desk", "Paper lantern", "Oak chair", "Glass vase")


@pytest.fixture
def shop(server: Server) -> Iterator[list[Product]]:
    """Both indexes exist, follow the signals and are built; nothing waits."""
    changed = {
        **django_settings.LLMREC,
        "BACKEND": "llmrec_plugin.backends.elasticsearch",
        "BACKEND_OPTIONS": {"hosts": server.url, "refresh": True, "retries": 1, "request_timeout": 30},
    }
    with Elasticsearch(server.url, request_timeout=60) as client:
        connections.add_connection("default", client)
        with override_settings(LLMREC=changed), declared(PlainSearch, CarryingSearch):
            clean(client)
            search_index("--create")
            signals = RealTimeSignalProcessor(connections)
            try:
                yield opened()
            finally:
                signals.teardown()
                clean(client)
                get_backend()._connection.close()  # type: ignore[attr-defined]
                connections.remove_connection("default")


def opened() -> list[Product]:
    brand = Brand.objects.create(name="Ikea")
    products = [Product.objects.create(title=title, brand=brand, price=5) for title in TITLES]
    OutboxEntry.objects.all().delete()
    for label in LABELS:
        assert build(label).failed == 0
    return products


def clean(client: Elasticsearch) -> None:
    """A rebuild with aliases leaves the new name on the class."""
    PlainProduct._index._name, CarryingProduct._index._name = "dsl-plain", "dsl-carrying"
    for name in client.indices.get_alias(index="dsl-*").body:
        client.indices.delete(index=name)


def search_index(*arguments: str) -> None:
    call_command(SearchIndex(), *arguments, "-f", stdout=StringIO())


def in_celery(product: Product) -> None:
    """What the site's worker does when it gets to the task of a save."""
    CelerySignalProcessor.registry_update_task(product.pk, "hostapp", "Product")


def filled(label: str) -> set[str]:
    """Titles of the items whose vector is that of their present text."""
    version = live_pair(label).index_version
    engine = attached_engine_of(version)
    assert engine is not None
    names = {str(product.pk): product.title for product in Product.objects.all()}
    return {names[key] for key, digest in engine.digests(version.name) if digest}


def look_again() -> indexing.DrainReport:
    OutboxEntry.objects.filter(not_before__isnull=False).update(not_before=timezone.now())
    return indexing.drain()


def first(label: str, text: str) -> str:
    return search(SearchRequest(document=label, text=text)).results[0].title


def near(label: str) -> int:
    """How many items a search by meaning alone finds."""
    version = live_pair(label).index_version
    engine = attached_engine_of(version)
    assert engine is not None
    vector = Embedding.objects.filter(document=label).first()
    assert vector is not None
    return len(engine.search(version.name, EngineQuery(vector=vector.as_array())).vector)


@pytest.mark.parametrize("server", ELASTICSEARCH_VERSIONS, indirect=True)
def test_both_indexes_answer_by_words_and_meaning(shop: list[Product]) -> None:
    for label in LABELS:
        assert filled(label) == set(TITLES)
        assert first(label, "wooden desk lamp") == "Wooden desk lamp"
        assert near(label) == len(TITLES)


def test_a_save_by_signal_reaches_text_and_vector(shop: list[Product]) -> None:
    lamp = shop[0]
    lamp.title = "Floor light"
    lamp.save()
    report = indexing.drain()
    assert (report.failed, report.encoded) == (0, 1)
    for label in LABELS:
        assert "Floor light" in filled(label)
        assert first(label, "floor light") == "Floor light"


def test_with_the_mixin_a_save_leaves_no_gap(shop: list[Product]) -> None:
    lamp = shop[0]
    lamp.price = 7
    lamp.save()
    assert filled("plain") == set(TITLES[1:])
    assert (near("plain"), near("carrying")) == (len(TITLES) - 1, len(TITLES))
    lamp.title = "Floor light"
    lamp.save()
    assert "Floor light" not in filled("carrying")
    assert near("carrying") == len(TITLES)  # by the vector of its former text
    indexing.drain()
    assert filled("carrying") == {"Floor light", *TITLES[1:]}


def test_a_task_of_the_site_that_runs_after_ours_is_made_up_for(shop: list[Product]) -> None:
    lamp = shop[0]
    with override_settings(ELASTICSEARCH_DSL_AUTOSYNC=False):
        lamp.title = "Floor light"
        lamp.save()
    assert indexing.drain().failed == 0
    in_celery(lamp)
    assert "Floor light" in filled("carrying")
    assert "Floor light" not in filled("plain")
    assert look_again().encoded == 0
    assert "Floor light" in filled("plain")


def test_a_new_item_is_waited_for_until_the_sites_task_has_run(shop: list[Product]) -> None:
    with override_settings(ELASTICSEARCH_DSL_AUTOSYNC=False):
        torch = Product.objects.create(title="Torch")
    assert indexing.drain().failed == len(LABELS)
    in_celery(torch)
    assert look_again().failed == 0
    for label in LABELS:
        assert "Torch" in filled(label)


def test_a_delete_by_signal_leaves_nothing_behind(shop: list[Product]) -> None:
    shop[0].delete()
    assert indexing.drain().failed == 0
    for label in LABELS:
        assert filled(label) == set(TITLES[1:])
        found = audit(label)
        assert (found.missing, found.stale, found.orphaned) == ((), (), ())


def test_a_rebuild_carries_the_vectors_or_has_them_refilled_without_encoding(shop: list[Product]) -> None:
    search_index("--rebuild")
    assert filled("carrying") == set(TITLES)
    assert (near("plain"), near("carrying")) == (0, len(TITLES))
    assert first("plain", "oak chair") == "Oak chair"
    report = refill_lost()
    assert (report.lost, report.encoded) == (len(TITLES), 0)
    assert filled("plain") == set(TITLES)
    assert near("plain") == len(TITLES)


def test_a_rebuild_behind_an_alias_keeps_the_mapping_strict(shop: list[Product], server: Server) -> None:
    search_index("--rebuild", "--use-alias")
    assert filled("carrying") == set(TITLES)
    assert refill_lost().encoded == 0
    with Elasticsearch(server.url) as client:
        for label, name in (("plain", "dsl-plain"), ("carrying", "dsl-carrying")):
            assert filled(label) == set(TITLES)
            ((index, about),) = client.indices.get_mapping(index=name).body.items()
            assert index != name
            assert about["mappings"]["dynamic"] == "strict"


def test_a_save_between_rebuild_and_refill_is_not_lost(shop: list[Product]) -> None:
    search_index("--rebuild")
    lamp: Any = shop[0]
    lamp.title = "Floor light"
    lamp.save()
    indexing.drain()
    look_again()
    for label in LABELS:
        assert "Floor light" in filled(label)
