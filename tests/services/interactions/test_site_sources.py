"""Events follow the site's rows and all that they refer to: paid, cancelled, claimed, moved and deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from llmrec_plugin import celery_tasks
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.exceptions import DocumentError, LeaseLost, NotFound
from llmrec_plugin.models import Interaction, SourceChange
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.interactions import site_sources, source_changes
from llmrec_plugin.services.monitoring import health
from tests.hostapp.models import Brand, Category, Label, Order, OrderLine, Product, ProductLabel, Review
from tests.support.indexed import declared
from tests.support.serving import did, stock

COMMITS = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@contextmanager
def tasks_in(place: str, **changes: Any) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": place, **changes}):
        yield


@pytest.fixture
def worker() -> Iterator[None]:
    """It is at once at whatever was marked, as soon as that is committed, unless a test says "off"."""

    def work(**kwargs: object) -> None:
        if get_settings().tasks_run_in != "off":
            site_sources.drain()

    source_changes.changed.connect(work, dispatch_uid="tests.worker")
    with tasks_in("process"):
        yield
    source_changes.changed.disconnect(dispatch_uid="tests.worker")


@pytest.fixture
def line(worker: None) -> OrderLine:
    """Not saved yet."""
    customer = User.objects.create(username="ada")
    order = Order.objects.create(customer=customer, created=timezone.now() - DAY)
    return OrderLine(order=order, product=Product.objects.create(title="Lamp"))


def purchases() -> list[tuple[str, str]]:
    """(user, item) of each event, in order."""
    return sorted(Interaction.objects.values_list("user_key", "item_id"))


def of(*lines: OrderLine) -> list[tuple[str, str]]:
    return sorted((str(line.order.customer_id), str(line.product_id)) for line in lines)


def the_source() -> InteractionSource[Any]:
    (source,) = registry.interaction_sources
    return source


@COMMITS
class TestFollowing:
    def test_an_order_line_is_an_event_for_as_long_as_it_exists(self, line: OrderLine) -> None:
        line.save()
        event = Interaction.objects.get()
        assert (event.kind, event.at) == ("purchase", line.order.created)
        assert purchases() == of(line)
        line.quantity = 2
        line.save()
        assert Interaction.objects.get().pk == event.pk  # nothing that it tells changed
        line.product = Product.objects.create(title="Torch")
        line.save()
        assert purchases() == of(line)
        line.delete()
        assert purchases() == []

    def test_an_order_is_followed_from_waiting_to_paid_to_refunded(self, line: OrderLine) -> None:
        line.order.status = "waiting"
        line.order.save()
        line.save()
        other = OrderLine.objects.create(order=line.order, product=Product.objects.create(title="Torch"))
        assert purchases() == []
        line.order.status = "paid"
        line.order.save()
        assert purchases() == of(line, other)
        line.order.status = "refunded"
        line.order.save()
        assert purchases() == []

    def test_a_guests_order_is_that_of_the_user_who_claims_it(self, line: OrderLine) -> None:
        ada, line.order.customer = line.order.customer, None
        line.order.save()
        line.save()
        assert purchases() == []
        line.order.customer = ada
        line.order.save()
        assert purchases() == of(line)
        line.order.customer = User.objects.create(username="ben")
        line.order.save()
        assert purchases() == of(line)

    def test_the_time_of_the_order_is_that_of_its_events(self, line: OrderLine) -> None:
        line.save()
        line.order.created = timezone.now() - 3 * DAY
        line.order.save()
        assert Interaction.objects.get().at == line.order.created

    def test_a_deleted_order_or_customer_leaves_no_event(self, line: OrderLine) -> None:
        line.save()
        line.order.delete()
        assert purchases() == []

    def test_all_rows_of_a_transaction_become_events_at_its_end(self, line: OrderLine) -> None:
        with transaction.atomic():
            lines = [OrderLine.objects.create(order=line.order, product=line.product) for _ in range(3)]
            assert purchases() == []
        assert purchases() == of(*lines)

    def test_what_is_rolled_back_changed_nothing(self, line: OrderLine) -> None:
        line.save()
        with transaction.atomic():
            line.order.status = "refunded"
            line.order.save()
            transaction.set_rollback(True)
        assert not SourceChange.objects.exists()
        assert purchases() == of(line)

    def test_rows_of_a_fixture_are_followed_when_all_are_loaded(
        self, line: OrderLine, tmp_path: Path
    ) -> None:
        fixture = tmp_path / "lines.json"
        fixture.write_text(
            '[{"model": "hostapp.orderline", "pk": 1, "fields": '
            f'{{"order": {line.order.pk}, "product": {line.product_id}, "quantity": 1}}}}]'
        )
        call_command("loaddata", fixture, verbosity=0)
        assert purchases() == of(line)

    def test_a_row_that_makes_no_sense_is_no_event_and_fails_no_save(self, line: OrderLine) -> None:
        line.save()
        line.order.created = timezone.now() + 30 * DAY
        line.order.save()
        assert purchases() == []


@COMMITS
class TestOtherShapes:
    """Models that a source may cross, each with the change that its events must not miss."""

    class Opinions(InteractionSource[Review]):
        """Ratings of who knows which brand; declared by hand what paths do not say."""

        model = Review
        document = "product"
        user_field = "text"
        item_field = "product_id"
        time_field = "product__created"
        kind_field = "product__brand__name"
        kinds = {"Acme": "view", "Apex": "cart"}

    class Labelled(InteractionSource[Product]):
        model = Product
        label = "labelled"
        document = "product"
        user_field = "title"
        item_field = "pk"
        time_field = "created"
        kind = "view"
        related = {Label: "labels", Category: "categories"}

        def get_queryset(self) -> QuerySet[Product]:
            rows = super().get_queryset()
            return rows.filter(labels__name="featured") | rows.filter(categories__name="featured")

    class Reviewed(InteractionSource[Product]):
        """The first review says who it is: the key lies in the other table."""

        model = Product
        label = "reviewed"
        document = "product"
        user_field = "reviews__text"
        item_field = "pk"
        time_field = "created"
        kind = "view"

    def test_the_kind_may_be_told_by_a_row_two_steps_away(self, worker: None) -> None:
        with declared(self.Opinions):
            brand = Brand.objects.create(name="Acme")
            product = Product.objects.create(title="Lamp", brand=brand)
            Review.objects.create(product=product, text="ada")
            assert Interaction.objects.get().kind == "view"
            brand.name = "Apex"
            brand.save()
            assert Interaction.objects.get().kind == "cart"
            brand.name = "Nobody"
            brand.save()
            assert not Interaction.objects.exists()
            product.brand = Brand.objects.create(name="Acme")
            product.save()
            assert Interaction.objects.get().kind == "view"
            product.brand.delete()
            assert not Interaction.objects.exists()

    def test_a_key_in_the_other_table_takes_events_along(self, worker: None) -> None:
        with declared(self.Reviewed):
            lamp, torch = (Product.objects.create(title=title) for title in ("Lamp", "Torch"))
            review = Review.objects.create(product=lamp, text="ada")
            assert purchases() == [("ada", str(lamp.pk))]
            review.product = torch
            review.save()
            assert purchases() == [("ada", str(torch.pk))]
            review.delete()
            assert purchases() == []

    def test_many_to_many_relations_are_followed_from_both_sides(self, worker: None) -> None:
        with declared(self.Labelled):
            lamp = Product.objects.create(title="ada")
            featured = Category.objects.create(name="featured")
            held = [("ada", str(lamp.pk))]
            lamp.categories.add(featured)
            assert purchases() == held
            lamp.categories.clear()
            assert purchases() == []
            featured.products.add(lamp)
            assert purchases() == held
            featured.products.remove(lamp)
            assert purchases() == []
            featured.products.set([lamp])
            featured.products.clear()
            assert purchases() == []
            link = ProductLabel.objects.create(product=lamp, label=Label.objects.create(name="featured"))
            assert purchases() == held
            link.delete()
            assert purchases() == []

    def test_a_key_that_is_set_to_nothing_by_a_deletion_is_noticed(self, worker: None) -> None:
        class Makers(InteractionSource[Product]):
            model = Product
            label = "makers"
            document = "product"
            user_field = "brand_id"
            item_field = "pk"
            time_field = "created"

        with declared(Makers):
            brand = Brand.objects.create(name="Acme")
            Product.objects.create(title="Lamp", brand=brand)
            assert Interaction.objects.count() == 1
            brand.delete()  # SET_NULL sends no signal of the product
            assert not Interaction.objects.exists()


class TestSaves:
    """What the host's save is spared."""

    @COMMITS
    def test_a_save_costs_one_statement_and_reads_nothing(self, line: OrderLine) -> None:
        line.save()
        with (
            tasks_in("off"),
            transaction.atomic(),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            line.order.save()
        ours = [query["sql"] for query in queries if "llmrec_plugin" in query["sql"]]
        assert len(ours) == 1
        assert ours[0].startswith('INSERT INTO "llmrec_plugin_sourcechange"')

    @COMMITS
    @pytest.mark.parametrize("atomic", [True, False])
    def test_a_table_that_is_not_there_fails_no_save(
        self, line: OrderLine, atomic: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(SourceChange)
        try:
            if atomic:
                with transaction.atomic():
                    line.save()
            else:
                line.save()
            line.order.delete()
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(SourceChange)
        assert not OrderLine.objects.exists()
        assert "events are not followed model=hostapp.OrderLine" in caplog.text

    @COMMITS
    def test_code_of_the_site_that_raises_fails_no_save_and_is_tried_again(
        self, worker: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Moody(InteractionSource[Product]):
            model = Product
            label = "moody"
            document = "product"
            user_field = "title"
            item_field = "pk"
            time_field = "created"

            def event(self, obj: Product) -> Any:
                if obj.description == "broken":
                    raise RuntimeError("out of luck")
                return super().event(obj)

        with declared(Moody), caplog.at_level(logging.WARNING):
            Product.objects.create(title="ann", description="fine")
            broken = Product.objects.create(title="ada", description="broken")
            assert [user for user, _ in purchases()] == ["ann"]
            (mark,) = SourceChange.objects.all()
            assert (mark.row_id, mark.attempts, mark.last_error) == (
                str(broken.pk),
                1,
                "RuntimeError: out of luck",
            )
            (ill,) = health.ill_sources()
            assert (ill.code, ill.detail) == ("failing", "1 row cannot be read: RuntimeError: out of luck")
            broken.description = "mended"
            broken.save()
            assert [user for user, _ in purchases()] == ["ada", "ann"]
            SourceChange.objects.update(not_before=None)
            site_sources.drain()
            assert not SourceChange.objects.exists()

    @COMMITS
    def test_a_queryset_that_raises_stops_no_other_source(self, line: OrderLine) -> None:
        class Broken(InteractionSource[OrderLine]):
            model = OrderLine
            label = "broken"
            document = "product"
            user_field = "order__customer_id"
            item_field = "product_id"
            time_field = "order__created"

            def get_queryset(self) -> QuerySet[OrderLine]:
                raise RuntimeError("out of luck")

        with declared(Broken):
            line.save()
        assert purchases() == of(line)
        assert {mark.source for mark in SourceChange.objects.all()} == {"broken"}
        SourceChange.objects.update(not_before=None)
        site_sources.drain()
        assert not SourceChange.objects.exists()  # of a source that is no longer declared

    @COMMITS
    def test_where_nothing_drains_the_mark_waits_for_the_command(self, line: OrderLine) -> None:
        source_changes.changed.disconnect(dispatch_uid="tests.worker")
        with tasks_in("off"):
            line.save()
            assert purchases() == []
            out = StringIO()
            call_command("llmrec", "drain", stdout=out)
        assert purchases() == of(line)
        assert "1 added, 0 changed, 0 removed" in out.getvalue()

    @COMMITS
    def test_rows_that_nobody_follows_are_told_of(self, line: OrderLine) -> None:
        source_changes.changed.disconnect(dispatch_uid="tests.worker")
        with tasks_in("off"):
            line.save()
        assert list(health.ill_sources()) == []
        SourceChange.objects.update(created_at=timezone.now() - timedelta(minutes=6))
        assert [part.code for part in health.ill_sources()] == ["late"]

    @COMMITS
    def test_the_marks_of_a_site_that_is_switched_off_wait(self, line: OrderLine) -> None:
        with tasks_in("process", ENABLED=False):
            line.save()
        assert purchases() == []
        site_sources.drain()
        assert purchases() == of(line)

    @COMMITS
    def test_whoever_finds_another_at_it_leaves_it_to_them(self, line: OrderLine) -> None:
        with locks.hold(site_sources.LOCK):
            line.save()
        assert purchases() == []
        celery_tasks.follow_sources()
        assert purchases() == of(line)


@pytest.mark.django_db
class TestReconciling:
    @pytest.fixture
    def lines(self) -> list[OrderLine]:
        """Three lines of the past; no signal told of them."""
        order = Order.objects.create(
            customer=User.objects.create(username="ann"), created=timezone.now() - DAY
        )
        return [
            OrderLine.objects.create(order=order, product=product) for product in list(stock().values())[:3]
        ]

    def test_orders_of_the_past_are_taken_over_once(self, lines: list[OrderLine]) -> None:
        steps: list[tuple[int, int]] = []
        report = interactions.reconcile(
            the_source(), progress=lambda done, total: steps.append((done, total))
        )
        assert (report.checked, report.added, report.changed, report.removed) == (3, 3, 0, 0)
        assert steps == [(3, 3)]
        assert interactions.reconcile(the_source()).differences == 0
        assert purchases() == of(*lines)
        assert interactions.taken_over(the_source()) == 3

    def test_it_goes_over_more_rows_than_one_chunk_holds(
        self, lines: list[OrderLine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(site_sources, "CHUNK", 2)
        assert interactions.reconcile(the_source()).added == 3
        OrderLine.objects.filter(pk__in=[line.pk for line in lines])._raw_delete("default")
        assert interactions.reconcile(the_source()).removed == 3

    def test_both_ways_whatever_sent_no_signal(self, lines: list[OrderLine]) -> None:
        interactions.reconcile(the_source())
        did("7", "view", [lines[0].product])  # of no source
        Interaction.objects.filter(event_id=the_source().event_id(lines[0].pk)).delete()
        OrderLine.objects.filter(pk=lines[1].pk).update(product=lines[0].product)
        OrderLine.objects.filter(pk=lines[2].pk)._raw_delete("default")
        seen = interactions.reconcile(the_source(), mend=False)
        assert (seen.added, seen.changed, seen.removed) == (1, 1, 1)
        assert Interaction.objects.count() == 3
        report = interactions.reconcile(the_source())
        assert (report.added, report.changed, report.removed) == (1, 1, 1)
        assert sorted(Interaction.objects.values_list("kind", "item_id")) == sorted(
            [("view", str(lines[0].product_id)), *[("purchase", str(lines[0].product_id))] * 2]
        )

    def test_what_the_queryset_holds_no_more_is_removed(self, lines: list[OrderLine]) -> None:
        interactions.reconcile(the_source())
        Order.objects.update(status="cancelled")
        assert interactions.reconcile(the_source()).removed == 3
        assert purchases() == []

    def test_the_scheduled_audit_and_the_command_do_it(self, lines: list[OrderLine]) -> None:
        build("product")
        out = StringIO()
        with pytest.raises(SystemExit):
            call_command("llmrec", "audit", "--document", "product", stdout=out)
        assert "3 missing, 0 stale, 0 orphaned" in out.getvalue()
        assert purchases() == []
        assert celery_tasks.reconcile_source("hostapp.orderline")["added"] == 3
        assert purchases() == of(*lines)
        with pytest.raises(NotFound, match=r"hostapp\.orderline"):
            celery_tasks.reconcile_source("hostapp.orderlines")

    def test_an_audit_waits_for_whoever_is_at_it_but_not_for_ever(
        self, lines: list[OrderLine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(site_sources, "PATIENCE", 0.2)
        with locks.hold(site_sources.LOCK), pytest.raises(LeaseLost):
            interactions.reconcile(the_source())

    def test_what_retention_deleted_does_not_come_back(self, lines: list[OrderLine]) -> None:
        Order.objects.update(created=timezone.now() - 800 * DAY)
        assert interactions.reconcile(the_source()).added == 0

    def test_nobody_is_remembered_who_was_erased_or_has_refused(self, lines: list[OrderLine]) -> None:
        interactions.reconcile(the_source())
        ann = str(lines[0].order.customer_id)
        privacy.erase_user(ann)
        assert interactions.reconcile(the_source()).added == 0
        order = Order.objects.create(customer=lines[0].order.customer, created=timezone.now())
        OrderLine.objects.create(order=order, product=lines[0].product)
        assert interactions.reconcile(the_source()).added == 1  # a new life
        ben = User.objects.create(username="ben")
        privacy.set_consent(str(ben.pk), granted=False)
        Order.objects.filter(pk=order.pk).update(customer=ben)
        assert interactions.reconcile(the_source()).removed == 1
        assert purchases() == []


@pytest.mark.django_db
class TestMarking:
    def test_rows_and_what_they_refer_to_can_be_marked(self, django_capture_on_commit_callbacks: Any) -> None:
        user = User.objects.create(username="ann")
        order = Order.objects.create(customer=user, created=timezone.now() - DAY, status="waiting")
        first, second, *_ = stock().values()
        lines = [OrderLine.objects.create(order=order, product=product) for product in (first, second)]
        SourceChange.objects.all().delete()
        Order.objects.update(status="paid")
        assert interactions.mark(OrderLine.objects.all()) == 2
        assert interactions.mark(order) == 1
        assert interactions.mark(lines, source="hostapp.orderline") == 2
        site_sources.drain()
        assert purchases() == of(*lines)
        with pytest.raises(DocumentError, match="No InteractionSource reads Brand"):
            interactions.mark(Brand.objects.create(name="Acme"))
        with pytest.raises(NotFound, match=r"hostapp\.orderline"):
            interactions.mark(order, source="orderline")

    def test_a_mark_of_a_key_that_cannot_be_one_is_done_with(self) -> None:
        SourceChange.objects.create(source="hostapp.orderline", row_id="x")
        assert site_sources.drain().checked == 0
        assert not source_changes.due().exists()


def test_declared_kinds_are_known() -> None:
    assert TestOtherShapes.Opinions().event_kinds() == ("view", "cart")
    assert the_source().event_kinds() == ("purchase",)
