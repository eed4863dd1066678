"""Two databases and a router that reads from a replica, which lags behind for as long as a test likes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from llmrec_plugin import checks
from llmrec_plugin.models import Interaction, Lease
from llmrec_plugin.services import indexing, interactions, privacy
from llmrec_plugin.services.interactions import site_sources
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Order, OrderLine, Product
from tests.support.indexed import found

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])


class PrimaryReplicaRouter:
    """That of Django's documentation, with one replica."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return "replica"

    def db_for_write(self, model: type[Model], **hints: object) -> str:
        return "default"

    def allow_relation(self, *objects: Model, **hints: object) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return True


class Scattering(PrimaryReplicaRouter):
    """Some of our tables here, some there."""

    def db_for_write(self, model: type[Model], **hints: object) -> str:
        return "replica" if model is Lease else "default"


class Forbidding(PrimaryReplicaRouter):
    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return app_label != "llmrec_plugin"


@pytest.fixture(scope="module")
def second_database(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    if connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        pytest.skip("The replica of this test is a copy that SQLite makes.")
    name = str(tmp_path_factory.mktemp("replica") / "replica.sqlite3")
    connections.databases["replica"] = {**connections.databases[DEFAULT_DB_ALIAS], "NAME": name}
    yield
    with django_db_blocker.unblock():
        connections["replica"].close()
    del connections["replica"]
    del connections.databases["replica"]


@pytest.fixture(autouse=True)
def routed(second_database: None, transactional_db: None) -> Iterator[None]:
    replicate()
    with override_settings(DATABASE_ROUTERS=[PrimaryReplicaRouter()]):
        yield


def replicate() -> None:
    """Have the replica catch up."""
    for alias in (DEFAULT_DB_ALIAS, "replica"):
        connections[alias].ensure_connection()
    connections[DEFAULT_DB_ALIAS].connection.backup(connections["replica"].connection)


def llmrec(*arguments: str) -> None:
    call_command("llmrec", *arguments, stdout=StringIO())


def test_a_site_with_a_replica_is_built_searched_and_kept_up() -> None:
    lamp = Product.objects.create(title="Desk lamp")
    assert not Product.objects.exists()  # the replica lags behind
    llmrec("build")
    assert found("product", "lamp") == {str(lamp.pk)}
    request = SearchRequest(document="product", text="lamp")
    assert search(request).results == ()
    replicate()
    assert [item.title for item in search(request).results] == ["Desk lamp"]
    lamp.title = "Torch"
    lamp.save()
    indexing.drain()
    assert found("product", "torch") == {str(lamp.pk)}
    llmrec("audit")


def test_orders_are_events_before_the_replica_has_them() -> None:
    order = Order.objects.create(
        customer=User.objects.create(username="ann"), created=timezone.now() - timedelta(days=1)
    )
    line = OrderLine.objects.create(order=order, product=Product.objects.create(title="Lamp"))
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": "process"}):
        for _ in range(2):
            line.save()
            site_sources.drain()
            assert Interaction.objects.count() == 1
        order.status = "refunded"
        order.save()
        site_sources.drain()
        assert Interaction.objects.count() == 0


def test_events_consent_and_erasure_hold_at_once() -> None:
    lamp = Product.objects.create(title="Lamp")
    client = APIClient()
    sent = {"document": "product", "item_id": str(lamp.pk), "kind": "view", "event_id": "1"}
    assert client.post("/api/interactions/", sent, format="json").json()["stored"] == 1
    assert client.post("/api/interactions/", sent, format="json").json()["duplicates"] == 1
    key = client.get("/api/me/").json()["user_key"]
    assert interactions.latest_events(key, document="product", limit=5)
    assert interactions.merge(key, "7") == 1
    privacy.set_consent("7", granted=False)
    assert not privacy.may_personalise("7")
    assert not interactions.record(user_key="7", document="product", item_id=lamp.pk, kind="view")
    assert privacy.erase_user("7").interactions == 1


def test_training_reads_what_was_written() -> None:
    products = [Product.objects.create(title=f"Lamp {number}") for number in range(4)]
    for user in range(12):
        for product in products[:2]:
            interactions.record(user_key=f"u{user}", document="product", item_id=product.pk, kind="cart")
    llmrec("build")
    llmrec("train", "--document", "product")
    llmrec("status")


def test_routers_that_scatter_our_tables_or_forbid_them_are_told() -> None:
    assert checks.check_routers() == []
    with override_settings(DATABASE_ROUTERS=[Scattering()]):
        (message,) = checks.check_routers()
        assert message.id == "llmrec_plugin.E041"
        assert "replica: Lease" in message.msg
    with override_settings(DATABASE_ROUTERS=[Forbidding()]):
        (message,) = checks.check_routers()
        assert message.id == "llmrec_plugin.E042"
