"""GET search/: answers, pages, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.test import APIClient

from llmrec_plugin.api.serializers import ItemSerializer, ListSerializer
from llmrec_plugin.api.views import SearchView
from llmrec_plugin.documents import registry
from llmrec_plugin.models import Deployment
from llmrec_plugin.types import ResultPage
from tests.api.conftest import Site, assert_problem
from tests.hostapp.search_documents import CourseDocument
from tests.support.queries import Queries
from tests.support.serving import did

LIST_KEYS = {"results", "total", "facets", "degraded", "request_id", "next"}
ITEM_KEYS = {"document", "item_id", "title", "score", "reasons", "highlights"}


def titles(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [item["title"] for item in response.json()["results"]]


def scores(response: Any) -> dict[str, float]:
    return {item["title"]: item["score"] for item in response.json()["results"]}


def search(api: APIClient, **parameters: Any) -> Any:
    return api.get("/api/search/", {"document": "product", **parameters})


def test_a_query_finds_what_its_words_say(site: Site, api: APIClient) -> None:
    response = search(api, q="red kettle")
    assert titles(response)[0] == "Red kettle"
    body = response.json()
    assert set(body) == LIST_KEYS | {"language"}
    assert set(body["results"][0]) == ITEM_KEYS
    assert body["results"][0]["item_id"] == site.key("Red kettle")
    assert body["results"][0]["highlights"]["title"] == "<mark>Red</mark> <mark>kettle</mark>"
    assert body["degraded"] == []


def test_an_empty_query_lists_everything(site: Site, api: APIClient) -> None:
    for response in (search(api), search(api, q=""), search(api, q="  ")):
        assert response.json()["total"] == 12
        assert len(titles(response)) == len(set(titles(response))) == 12
        assert {"Red kettle", "Candle", "Flower pot"} <= set(titles(response))


def test_a_course_is_found_by_its_uuid_key(site: Site, api: APIClient) -> None:
    response = search(api, document="course", q="机器学习")
    assert response.json()["results"][0]["item_id"] == str(site.courses["机器学习入门"].pk)


def test_values_of_one_filter_are_joined_by_or_and_filters_by_and(site: Site, api: APIClient) -> None:
    response = search(api, category=["garden", "home"], in_stock="true", price__lte="5")
    assert sorted(titles(response)) == ["Candle", "Flower pot", "Paper lantern"]


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_a_boolean_is_written_in_several_ways(site: Site, api: APIClient, value: str) -> None:
    assert search(api, in_stock=value).json()["total"] == 10


def test_bounds_include_or_exclude_their_value(site: Site, api: APIClient) -> None:
    assert sorted(titles(search(api, price__gte="55", price__lt="60"))) == ["Green teapot"]
    assert sorted(titles(search(api, price__gt="55", price__lte="60"))) == ["Wool blanket"]


def test_a_day_is_a_filter_of_a_date(site: Site, api: APIClient) -> None:
    on_the_day = search(api, document="course", starts="2026-09-01")
    assert sorted(titles(on_the_day)) == ["Introduction to machine learning", "机器学习入门"]
    assert titles(search(api, document="course", starts__gt="2026-09-01")) == ["Linear algebra"]
    assert len(titles(search(api, document="course", starts__lte="2026-10-05"))) == 3


def test_facets_count_what_total_counts_and_their_values_are_filters(site: Site, api: APIClient) -> None:
    body = search(api, facets="category,in_stock", price__gte="10").json()
    assert body["facets"]["category"] == [
        {"value": "kitchen", "count": 4},
        {"value": "garden", "count": 2},
        {"value": "home", "count": 2},
    ]
    for facet in body["facets"]["category"]:
        assert search(api, category=facet["value"], price__gte="10").json()["total"] == facet["count"]
    assert {facet["value"] for facet in body["facets"]["in_stock"]} == {True, False}


def test_dates_are_counted_in_the_form_in_which_they_are_filtered(site: Site, api: APIClient) -> None:
    body = search(api, document="course", facets="starts").json()
    assert body["facets"]["starts"][0] == {"value": "2026-09-01T00:00:00Z", "count": 2}
    both = [facet["value"] for facet in body["facets"]["starts"]]
    assert search(api, document="course", starts=both).json()["total"] == 3


def test_a_listing_is_sorted_by_a_number(site: Site, api: APIClient) -> None:
    assert titles(search(api, sort="price", limit=2)) == ["Flower pot", "Paper lantern"]
    assert titles(search(api, sort="-price", limit=2)) == ["Wool blanket", "Green teapot"]


def test_pages_hold_every_item_once_in_the_order_of_one_long_page(site: Site, api: APIClient) -> None:
    whole = titles(search(api, q="red tea", limit=100))
    walked: list[str] = []
    url: str | None = "/api/search/?document=product&q=red+tea&limit=3"
    while url:
        response = api.get(url)
        walked += titles(response)
        url = response.json()["next"]
    assert walked == whole
    assert len(walked) == len(set(walked)) > 3


def test_next_is_an_absolute_address_and_keeps_total_and_facets(site: Site, api: APIClient) -> None:
    first = search(api, facets="category", limit=5).json()
    assert first["next"].startswith("http://testserver/api/search/?cursor=")
    second = api.get(first["next"]).json()
    for name in ("total", "facets", "request_id"):
        assert second[name] == first[name]


def test_a_cursor_decides_everything_else(site: Site, api: APIClient) -> None:
    first = search(api, sort="price", limit=2).json()
    cursor = parse_qs(urlsplit(first["next"]).query)["cursor"][0]
    plain = api.get("/api/search/", {"cursor": cursor})
    crowded = api.get("/api/search/", {"cursor": cursor, "q": "kettle", "limit": "7", "price": "x"})
    assert titles(plain) == titles(crowded)


@pytest.mark.parametrize("cursor", ["x", "x" * 4000, "eyJ:abc:def", "\u0000", "ÿ:1:2"])
def test_a_broken_cursor_is_refused(site: Site, api: APIClient, cursor: str) -> None:
    response = api.get("/api/search/", {"cursor": cursor})
    assert response.status_code == 400
    assert response.json()["parameter"] == "cursor"


def test_a_cursor_belongs_to_the_one_who_got_it(
    site: Site, customer_api: APIClient, staff_api: APIClient
) -> None:
    following = search(customer_api, limit=2).json()["next"]
    assert_problem(staff_api.get(following), 404, "not_found", "cursor")
    assert customer_api.get(following).status_code == 200


WRONG: list[tuple[dict[str, str], str]] = [
    ({"categories": "garden"}, "categories"),
    ({"price__gtee": "1"}, "price__gtee"),
    ({"price": "cheap"}, "price"),
    ({"price__gte": "nan"}, "price__gte"),
    ({"price__lte": "1e999"}, "price__lte"),
    ({"in_stock": "maybe"}, "in_stock"),
    ({"category__gte": "a"}, "category__gte"),
    ({"category": "a\x00b"}, "category"),
    ({"facets": "colour"}, "facets"),
    ({"sort": "category"}, "sort"),
    ({"sort": "nothing"}, "sort"),
    ({"sort": "category", "q": "tea"}, "sort"),
    ({"limit": "0"}, "limit"),
    ({"limit": "101"}, "limit"),
    ({"limit": "ten"}, "limit"),
    ({"personalize": "2"}, "personalize"),
    ({"personalize": "nan"}, "personalize"),
    ({"explain": "perhaps"}, "explain"),
    ({"q": "x" * 10_001}, "q"),
    ({"x" * 5000: "1"}, "x" * 100 + "…"),
]


def test_what_makes_no_sense_is_refused_by_name(site: Site, api: APIClient, subtests: Any) -> None:
    for parameters, parameter in WRONG:
        with subtests.test(parameter=parameter):
            assert_problem(search(api, **parameters), 400, "invalid_request", parameter)


def test_a_date_that_is_none_is_refused(site: Site, api: APIClient) -> None:
    for value in ("yesterday", "2026-13-01", "2026-09-01T99:00", "9" * 400):
        assert_problem(search(api, document="course", starts__gte=value), 400, "invalid_request")
    assert_problem(
        search(api, document="course", starts=["2026-09-01", "2026-10-05"]), 400, "invalid_request", "starts"
    )


def test_a_misspelt_parameter_is_told_the_nearest(site: Site, api: APIClient) -> None:
    assert 'Did you mean "category"?' in search(api, categories="garden").json()["detail"]


@pytest.mark.parametrize(
    "query", ["x" * 10_000, "机器" * 5000, "\x00\x01\x02tea\x7f", "\u202e\ufffe😀", "'\"%_*()AND"]
)
def test_an_odd_query_is_answered(site: Site, api: APIClient, query: str) -> None:
    assert search(api, q=query).status_code == 200


def test_control_characters_count_as_blanks(site: Site, api: APIClient) -> None:
    assert titles(search(api, q="red\x00kettle\x1f"))[0] == "Red kettle"


def test_empty_parameters_count_as_not_given(site: Site, api: APIClient) -> None:
    response = search(api, category="", price__gte="", limit="", sort="", personalize="", facets="")
    assert response.json()["total"] == 12


def test_the_document_must_be_named_where_there_are_several(site: Site, api: APIClient) -> None:
    body = assert_problem(api.get("/api/search/", {"q": "tea"}), 400, "invalid_request", "document")
    assert "course, product" in body["detail"]


def test_the_only_document_need_not_be_named(site: Site, api: APIClient) -> None:
    registry.unregister(CourseDocument)
    try:
        assert titles(api.get("/api/search/", {"q": "kettle"}))
    finally:
        registry.register(CourseDocument)


def test_an_unknown_document_is_not_found_and_the_known_are_named(site: Site, api: APIClient) -> None:
    body = assert_problem(search(api, document="products"), 404, "not_found")
    assert "product" in body["detail"]


def test_without_an_index_the_answer_says_what_to_run(db: None, api: APIClient) -> None:
    assert not Deployment.objects.exists()
    assert "llmrec build" in assert_problem(search(api, q="tea"), 503, "not_built")["detail"]


def test_only_staff_may_ask_for_contributions(site: Site, api: APIClient, staff_api: APIClient) -> None:
    assert_problem(search(api, q="tea", explain="1"), 403, "permission_denied")
    items = search(staff_api, q="tea", explain="1").json()["results"]
    for item in items:
        assert item["score"] == pytest.approx(sum(item["contributions"].values()), abs=1e-4)
    assert any(item["contributions"] for item in items)


def test_staff_see_what_of_their_past_moved_a_result(
    site: Site, customer_api: APIClient, staff_api: APIClient
) -> None:
    seen = [site.products["Green teapot"], site.products["Red kettle"]]
    for user in User.objects.all():
        did(str(user.pk), "view", seen)
    assert "history" not in search(customer_api, q="tea").json()["results"][0]
    (first, *_) = search(staff_api, q="tea", explain="1").json()["results"]
    assert {past["title"] for past in first["history"]} == {"Green teapot", "Red kettle"}
    taste = sum(value for name, value in first["contributions"].items() if name.startswith("taste"))
    assert sum(past["value"] for past in first["history"]) == pytest.approx(taste, abs=1e-6)


def test_an_answer_is_what_the_document_describes(site: Site, staff_api: APIClient) -> None:
    answer = search(staff_api, q="red tea", explain="1", facets="category", limit=2).json()
    described = ListSerializer(data={**answer, "next": "https://shop.example/api/search/"})
    assert described.is_valid(), described.errors
    items = {name for item in answer["results"] for name in item}
    assert items == set(ItemSerializer().fields)
    assert set(answer) <= set(described.fields)
    needed = {name for name, field in described.fields.items() if field.required}
    assert needed | {"next"} <= set(answer)


def test_explanations_go_on_over_pages(site: Site, staff_api: APIClient) -> None:
    following = search(staff_api, q="red tea", explain="1", limit=2).json()["next"]
    assert "contributions" in staff_api.get(following).json()["results"][0]


def test_personalize_zero_takes_taste_out(site: Site, staff_api: APIClient, customer_api: APIClient) -> None:
    customer_api.post(
        "/api/interactions/",
        [{"document": "product", "item_id": site.key("Green teapot"), "kind": "cart"}],
        format="json",
    )
    plain = scores(search(APIClient(), q="tea"))
    assert plain
    assert scores(search(customer_api, q="tea", personalize="0")) == plain
    personal = scores(search(customer_api, q="tea", personalize="1"))
    assert set(personal) == set(plain)
    assert personal != plain


def test_answers_are_private(site: Site, api: APIClient) -> None:
    for response in (search(api, q="tea"), search(api, nonsense="1")):
        assert {part.strip() for part in response.headers["Cache-Control"].split(",")} == {
            "private",
            "no-store",
        }
        vary = {part.strip() for part in response.headers["Vary"].split(",")}
        assert {"Cookie", "Accept-Language"} <= vary


def test_reading_leaves_no_cookie(site: Site, api: APIClient) -> None:
    assert not search(api, q="tea").cookies


@pytest.mark.parametrize(
    ("parameters", "most"),
    [({"q": "red kettle", "facets": "category"}, 7), ({"sort": "price"}, 7), ({"limit": "100"}, 7)],
)
def test_a_search_takes_few_queries(
    site: Site, customer_api: APIClient, parameters: dict[str, str], most: int
) -> None:
    """Beside session and user: what stands, consent, history, vectors, items, their categories, the list."""
    search(customer_api, **parameters)
    with Queries() as queries:
        assert search(customer_api, **parameters).status_code == 200
    own = [q["sql"] for q in queries if "django_session" not in q["sql"] and "auth_user" not in q["sql"]]
    assert len(own) <= most, "\n".join(own)


def test_a_next_page_takes_few_queries(
    site: Site, api: APIClient, django_assert_max_num_queries: Any
) -> None:
    """The impression, the items, their categories and how far the list was shown."""
    following = search(api, q="red tea", limit=2).json()["next"]
    with django_assert_max_num_queries(5):
        assert api.get(following).status_code == 200


def test_an_engine_that_is_down_degrades_the_answer(
    site: Site, api: APIClient, settings: Any, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    settings.LLMREC = {**settings.LLMREC, "DATA_DIR": str(blocked)}
    body = search(api, q="red kettle").json()
    assert "engine" in body["degraded"]
    assert body["results"]


def test_switched_off_it_still_searches(site: Site, api: APIClient, settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "ENABLED": False}
    assert titles(search(api, q="red kettle"))[0] == "Red kettle"


def test_a_better_spelling_is_passed_on(rf: RequestFactory) -> None:
    view = SearchView()
    view.request = Request(rf.get("/api/search/"))
    page = ResultPage(results=(), total=0, request_id="1", did_you_mean="kettle")
    assert view.answer(page, explain=False).data["did_you_mean"] == "kettle"


def test_options_describe_the_view(api: APIClient) -> None:
    assert api.options("/api/search/").json()["name"] == "Search"


def test_any_wanted_format_is_answered_in_json(site: Site, api: APIClient) -> None:
    response = api.get("/api/search/", {"document": "product"}, headers={"Accept": "text/html"})
    assert response.headers["Content-Type"] == "application/json"


def test_writing_to_a_search_is_not_allowed(site: Site, api: APIClient) -> None:
    response = api.post("/api/search/", {})
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]
