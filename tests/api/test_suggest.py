"""GET api/suggest/: what completes a half-typed search."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from llmrec_plugin.models import Configuration, Impression, PopularQuery
from tests.api.conftest import Site, assert_problem


def suggest(api: APIClient, **parameters: Any) -> Any:
    return api.get("/api/suggest/", {"document": "product", **parameters})


def test_searches_and_items_go_on_as_was_typed(site: Site, api: APIClient) -> None:
    PopularQuery.objects.create(document="product", text="teapot green", visitors=9)
    Configuration().save()
    response = suggest(api, q="tea")
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"queries", "items", "degraded"}
    assert body["queries"] == ["teapot green"]
    assert body["items"][0] == {
        "document": "product",
        "item_id": site.key("Red teapot"),
        "title": "Red teapot",
        "url": "",
    }
    assert "no-store" in response["Cache-Control"]


def test_nothing_typed_is_stored(site: Site, api: APIClient) -> None:
    suggest(api, q="secret", limit=3)
    assert not Impression.objects.exists()


def test_without_a_text_there_are_popular_searches_alone(site: Site, api: APIClient) -> None:
    assert suggest(api).json() == {"queries": [], "items": [], "degraded": []}


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"size": 0}, "size"),
        ({"size": 21}, "size"),
        ({"size": "many"}, "size"),
        ({"query": "tea"}, "query"),
        ({"q": "t" * 10_001}, "q"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    site: Site, api: APIClient, parameters: dict[str, Any], parameter: str
) -> None:
    assert_problem(suggest(api, **parameters), 400, "invalid_request", parameter)


def test_an_unknown_document_is_not_found(site: Site, api: APIClient) -> None:
    assert suggest(api, document="nothing", q="tea").status_code == 404


@pytest.mark.parametrize("typed", ["\x00", "*", '"', "OR", "tea*", "😀", "机", "'", "a" * 5000])
def test_anything_may_be_typed(site: Site, api: APIClient, typed: str) -> None:
    assert suggest(api, q=typed).status_code == 200
