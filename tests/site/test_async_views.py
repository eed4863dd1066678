"""Lists in async views: what they return is read without another thread."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.test import RequestFactory

from llmrec_plugin.shortcuts import aalso_bought, arecommend, asearch, asimilar, search
from tests.hostapp.models import Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def test_a_search(shop: dict[str, Product]) -> None:
    async def view() -> tuple[list[str], int, int, str]:
        found = await asearch(Product, "steel lamp", request=RequestFactory().get("/"), limit=4)
        first: Any = found[0]
        return (
            [product.title for product in found[:4]],
            len(found),
            found.page.total,
            first.llmrec.highlights["title"],
        )

    titles, count, total, highlight = async_to_sync(view)()
    assert titles[0] == "steel desk lamp"
    assert (len(titles), count) == (4, total)
    assert "<mark>" in highlight


def test_all_of_them_one_after_the_other(shop: dict[str, Product]) -> None:
    async def view() -> list[str]:
        return [product.title async for product in await asearch(Product, "steel", limit=2)]

    assert async_to_sync(view)() == [product.title for product in search(Product, "steel")]


def test_recommendations(shop: dict[str, Product]) -> None:
    lamp = shop["steel desk lamp"]

    async def view() -> list[int]:
        pages = [
            await arecommend("latest", Product, limit=3),
            await asimilar(lamp, limit=3),
            await aalso_bought(lamp, limit=3),
        ]
        return [len([item.title for item in page.results]) for page in pages]

    assert async_to_sync(view)() == [3, 3, 3]


def test_the_others_say_that_they_are_for_threads(shop: dict[str, Product]) -> None:
    async def view() -> int:
        return len(search(Product, "steel"))

    with pytest.raises(SynchronousOnlyOperation):
        async_to_sync(view)()
