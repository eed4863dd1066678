"""POST impressions/: what came into view, of one's own lists."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from llmrec_plugin.models import Impression
from tests.api.conftest import Site, assert_problem

URL = "/api/impressions/"


def searched(client: APIClient, **parameters: Any) -> str:
    answer = client.get("/api/search/", {"document": "product", "q": "red", "limit": 2, **parameters})
    return str(answer.json()["request_id"])


def seen_of(request_id: str) -> int | None:
    return Impression.objects.get(pk=request_id).seen


def test_what_came_into_view_is_remembered_and_never_shrinks(site: Site, customer_api: APIClient) -> None:
    request_id = searched(customer_api)
    for told, known in ((1, 1), (2, 2), (1, 2)):
        answer = customer_api.post(URL, {"request_id": request_id, "seen": told}, format="json")
        assert (answer.status_code, answer.json()) == (202, {"noted": 1})
        assert seen_of(request_id) == known


def test_no_more_is_seen_than_was_delivered(site: Site, customer_api: APIClient) -> None:
    request_id = searched(customer_api)
    customer_api.post(URL, [{"request_id": request_id, "seen": 90}], format="json")
    assert seen_of(request_id) == 2


def test_lists_of_others_stay_as_they_are(site: Site, customer_api: APIClient, staff_api: APIClient) -> None:
    request_id = searched(customer_api)
    for client in (APIClient(), staff_api):
        answer = client.post(URL, {"request_id": request_id, "seen": 1}, format="json")
        assert (answer.status_code, answer.json()) == (202, {"noted": 0})
    assert seen_of(request_id) is None


@pytest.mark.parametrize(
    "sent",
    [
        {"request_id": "x", "seen": 1},
        {"request_id": 0, "seen": 1},
        {"seen": 1},
        [3],
        {"request_id": "x" * 9, "seen": -1},
        "text",
    ],
)
def test_what_makes_no_sense_is_refused(site: Site, customer_api: APIClient, sent: Any) -> None:
    assert_problem(customer_api.post(URL, sent, format="json"), 400, "invalid_request")


def test_too_many_lists_are_refused(site: Site, customer_api: APIClient) -> None:
    sent = [{"request_id": "6f6f1b3a-3d36-4d1e-8f36-1e7a1c7f6b1a", "seen": 1}] * 51
    assert_problem(customer_api.post(URL, sent, format="json"), 400, "invalid_request")
