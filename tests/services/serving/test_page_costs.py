"""What a page costs the site: a fixed number of queries, and no preparation that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import QuerySet
from django.template import Context, Template
from django.test import RequestFactory
from rest_framework.test import APIClient

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Rule
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import PreparedItem, ResultPage, SearchRequest
from tests.hostapp.models import Product, Review
from tests.support.indexed import declared
from tests.support.pages import some
from tests.support.queries import Queries
from tests.support.serving import stock

pytestmark = pytest.mark.django_db


class Shelf(SearchDocument[Product]):
    """As a shop declares it: parts of the text, and filter values, are methods that take queries."""

    model = Product
    label = "shelf"
    text_fields = {"title": 3, "body": 1}
    filter_fields = ["price", "reviewed"]
    kinds = {"reviewed": "number"}
    read: list[int] = []
    counted: list[int] = []

    def get_queryset(self) -> QuerySet[Product]:
        return super().get_queryset().select_related("brand").prefetch_related("categories")

    def prepare_body(self, product: Product) -> str:
        self.read.append(product.pk)
        return " ".join([product.description, *product.reviews.values_list("text", flat=True)])

    def prepare_reviewed(self, product: Product) -> int:
        self.counted.append(product.pk)
        return product.reviews.count()


class Chosen(Shelf):
    label = "chosen"

    def prepare(self, product: Product) -> PreparedItem | None:
        return None if "secret" in product.title else super().prepare(product)


@pytest.fixture(autouse=True)
def shelf() -> Iterator[None]:
    for product in stock().values():
        Review.objects.create(product=product, text=f"a steel review of {product.title}")
    with declared(Shelf, Chosen):
        indexing.build("shelf")
        indexing.build("chosen")
        Shelf.read.clear()
        Shelf.counted.clear()
        yield


def find(**more: Any) -> ResultPage:
    return some(search(SearchRequest(**{"document": "shelf", "text": "steel", "limit": 20, **more})))


def test_a_page_of_twenty_takes_at_most_eight_queries() -> None:
    find(user_key="ada", facets=("reviewed",))
    with Queries() as made:
        page = find(user_key="ada", facets=("reviewed",))
        assert len({item.title for item in page.results}) == 20
        assert all(item.reasons for item in page.results)
    assert len(made) <= 8, "\n".join(query["sql"] for query in made.captured_queries)
    assert page.next
    with Queries() as made:
        assert len(next_page(page.next, user_key="ada").results) == 10
    assert len(made) <= 8
    assert not Shelf.read
    assert not Shelf.counted


def test_highlights_are_made_once_of_the_items_that_they_are_asked_for() -> None:
    page = find(limit=5)
    assert not Shelf.read
    first = page.results[0]
    assert "<mark>steel</mark>" in first.highlights["body"]
    assert dict(first.highlights) == dict(first.highlights)
    assert "body" in first.highlights
    assert Shelf.read == [int(first.item_id)]
    assert not Shelf.counted, "what is filtered by is no text"


def test_rest_reads_the_texts_that_it_sends_once() -> None:
    answer = APIClient().get("/api/search/?document=shelf&q=steel&limit=5").json()
    assert all("<mark>" in item["highlights"]["body"] for item in answer["results"])
    assert len(Shelf.read) == len(set(Shelf.read)) == 5
    assert not Shelf.counted


def test_lists_without_a_query_prepare_nothing() -> None:
    product = Product.objects.first()
    assert product is not None
    request = RequestFactory().get("/")
    html = Template(
        '{% load llmrec %}{% recommend "latest" document="shelf" %}{% recommend "for-you" document="shelf" %}'
    ).render(Context({"request": request}))
    assert html.count("<li") > 10
    assert recommendations.similar("shelf", product.pk).results
    assert not Shelf.read
    assert not Shelf.counted


def test_a_pin_prepares_what_it_adds_and_nothing_else() -> None:
    pinned = Product.objects.get(title="wooden milk frother")
    Review.objects.filter(product=pinned).delete()
    indexing.mark(pinned, document="shelf")
    indexing.drain()
    Shelf.read.clear()
    Rule.objects.create(
        name="frothers first",
        document="shelf",
        action="pin",
        match="any",
        items=[str(pinned.pk)],
        place=1,
    )
    page = search(SearchRequest(document="shelf", text='"steel review"', limit=5))
    assert set(Shelf.read) <= {pinned.pk}
    assert page.results


def test_a_site_that_says_itself_who_is_found_is_asked_once_for_each_row() -> None:
    Product.objects.filter(title="steel desk lamp").update(title="secret lamp")
    Shelf.read.clear()
    page = find(document="chosen", limit=20)
    assert "secret lamp" not in {item.title for item in page.results}
    assert all("<mark>" in item.highlights["body"] for item in page.results if item.highlights)
    assert len(Shelf.read) == len(set(Shelf.read))
