"""Results in a site's own views: like querysets, in the order of their rank."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest
from django.template import Context, Template
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.views.generic import ListView
from rest_framework import serializers, viewsets
from rest_framework.pagination import LimitOffsetPagination, PageNumberPagination
from rest_framework.test import APIRequestFactory

from llmrec_plugin.contrib.rest_framework import RelevanceFilter
from llmrec_plugin.contrib.views import SearchMixin
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.models import Impression
from llmrec_plugin.services import indexing
from llmrec_plugin.services.search import search as service_search
from llmrec_plugin.shortcuts import Results, also_bought, recommend, search, similar
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Brand, ClearanceProduct, Course, Product
from tests.support.indexed import declared

pytestmark = pytest.mark.django_db
COUNT = 150


@pytest.fixture
def mugs() -> list[Product]:
    """Shorter descriptions rank higher; every third is out of stock."""
    brand = Brand.objects.create(name="Acme")
    products = [
        Product.objects.create(
            title="Mug", description="red " + "clay " * number, brand=brand, in_stock=number % 3 > 0
        )
        for number in range(COUNT)
    ]
    indexing.build("product")
    return products


def ranked() -> list[str]:
    """All keys, by the service."""
    keys: list[str] = []
    page = service_search(SearchRequest(document="product", text="red mug", limit=100))
    keys += [item.item_id for item in page.results]
    from llmrec_plugin.services.search import next_page

    while page.next:
        page = next_page(page.next, user_key=None)
        keys += [item.item_id for item in page.results]
    return keys


def test_instances_come_in_the_order_of_their_rank(mugs: list[Product]) -> None:
    results = search(Product, "red mug")
    assert [str(mug.pk) for mug in results] == ranked()
    assert len(results) == COUNT
    assert results[0] == results[:1][0]
    assert results[140].pk == int(ranked()[140])


def test_slices_of_one_list_meet_without_repeating(mugs: list[Product]) -> None:
    results = search(Product, "red mug")
    parts = [mug.pk for start in range(0, COUNT, 40) for mug in results[start : start + 40]]
    assert len(parts) == len(set(parts)) == COUNT
    assert Impression.objects.count() == 1


def test_each_instance_says_why_it_was_found(mugs: list[Product]) -> None:
    results = search(Product, "red mug")
    for mug in (results[0], results[120]):
        item: Any = mug.llmrec  # type: ignore[attr-defined]
        assert item.item_id == str(mug.pk)
        assert "<mark>" in item.highlights["title"]
        assert item.score == pytest.approx(sum(item.contributions.values()))


def test_a_queryset_decides_who_may_see_what_and_how_it_is_fetched(mugs: list[Product]) -> None:
    allowed = Product.objects.filter(in_stock=True).select_related("brand")
    results = search(Product, "red mug").within(allowed)
    in_stock = {str(mug.pk) for mug in mugs if mug.in_stock}
    assert [str(mug.pk) for mug in results] == [key for key in ranked() if key in in_stock]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert {mug.brand and mug.brand.name for mug in results[:50]} == {"Acme"}
    assert len(queries) == 0


def test_relations_are_prefetched(mugs: list[Product]) -> None:
    results = search(Product, "red mug").prefetch_related("categories").select_related("brand")
    page = results[:20]
    with CaptureQueriesContext(connection) as queries:
        assert all(not mug.categories.all() for mug in page)
    assert len(queries) == 0


def test_the_number_of_queries_does_not_grow_with_the_slice(mugs: list[Product]) -> None:
    search(Product, "red mug")[:3]  # warm
    counts = []
    for size in (3, 90):
        with CaptureQueriesContext(connection) as queries:
            search(Product, "red mug").within(Product.objects.all())[:size]
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_paginators_take_results(mugs: list[Product]) -> None:
    paginator = Paginator(search(Product, "red mug"), 40)
    assert (paginator.count, paginator.num_pages) == (COUNT, 4)
    assert [str(mug.pk) for mug in paginator.page(4)] == ranked()[120:]


def test_an_item_that_vanishes_is_left_out(mugs: list[Product]) -> None:
    results = search(Product, "red mug")
    gone = results[:120][110].pk
    fresh = search(Product, "red mug")
    assert len(fresh) == COUNT
    Product.objects.filter(pk=gone).delete()
    assert gone not in {mug.pk for mug in fresh}


def test_nothing_found_is_empty_and_false(mugs: list[Product]) -> None:
    results = search(Product, "red mug").within(Product.objects.none())
    assert not results
    assert list(results) == []
    with pytest.raises(IndexError):
        results[0]


def test_a_model_without_a_document_or_with_two_is_an_error_that_says_the_cure() -> None:
    with pytest.raises(DocumentError, match=r"Brand has no SearchDocument: declare one"):
        search(Brand, "acme")

    class Second(SearchDocument[Course]):
        model = Course
        label = "lesson"
        text_fields = ["title"]

    with declared(Second), pytest.raises(DocumentError, match=r"course, lesson.*name one of them"):
        search(Course, "algebra")


def test_lists_about_an_item_and_placements(mugs: list[Product]) -> None:
    assert mugs[0] not in [item.object for item in similar(mugs[0]).results]
    assert len(also_bought(mugs[0], limit=5).results) == 5
    assert len(recommend("latest", Product, limit=3).results) == 3
    assert isinstance(recommend("latest", "product").results[0].object, Product)


class MugList(SearchMixin, ListView):
    model = Product
    paginate_by = 10
    search_facets = ("in_stock",)
    ordering = "pk"
    template_name = "hostapp/mugs.html"

    def get_queryset(self) -> Any:
        return super().get_queryset()


def mug_list(request: HttpRequest) -> dict[str, Any]:
    """What the page is drawn from."""
    response = MugList.as_view()(request)
    assert isinstance(response, TemplateResponse)
    return response.context_data or {}


def test_a_list_view_searches_where_it_is_asked_to(mugs: list[Product]) -> None:
    plain = mug_list(RequestFactory().get("/"))
    assert [mug.pk for mug in plain["object_list"]] == [mug.pk for mug in mugs[:10]]
    found = mug_list(RequestFactory().get("/", {"q": "red mug", "page": "2"}))
    assert [str(mug.pk) for mug in found["object_list"]] == ranked()[10:20]
    assert found["paginator"].count == COUNT
    assert dict(found["search_facets"]["in_stock"]) == {True: 100, False: 50}


def test_a_list_view_says_what_is_wrong_rather_than_fail() -> None:
    found = mug_list(RequestFactory().get("/", {"q": "red mug"}))
    assert list(found["object_list"]) == []
    assert "build" in found["search_error"]


def test_a_list_view_tells_visitors_nothing_of_the_settings(
    mugs: list[Product], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(LLMREC={**settings.LLMREC, "BACKEND": "no.engine"}):
        found = mug_list(RequestFactory().get("/", {"q": "red mug"}))
    assert list(found["object_list"]) == []
    assert found["search_error"] == "The search does not answer at present."
    assert "no.engine" in caplog.text
    assert "red mug" not in caplog.text


class MugSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["id", "title"]


class Pages(PageNumberPagination):
    page_size = 10


class Window(LimitOffsetPagination):
    default_limit = 10


@pytest.mark.parametrize(("pagination", "parameters"), [(Pages, {"page": "3"}), (Window, {"offset": "20"})])
def test_a_viewset_ranks_within_its_own_queryset(
    mugs: list[Product], pagination: Any, parameters: dict[str, str]
) -> None:
    class Mugs(viewsets.ReadOnlyModelViewSet):
        queryset = Product.objects.filter(in_stock=True)
        serializer_class = MugSerializer
        filter_backends = [RelevanceFilter]
        pagination_class = pagination

    in_stock = {str(mug.pk) for mug in mugs if mug.in_stock}
    request = APIRequestFactory().get("/", {"search": "red mug", **parameters})
    answer = Mugs.as_view({"get": "list"})(request)
    assert answer.status_code == 200
    assert answer.data["count"] == 100
    wanted = [key for key in ranked() if key in in_stock][20:30]
    assert [str(row["id"]) for row in answer.data["results"]] == wanted


class MugViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Product.objects.all()
    serializer_class = MugSerializer
    filter_backends = [RelevanceFilter]


def test_a_viewset_answers_503_without_an_index() -> None:
    answer = MugViewSet.as_view({"get": "list"})(APIRequestFactory().get("/", {"search": "mug"}))
    assert answer.status_code == 503


def test_a_viewset_tells_visitors_nothing_of_the_settings(mugs: list[Product]) -> None:
    with override_settings(LLMREC={**settings.LLMREC, "BACKEND": "no.engine"}):
        answer = MugViewSet.as_view({"get": "list"})(APIRequestFactory().get("/", {"search": "mug"}))
    assert answer.status_code == 503
    assert "no.engine" not in str(answer.data)


def test_results_are_not_asked_for_before_they_are_needed(mugs: list[Product]) -> None:
    results = search(Product, "red mug")
    assert isinstance(results, Results)
    assert Impression.objects.count() == 0


def test_of_a_model_whose_parent_is_registered_its_own_rows_are_found() -> None:
    Product.objects.create(title="Red chair")
    cleared = ClearanceProduct.objects.create(title="Red table", reason="scratched")
    indexing.build("product")
    found = search(ClearanceProduct, "red")
    assert list(found) == [cleared]
    assert found[0].reason == "scratched"
    assert {product.title for product in search(Product, "red")} == {"Red chair", "Red table"}
    with pytest.raises(DocumentError, match='register one, or name "product"'):
        recommend("latest", ClearanceProduct)
    assert len(similar(cleared).results) == 1


@pytest.mark.parametrize("as_keys", [True, False])
def test_a_basket_that_the_site_knows_itself_goes_along(mugs: list[Product], as_keys: bool) -> None:
    basket = [mug.pk if as_keys else mug for mug in mugs[-2:]]
    held = {str(mug.pk) for mug in mugs[-2:]}
    assert held & {item.item_id for item in recommend("popular", Product, limit=100).results}
    page = recommend("basket", Product, basket=basket, limit=100)
    assert page.results
    assert not held & {item.item_id for item in page.results}
    template = Template(
        '{% load llmrec %}{% recommend "basket" "product" basket=basket limit=100 as found %}'
    )
    context = Context({"basket": basket})
    template.render(context)
    assert [item.item_id for item in context["found"]] == [item.item_id for item in page.results]
