"""GET recommendations/…, items/…/similar/ and items/…/also-bought/."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from llmrec_plugin.models import Placement
from llmrec_plugin.services import interactions
from llmrec_plugin.services.training import model_fit
from tests.api.conftest import Site, assert_problem


def results(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["results"]
    return found


@pytest.mark.parametrize("placement", ["for-you", "trending", "latest", "because-you-viewed"])
def test_each_placement_answers_a_stranger(site: Site, api: APIClient, placement: str) -> None:
    response = api.get(f"/api/recommendations/{placement}/", {"document": "product", "limit": "5"})
    assert len(results(response)) == 5
    assert set(response.json()) == {"results", "total", "facets", "degraded", "request_id", "next"}


def test_a_page_of_a_category_confines_its_lists_to_it(site: Site, api: APIClient) -> None:
    query = "document=product&category=garden&price__lt=14&limit=10"
    for placement in ("trending", "for-you", "latest"):
        shown = results(api.get(f"/api/recommendations/{placement}/?{query}"))
        assert {item["title"] for item in shown} == {"Paper lantern", "Watering can", "Flower pot"}


def test_the_basket_comes_with_the_request(site: Site, api: APIClient) -> None:
    for user in range(12):
        for title in ("Tea cup", "Red teapot", "Candle"):
            interactions.record(
                user_key=f"u{user}", document="product", item_id=site.key(title), kind="purchase"
            )
    model_fit.fit("product")
    basket = f"{site.key('Tea cup')},{site.key('Candle')}"
    shown = results(api.get(f"/api/recommendations/basket/?document=product&basket={basket}&limit=3"))
    assert shown[0]["title"] == "Red teapot"
    assert not {"Tea cup", "Candle"} & {item["title"] for item in shown}


def test_the_next_step_is_for_what_has_steps(site: Site, api: APIClient) -> None:
    shown = results(api.get("/api/recommendations/next/?document=course"))
    assert "Linear algebra" not in {item["title"] for item in shown}  # the second level
    assert_problem(api.get("/api/recommendations/next/?document=product"), 400, "invalid_request", "document")


def test_an_editors_row_answers_under_its_name(site: Site, api: APIClient) -> None:
    Placement.objects.create(name="home", type="latest", document="product", limit=2)
    assert len(results(api.get("/api/recommendations/home/"))) == 2
    assert_problem(api.get("/api/recommendations/home/?colour=red"), 400, "invalid_request", "colour")


def test_what_was_bought_is_hidden_from_for_you(site: Site, customer: User, customer_api: APIClient) -> None:
    bought = site.key("Red kettle")
    interactions.record(user_key=str(customer.pk), document="product", item_id=bought, kind="purchase")
    shown = results(
        customer_api.get("/api/recommendations/for-you/", {"document": "product", "limit": "100"})
    )
    assert bought not in {item["item_id"] for item in shown}
    assert any(item["reasons"] for item in shown)


@pytest.mark.parametrize("way", ["similar", "also-bought"])
def test_lists_about_an_item_leave_it_out(site: Site, api: APIClient, way: str) -> None:
    key = site.key("Red kettle")
    shown = results(api.get(f"/api/items/product/{key}/{way}/", {"limit": 4}))
    assert len(shown) == 4
    assert key not in {item["item_id"] for item in shown}


def test_a_uuid_key_has_similar_items(site: Site, api: APIClient) -> None:
    key = site.courses["Linear algebra"].pk
    assert len(results(api.get(f"/api/items/course/{key}/similar/"))) == 2


NOWHERE = [
    "items/product/999999/similar/",
    "items/product/none/also-bought/",
    "items/product/%00/similar/",
    "items/product/1%00/similar/",
    "items/product/a/b/c/similar/",
    "items/product/99999999999999999999999999/similar/",
    "items/course/999/also-bought/",
    "items/nothing/1/similar/",
    "recommendations/nowhere/?document=product",
    "recommendations/for-you/?document=nothing",
    "recommendations/%00/?document=product",
]


def test_what_does_not_exist_is_not_found(site: Site, api: APIClient, subtests: Any) -> None:
    for path in NOWHERE:
        with subtests.test(path=path):
            assert_problem(api.get(f"/api/{path}"), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limits=3", "limits"),
        ("cursor=broken", "cursor"),
        ("item_id=%00", "item_id"),
        ("basket=%00", "basket"),
        ("prize=3", "prize"),
        ("price=cheap", "price"),
        ("in_stock__gte=1", "in_stock__gte"),
    ],
)
def test_wrong_parameters_are_refused_by_name(site: Site, api: APIClient, query: str, parameter: str) -> None:
    response = api.get(f"/api/recommendations/for-you/?document=product&{query}")
    assert response.status_code == 400
    assert response.json()["parameter"] == parameter


def test_the_document_must_be_named_where_there_are_several(site: Site, api: APIClient) -> None:
    assert_problem(api.get("/api/recommendations/latest/"), 400, "invalid_request", "document")


def test_only_staff_see_contributions(site: Site, api: APIClient, staff_api: APIClient) -> None:
    address = f"/api/items/product/{site.key('Red kettle')}/similar/?explain=1"
    assert_problem(api.get(address), 403, "permission_denied")
    for item in results(staff_api.get(address)):
        assert item["score"] == pytest.approx(sum(item["contributions"].values()), abs=1e-4)


def test_a_list_goes_on_where_it_stopped(site: Site, api: APIClient) -> None:
    address: str | None = "/api/recommendations/latest/?document=product&limit=5"
    walked: list[str] = []
    while address:
        response = api.get(address)
        walked += [item["item_id"] for item in results(response)]
        address = response.json()["next"]
    assert sorted(walked) == sorted(str(product.pk) for product in site.products.values())


def test_a_list_about_an_item_goes_on_where_it_stopped(site: Site, api: APIClient) -> None:
    first = api.get(f"/api/items/product/{site.key('Red kettle')}/similar/?limit=3").json()
    second = api.get(first["next"]).json()
    assert second["request_id"] == first["request_id"]
    assert not {item["item_id"] for item in first["results"]} & {
        item["item_id"] for item in second["results"]
    }


@pytest.mark.parametrize(
    "path", ["recommendations/for-you/?document=product", "items/product/{}/also-bought/"]
)
def test_a_list_takes_few_queries(
    site: Site, customer: User, customer_api: APIClient, path: str, django_assert_max_num_queries: Any
) -> None:
    for title in ("Red kettle", "Tea cup", "Candle"):
        interactions.record(
            user_key=str(customer.pk), document="product", item_id=site.key(title), kind="view"
        )
    address = "/api/" + path.format(site.key("Red kettle"))
    customer_api.get(address)
    with django_assert_max_num_queries(16):
        assert customer_api.get(address).status_code == 200
