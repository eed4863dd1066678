"""Changes of other models that change an item: followed by set, captured before they are gone."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.types import Terms
from tests.hostapp.models import (
    Brand,
    Category,
    ClearanceProduct,
    DiscountedProduct,
    Label,
    Order,
    OrderLine,
    Product,
    ProductLabel,
    Review,
)
from tests.support.indexed import declared, found, listed, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand() -> Brand:
    return Brand.objects.create(name="Acme")


@pytest.fixture
def lamps(brand: Brand) -> list[Product]:
    """Two lamps by Acme and one by nobody, indexed."""
    lamps = [
        Product.objects.create(title=title, brand=maker)
        for title, maker in (("Desk lamp", brand), ("Floor lamp", brand), ("Old lamp", None))
    ]
    build("product")
    return lamps


def keys(*products: Product) -> set[str]:
    return {str(product.pk) for product in products}


class TestForeignKeys:
    def test_a_renamed_brand_renames_its_items(self, lamps: list[Product], brand: Brand) -> None:
        brand.name = "Zenith"
        brand.save()
        indexing.drain()
        assert found("product", "zenith") == keys(*lamps[:2])
        assert found("product", "acme") == set()

    def test_a_save_of_a_brand_is_one_entry_however_many_items_it_has(
        self, lamps: list[Product], brand: Brand
    ) -> None:
        brand.save()
        assert list(OutboxEntry.objects.values_list("item_id", "via")) == [(str(brand.pk), "brand")]

    def test_a_fan_out_is_expanded_by_the_worker_in_chunks(
        self, lamps: list[Product], brand: Brand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from llmrec_plugin.services.indexing import outbox

        monkeypatch.setattr(outbox, "CHUNK", 2)
        Product.objects.bulk_create(Product(title=f"Lamp {n}", brand=brand) for n in range(5))
        brand.name = "Zenith"
        brand.save()
        report = indexing.drain()
        assert (report.entries, report.written) == (1 + 7, 7)
        assert len(found("product", "zenith")) == 7

    def test_a_new_brand_marks_nothing(self) -> None:
        Brand.objects.create(name="Newcomer")
        assert not OutboxEntry.objects.exists()

    def test_items_of_a_deleted_brand_are_known_before_it_is_gone(
        self, lamps: list[Product], brand: Brand
    ) -> None:
        """on_delete=SET_NULL updates the items without any signal of theirs."""
        brand.delete()
        assert set(waiting("product")) == keys(*lamps[:2])
        indexing.drain()
        assert found("product", "acme") == set()
        assert listed("product") == keys(*lamps)

    def test_deleting_a_brand_marks_its_items_by_set(self, lamps: list[Product], brand: Brand) -> None:
        def cost(target: Brand) -> int:
            with CaptureQueriesContext(connection) as queries:
                target.delete()
            return len(queries)

        small = Brand.objects.create(name="Small")
        Product.objects.bulk_create([Product(title="Torch", brand=small)])
        Product.objects.bulk_create(Product(title=f"Lamp {n}", brand=brand) for n in range(50))
        assert cost(small) == cost(brand)

    def test_a_brand_of_another_item_changes_nothing(self, lamps: list[Product]) -> None:
        other = Brand.objects.create(name="Other")
        other.name = "Another"
        other.save()
        report = indexing.drain()
        assert (report.entries, report.written) == (1, 0)


class TestManyToMany:
    def category_keys(self, name: str) -> set[str]:
        indexing.drain()
        return listed("product", Terms(field="category", values=(name,)))

    def test_membership_is_followed_from_the_items_side(self, lamps: list[Product]) -> None:
        lamp = lamps[0]
        light = Category.objects.create(name="light")
        lamp.categories.add(light)
        assert self.category_keys("light") == keys(lamp)
        lamp.categories.remove(light)
        assert self.category_keys("light") == set()
        lamp.categories.set([light])
        assert self.category_keys("light") == keys(lamp)
        lamp.categories.clear()
        assert self.category_keys("light") == set()

    def test_membership_is_followed_from_the_other_side(self, lamps: list[Product]) -> None:
        light = Category.objects.create(name="light")
        light.products.add(*lamps[:2])
        assert self.category_keys("light") == keys(*lamps[:2])
        light.products.remove(lamps[0])
        assert self.category_keys("light") == keys(lamps[1])
        light.products.clear()
        assert self.category_keys("light") == set()

    def test_a_renamed_category_is_followed(self, lamps: list[Product]) -> None:
        light = Category.objects.create(name="light")
        light.products.set(lamps)
        light.name = "lighting"
        light.save()
        assert self.category_keys("lighting") == keys(*lamps)

    def test_items_of_a_deleted_category_lose_it(self, lamps: list[Product]) -> None:
        light = Category.objects.create(name="light")
        light.products.set(lamps[:2])
        indexing.drain()
        light.delete()
        assert set(waiting("product")) == keys(*lamps[:2])
        assert self.category_keys("light") == set()

    def test_adding_what_is_there_marks_nothing_twice(self, lamps: list[Product]) -> None:
        light = Category.objects.create(name="light")
        lamps[0].categories.add(light)
        indexing.drain()
        lamps[0].categories.add(light)
        assert indexing.drain().encoded == 0

    def test_rows_of_the_sites_own_through_model_are_followed(self, lamps: list[Product]) -> None:
        class Labelled(SearchDocument[Product]):
            model = Product
            label = "labelled"
            text_fields = ["title", "labels__name"]
            related = {Label: "labels"}

        with declared(Labelled):
            build("labelled")
            sale = Label.objects.create(name="sale")
            link = ProductLabel.objects.create(product=lamps[0], label=sale)
            indexing.drain()
            assert found("labelled", "sale") == keys(lamps[0])
            link.delete()
            indexing.drain()
            assert found("labelled", "sale") == set()
            sale.products.add(lamps[1])  # sends m2m_changed, no signal of the through model
            indexing.drain()
            assert found("labelled", "sale") == keys(lamps[1])

    def test_membership_behind_another_relation_is_followed(self) -> None:
        class Permit(SearchDocument[User]):
            model = User
            label = "permit"
            text_fields = ["username", "groups__permissions__name"]
            related = {Group: "groups", Permission: "groups__permissions"}

        with declared(Permit):
            user, group = User.objects.create(username="ada"), Group.objects.create(name="staff")
            permission = Permission.objects.create(
                name="fly", codename="fly", content_type=ContentType.objects.get_for_model(User)
            )
            user.groups.add(group)
            build("permit")
            group.permissions.add(permission)
            indexing.drain()
            assert found("permit", "fly") == {str(user.pk)}
            permission.group_set.clear()
            indexing.drain()
            assert found("permit", "fly") == set()


class TestReverse:
    @pytest.fixture
    def reviewed(self) -> Any:
        class Reviewed(SearchDocument[Product]):
            model = Product
            label = "reviewed"
            text_fields = ["title", "reviews__text"]
            related = {Review: "reviews"}

        with declared(Reviewed):
            yield

    def test_a_review_changes_the_item_it_names(self, reviewed: None, lamps: list[Product]) -> None:
        build("reviewed")
        review = Review.objects.create(product=lamps[0], text="splendid")
        indexing.drain()
        assert found("reviewed", "splendid") == keys(lamps[0])
        review.text = "awful"
        review.save()
        indexing.drain()
        assert found("reviewed", "splendid") == set()
        review.delete()
        indexing.drain()
        assert found("reviewed", "awful") == set()

    def test_a_review_that_moves_changes_both_items(self, reviewed: None, lamps: list[Product]) -> None:
        review = Review.objects.create(product=lamps[0], text="splendid")
        build("reviewed")
        review.product = lamps[1]
        review.save()
        indexing.drain()
        assert found("reviewed", "splendid") == keys(lamps[1])


class TestInheritance:
    def test_a_proxy_is_the_item_itself(self, lamps: list[Product]) -> None:
        proxy = DiscountedProduct.objects.get(pk=lamps[0].pk)
        proxy.title = "Bargain"
        proxy.save()
        indexing.drain()
        assert found("product", "bargain") == keys(lamps[0])
        proxy.delete()
        indexing.drain()
        assert listed("product") == keys(*lamps[1:])

    def test_a_document_of_a_proxy_follows_the_model(self) -> None:
        class Discounted(SearchDocument[DiscountedProduct]):
            model = DiscountedProduct
            label = "discounted"
            text_fields = ["title"]

        with declared(Discounted):
            build("discounted")
            lamp = Product.objects.create(title="Lamp")
            indexing.drain()
            assert found("discounted", "lamp") == keys(lamp)

    def test_a_child_of_the_model_is_an_item_too(self, lamps: list[Product]) -> None:
        torch = ClearanceProduct.objects.create(title="Torch", reason="dent")
        indexing.drain()
        assert found("product", "torch") == {str(torch.pk)}
        torch.title = "Beam"
        torch.save()
        indexing.drain()
        assert found("product", "beam") == {str(torch.pk)}
        torch.delete()
        indexing.drain()
        assert str(torch.pk) not in listed("product")

    def test_a_document_of_a_child_follows_what_it_inherits(self) -> None:
        class Clearance(SearchDocument[ClearanceProduct]):
            model = ClearanceProduct
            label = "clearance"
            text_fields = ["title", "reason"]

        with declared(Clearance):
            torch = ClearanceProduct.objects.create(title="Torch", reason="dent")
            build("clearance")
            Product.objects.get(pk=torch.pk).save()
            parent = Product.objects.get(pk=torch.pk)
            parent.title = "Beam"
            parent.save()
            indexing.drain()
            assert found("clearance", "beam") == {str(torch.pk)}


def test_cascades_reach_the_items(lamps: list[Product], django_user_model: Any) -> None:
    """A deleted item takes its order lines along; both are followed, and nothing fails."""
    order = Order.objects.create(
        customer=django_user_model.objects.create(username="ada"), created="2024-01-01T00:00:00Z"
    )
    OrderLine.objects.create(order=order, product=lamps[0])
    lamps[0].delete()
    indexing.drain()
    assert listed("product") == keys(*lamps[1:])
