"""Whatever is asked, the server does not fail."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from tests.api.conftest import Site

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = st.sampled_from(
    [
        "q",
        "facets",
        "sort",
        "limit",
        "cursor",
        "personalize",
        "explain",
        "item_id",
        "format",
        "brand",
        "category",
        "price",
        "price__gte",
        "price__lt",
        "in_stock",
        "starts",
        "starts__gt",
        "level",
    ]
) | st.text(max_size=12)
VALUES = st.text(max_size=30) | st.sampled_from(
    [
        "1",
        "0",
        "true",
        "-price",
        "price",
        "category",
        "2026-09-01",
        "9999-12-31",
        "0001-01-01T00:00+14:00",
        "nan",
        "inf",
        "1e308",
        "-1e308",
        "1_0",
        "９",
        "\x00",
        "kettle",
        "茶",
        "a,b,,c",
        "'; --",
        "%00",
    ]
)
QUERIES = st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=3), max_size=5)

pytestmark = pytest.mark.usefixtures("unthrottled")


@FUZZ
@given(query=QUERIES, document=st.sampled_from(["product", "course", "x", ""]))
def test_no_search_makes_the_server_fail(site: Site, query: dict[str, Any], document: str) -> None:
    response = APIClient().get("/api/search/", {**query, "document": document})
    assert response.status_code in (200, 400, 403, 404), response.content


@FUZZ
@given(
    query=QUERIES,
    placement=st.sampled_from(["for-you", "latest", "trending"]) | st.text(min_size=1, max_size=9),
)
def test_no_placement_makes_the_server_fail(site: Site, query: dict[str, Any], placement: str) -> None:
    response = APIClient().get(
        f"/api/recommendations/{quote(placement, safe='')}/", {"document": "product", **query}
    )
    assert response.status_code in (200, 400, 403, 404)
