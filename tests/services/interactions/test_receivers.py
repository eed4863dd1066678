"""Who drains, when, and that nothing which fails then can fail a save."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Model
from django.test import override_settings
from kombu.exceptions import OperationalError

from llmrec_plugin import celery_tasks as tasks
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.receivers import dispatch, wiring
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import task_debounce
from llmrec_plugin.services.indexing.index_build import build
from tests.hostapp.models import Brand, Category, Course, Product
from tests.support import moody_encoder
from tests.support.indexed import declared, found, waiting
from tests.support.moody_encoder import mood
from tests.support.responses import respond

pytestmark = pytest.mark.django_db

COMMITS = pytest.mark.django_db(transaction=True)
DRAIN = "llmrec_plugin.drain_outbox"


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    moody_encoder.reset()
    dispatch.pause.end()
    yield
    dispatch.pause.end()
    moody_encoder.reset()


@contextmanager
def tasks_in(place: str, **changes: Any) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": place, **changes}):
        yield


@contextmanager
def broker(url: str | None) -> Iterator[None]:
    former = current_app.conf.broker_url
    current_app.conf.update(broker_url=url)
    current_app._after_fork()  # type: ignore[attr-defined]  # forgets the connections to the former one
    try:
        yield
    finally:
        current_app.conf.update(broker_url=former)
        current_app._after_fork()  # type: ignore[attr-defined]


def messages() -> list[str]:
    """Names of the tasks that wait in the broker; they are taken out."""
    names = []
    with current_app.connection_for_read() as connection:
        queue = connection.SimpleQueue(current_app.conf.task_default_queue)
        while True:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                break
            names.append(message.headers["task"])
            message.ack()
        queue.close()
    return names


class TestInTheProcess:
    @COMMITS
    def test_a_save_is_found_once_the_response_is_out(self) -> None:
        build("product")
        with tasks_in("process"), transaction.atomic():
            lamp = Product.objects.create(title="Lamp")
            respond()
            assert found("product", "lamp") == set()
        assert waiting("product") == [str(lamp.pk)]
        respond()
        assert found("product", "lamp") == {str(lamp.pk)}

    @COMMITS
    def test_what_is_rolled_back_was_never_there(self) -> None:
        build("product")
        with tasks_in("process"), transaction.atomic():
            Product.objects.create(title="Lamp")
            transaction.set_rollback(True)
        assert not OutboxEntry.objects.exists()
        assert found("product", "lamp") == set()

    @COMMITS
    def test_one_drain_serves_a_transaction(self) -> None:
        build("product")
        with tasks_in("process", ENCODER="tests.support.moody_encoder", ENCODER_OPTIONS={}):
            build("product")
            mood.batches.clear()
            with transaction.atomic():
                for number in range(10):
                    Product.objects.create(title=f"Lamp {number}")
            respond()
            assert mood.batches == [10]

    @COMMITS
    def test_a_mark_that_survives_a_savepoint_is_drained_though_another_was_undone(self) -> None:
        build("product")
        with tasks_in("process"), transaction.atomic():
            with transaction.atomic():
                Product.objects.create(title="Lamp")
                transaction.set_rollback(True)
            torch = Product.objects.create(title="Torch")
        respond()
        assert found("product", "torch") == {str(torch.pk)}
        assert found("product", "lamp") == set()

    @COMMITS
    @pytest.mark.parametrize(
        "changes", [{"BACKEND": "llmrec_plugin.contracts.silent_engine"}, {"BACKEND": "no.engine"}]
    )
    def test_neither_a_silent_nor_a_missing_engine_fails_a_save(self, changes: dict[str, str]) -> None:
        build("product")
        with tasks_in("process", **changes):
            lamp = Product.objects.create(title="Lamp")
            respond()
        assert waiting("product") == [str(lamp.pk)]

    @COMMITS
    def test_an_error_of_the_drain_itself_fails_no_save(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(**kwargs: object) -> None:
            raise RuntimeError("out of luck")

        monkeypatch.setattr(indexing, "drain", crash)
        with tasks_in("process"):
            lamp = Product.objects.create(title="Lamp")
            respond()
        assert waiting("product") == [str(lamp.pk)]

    @COMMITS
    def test_a_save_from_within_prepare_does_not_drain_again(self) -> None:
        class Busy(SearchDocument[Group]):
            model = Group
            label = "busy"
            text_fields = ["name"]

            def prepare(self, obj: Group) -> Any:
                if obj.name == "first":
                    Group.objects.get_or_create(name="second")
                return super().prepare(obj)

        with declared(Busy), tasks_in("process"):
            build("busy")
            Group.objects.create(name="first")
            respond()
            assert len(found("busy", "second")) == 1

    def test_off_leaves_all_to_commands(self, django_capture_on_commit_callbacks: Any) -> None:
        with tasks_in("off"), django_capture_on_commit_callbacks(execute=True):
            lamp = Product.objects.create(title="Lamp")
        assert waiting("product") == [str(lamp.pk)]


class TestCelery:
    @COMMITS
    def test_saves_send_one_task_until_it_begins(self) -> None:
        with broker("memory://"), tasks_in("celery"):
            messages()
            for number in range(20):
                Product.objects.create(title=f"Lamp {number}")
            respond()
            assert messages() == [DRAIN]
            Product.objects.create(title="Torch")
            respond()
            assert messages() == []
            tasks.drain_outbox()
            Product.objects.create(title="Beam")
            respond()
            assert messages() == [DRAIN]

    @COMMITS
    def test_a_task_that_does_not_begin_counts_as_lost_and_is_sent_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatch, "DISPATCH_DELAY", 0.05)
        monkeypatch.setattr(task_debounce, "LOST_AFTER", timedelta())
        with broker("memory://"), tasks_in("celery"):
            messages()
            Product.objects.create(title="Lamp")
            respond()
            time.sleep(0.06)
            Product.objects.create(title="Torch")
            respond()
            assert messages() == [DRAIN, DRAIN]

    @COMMITS
    def test_a_task_that_could_not_be_sent_does_not_count_as_under_way(self) -> None:
        with broker("amqp://guest@127.0.0.1:1//"), tasks_in("celery"):
            Product.objects.create(title="Lamp")
            respond()
        dispatch.pause.end()
        with broker("memory://"), tasks_in("celery"):
            messages()
            Product.objects.create(title="Torch")
            respond()
            assert messages() == [DRAIN]

    @COMMITS
    def test_a_long_backlog_calls_another_worker_and_its_rest_is_for_the_next_task(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "TURN", 0.0)
        build("product")
        with broker("memory://"), tasks_in("off", LIMITS={"drain_batch": 2}):
            Product.objects.bulk_create(Product(title=f"Lamp {number}") for number in range(5))
            indexing.mark(Product.objects.all())
            messages()
            backlogs = []
            while waits := len(waiting("product")):
                backlogs.append(waits)
                tasks.drain_outbox()
                assert messages() == ([DRAIN] if waits > 2 else [])
        assert backlogs == [5, 3, 1]
        assert len(found("product", "lamp")) == 5

    @COMMITS
    def test_auto_means_celery_where_the_site_has_a_broker(self) -> None:
        build("product")
        with broker("memory://"), tasks_in("auto"):
            messages()
            Product.objects.create(title="Lamp")
            respond()
            assert len(messages()) == 1
        with broker(None), tasks_in("auto"):
            Product.objects.create(title="Torch")
            respond()
        assert len(found("product", "torch")) == 1

    @COMMITS
    def test_a_broker_that_is_down_fails_no_save_and_is_left_alone_for_a_while(self) -> None:
        with broker("amqp://guest@127.0.0.1:1//"), tasks_in("celery"):
            started = time.monotonic()
            for number in range(50):
                Product.objects.create(title=f"Lamp {number}")
                respond()
            assert time.monotonic() - started < 5
        assert len(waiting("product")) == 50

    def test_the_broker_really_is_down(self) -> None:
        with (
            broker("amqp://guest@127.0.0.1:1//"),
            pytest.raises((OSError, OperationalError)),
            current_app.connection_for_write(transport_options={"max_retries": 0}) as connection,
        ):
            connection.connect()


class TestTasks:
    def test_each_does_what_its_name_says(self) -> None:
        Product.objects.create(title="Lamp")
        name = tasks.build_index("product")
        assert name.startswith("llmrec-product-")
        torch = Product.objects.create(title="Torch")
        tasks.drain_outbox()
        assert found("product", "torch") == {str(torch.pk)}
        Product.objects.filter(pk=torch.pk).update(title="Beam")
        report = tasks.audit_index("product")
        assert report["stale"] == (str(torch.pk),)
        assert report["repaired"] == 1

    def test_retention_is_a_task_and_learning_starts_where_it_is_due(self) -> None:
        build("product")
        assert tasks.fit_models() == 0
        assert tasks.apply_retention()

    def test_their_names_do_not_depend_on_where_the_module_lies(self) -> None:
        assert tasks.drain_outbox.name == "llmrec_plugin.drain_outbox"


class ShopRouter:
    """Keeps the shop's models in the database "shop"."""

    def db_for_read(self, model: type[Model], **hints: object) -> str | None:
        return "shop" if model in (Product, Brand, Category) else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        return False if db == "shop" else None


@pytest.fixture(scope="class")
def shop(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A second database that holds the shop, while the backlog is in the default one."""
    default = connections[DEFAULT_DB_ALIAS]
    is_server = default.vendor == "postgresql"
    name = "llmrec_shop" if is_server else str(tmp_path_factory.mktemp("shop") / "shop.sqlite3")
    connections.databases["shop"] = {**connections.databases[DEFAULT_DB_ALIAS], "NAME": name}
    with override_settings(DATABASE_ROUTERS=[ShopRouter()]):
        with django_db_blocker.unblock():
            if is_server:
                with default._nodb_cursor() as cursor:
                    cursor.execute(f"CREATE DATABASE {name}")
            with connections["shop"].schema_editor() as editor:
                for model in (Brand, Category, Product):
                    editor.create_model(model)
        yield
    connections["shop"].close()
    if is_server:
        with django_db_blocker.unblock(), default._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")
    del connections["shop"]
    del connections.databases["shop"]


@pytest.mark.usefixtures("shop")
@pytest.mark.django_db(transaction=True, databases=["default", "shop"])
class TestAnotherDatabase:
    @pytest.fixture(autouse=True)
    def empty(self) -> None:
        """The second database is not migrated, so the test runner does not flush it."""
        Product.objects.all()._raw_delete("shop")

    def test_rows_are_read_from_their_own_database(self) -> None:
        lamp = Product.objects.create(title="Lamp")
        assert lamp._state.db == "shop"
        assert waiting("product") == [str(lamp.pk)]
        build("product")
        assert found("product", "lamp") == {str(lamp.pk)}
        Product.objects.filter(pk=lamp.pk).update(title="Torch")
        assert indexing.audit("product").stale == (str(lamp.pk),)
        assert indexing.mark(Product.objects.all()) == 1
        indexing.drain()
        assert found("product", "torch") == {str(lamp.pk)}

    def test_an_entry_never_comes_before_its_change(self) -> None:
        with transaction.atomic(using="shop"):
            brand = Brand.objects.create(name="Acme")
            lamp = Product.objects.create(title="Lamp", brand=brand)
            assert waiting("product") == []
        assert waiting("product") == [str(lamp.pk)]
        OutboxEntry.objects.all().delete()
        with transaction.atomic(using="shop"):
            brand.delete()
            assert waiting("product") == []
        assert waiting("product") == [str(lamp.pk)]

    def test_a_rollback_leaves_no_entry(self) -> None:
        with transaction.atomic(using="shop"):
            Product.objects.create(title="Lamp")
            transaction.set_rollback(True, using="shop")
        assert waiting("product") == []


def test_only_registered_models_are_followed() -> None:
    User.objects.create(username="ada")
    Group.objects.create(name="staff")
    assert not OutboxEntry.objects.exists()
    Course.objects.create(title="Intro")
    assert OutboxEntry.objects.count() == 1


def test_connecting_twice_marks_once() -> None:
    wiring.connect()
    wiring.connect()
    Course.objects.create(title="Intro")
    assert OutboxEntry.objects.count() == 1


def test_a_document_that_was_taken_back_is_followed_no_more() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["name"]

    with declared(Team):
        pass
    Group.objects.create(name="staff")
    assert not OutboxEntry.objects.exists()
    assert registry.for_model(Group) == []


def test_a_document_with_a_wrong_path_breaks_no_save() -> None:
    class Wrong(SearchDocument[Group]):
        model = Group
        label = "wrong"
        text_fields = ["name"]
        related = {Brand: "nowhere"}

    with declared(Wrong):
        group = Group.objects.create(name="staff")
        assert waiting("wrong") == [str(group.pk)]
