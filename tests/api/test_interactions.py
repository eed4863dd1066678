"""POST interactions/: events in, once, from the right visitor."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from llmrec_plugin.event_kinds import EventKind, event_kinds, register_event_kind
from llmrec_plugin.models import Interaction
from llmrec_plugin.services import interactions, privacy, recommendations
from tests.api.conftest import Site, assert_problem

URL = "/api/interactions/"


def event(site: Site, **fields: Any) -> dict[str, Any]:
    return {"document": "product", "item_id": site.key("Red kettle"), "kind": "view", **fields}


def test_one_event_is_stored_for_the_user_who_is_logged_in(
    site: Site, customer: User, customer_api: APIClient
) -> None:
    request_id = customer_api.get("/api/search/", {"document": "product", "q": "red"}).json()["request_id"]
    sent = event(
        site,
        kind="rating",
        value=4,
        at="2026-01-02T03:04:05Z",
        request_id=request_id,
        position=0,
        event_id="a1",
    )
    response = customer_api.post(URL, sent, format="json")
    assert response.status_code == 202
    assert response.json() == {"stored": 1, "duplicates": 0, "refused": 0, "errors": []}
    row = Interaction.objects.get()
    assert (row.user_key, row.item_id, row.kind) == (str(customer.pk), site.key("Red kettle"), "rating")
    assert (row.value, str(row.request_id), row.position) == (4.0, request_id, 0)
    assert row.at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_the_user_is_never_taken_from_the_body(
    catalogue: Site, customer: User, customer_api: APIClient
) -> None:
    customer_api.post(URL, event(catalogue, user="someone else"), format="json")
    assert Interaction.objects.get().user_key == str(customer.pk)


def test_an_id_that_comes_twice_is_stored_once(catalogue: Site, customer_api: APIClient) -> None:
    sent = [event(catalogue, event_id="a"), event(catalogue, event_id="a"), event(catalogue, event_id="b")]
    assert customer_api.post(URL, sent, format="json").json()["stored"] == 2
    again = customer_api.post(URL, sent, format="json").json()
    assert (again["stored"], again["duplicates"]) == (0, 3)


def test_the_ids_of_one_visitor_do_not_hide_those_of_another(catalogue: Site) -> None:
    for client in (APIClient(), APIClient()):
        assert client.post(URL, event(catalogue, event_id="1"), format="json").json()["stored"] == 1


def test_wrong_events_are_refused_by_index_and_the_others_stored(
    catalogue: Site, customer_api: APIClient
) -> None:
    sent = [
        event(catalogue),
        event(catalogue, kind="stare"),
        event(catalogue, item_id="999999"),
        event(catalogue, value="high"),
        "no object",
        event(catalogue, positions=3),
        event(catalogue, document="nothing"),
        event(catalogue),
    ]
    response = customer_api.post(URL, sent, format="json")
    assert response.status_code == 202
    body = response.json()
    assert (body["stored"], body["refused"]) == (2, 6)
    assert [(error["index"], error["parameter"]) for error in body["errors"]] == [
        (1, "kind"),
        (2, ""),
        (3, "value"),
        (4, ""),
        (5, "positions"),
        (6, "document"),
    ]
    assert Interaction.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"kind": "stare"}, "kind"),
        ({"kind": None}, "kind"),
        ({"item_id": ""}, "item_id"),
        ({"item_id": None}, "item_id"),
        ({"item_id": "x" * 256}, "item_id"),
        ({"item_id": "\x00"}, "item_id"),
        ({"item_id": ["1"]}, "item_id"),
        ({"item_id": True}, "item_id"),
        ({"document": "nothing"}, "document"),
        ({"value": "NaN"}, "value"),
        ({"value": True}, "value"),
        ({"value": [1]}, "value"),
        ({"at": "yesterday"}, "at"),
        ({"at": 5}, "at"),
        ({"event_id": "x" * 101}, "event_id"),
        ({"request_id": "x"}, "request_id"),
        ({"request_id": False}, "request_id"),
        ({"position": -1}, "position"),
        ({"position": 2**31}, "position"),
        ({"position": 1.5}, "position"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_of_a_single_event_is_refused_by_name(
    catalogue: Site, api: APIClient, fields: dict[str, Any], parameter: str
) -> None:
    body = assert_problem(
        api.post(URL, event(catalogue, **fields), format="json"), 400, "invalid_request", parameter
    )
    assert body["errors"][0]["index"] == 0
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"5",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"value": NaN}',
        b'{"item_id": "\\ud800", "kind": "view", "document": "product"}',
        b'{"value": 1e999, "item_id": "1", "kind": "view", "document": "product"}',
        b'{"value": %b, "item_id": "1", "kind": "view", "document": "product"}' % (b"9" * 400),
        b'{"position": %b, "item_id": "1", "kind": "view", "document": "product"}' % (b"9" * 5000),
    ],
)
def test_a_body_that_makes_no_sense_is_a_bad_request(catalogue: Site, body: bytes) -> None:
    response = Client().generic("POST", URL, body, content_type="application/json")
    assert response.status_code == 400, response.content
    assert response.headers["Content-Type"] == "application/problem+json"


def test_an_error_repeats_text_that_utf_8_cannot_write(catalogue: Site, api: APIClient) -> None:
    wrong = event(catalogue, kind="\ud800"), event(catalogue, **{"\ud800": 1})
    response = api.generic(
        "POST", URL, json.dumps([event(catalogue), *wrong]), content_type="application/json"
    )
    assert response.json()["stored"] == 1
    assert len(response.json()["errors"]) == 2


def test_a_body_that_is_too_large_is_refused(catalogue: Site, api: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_problem(api.post(URL, event(catalogue, item_id="x" * 1000), format="json"), 413, "too_large")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    assert api.post(URL, event(catalogue), format="json").status_code == 202


def test_forms_are_no_json(catalogue: Site, api: APIClient) -> None:
    assert_problem(api.post(URL, event(catalogue)), 415, "unsupported_media_type")


def test_an_empty_list_is_fine(catalogue: Site, api: APIClient) -> None:
    response = api.post(URL, [], format="json")
    assert response.status_code == 202
    assert response.json()["stored"] == 0


def test_at_most_five_hundred_events_come_at_once(catalogue: Site, api: APIClient) -> None:
    assert_problem(api.post(URL, [event(catalogue)] * 501, format="json"), 400, "invalid_request")
    assert api.post(URL, [event(catalogue)] * 500, format="json").json()["stored"] == 500


def test_many_events_take_few_queries(
    catalogue: Site, customer_api: APIClient, django_assert_max_num_queries: Any
) -> None:
    """Session, user, consent, the items, the known ids, the insert and its savepoint."""
    sent = [event(catalogue, event_id=str(number)) for number in range(200)]
    with django_assert_max_num_queries(9):
        assert customer_api.post(URL, sent, format="json").json()["stored"] == 200


def test_who_has_refused_is_not_recorded(catalogue: Site, customer: User, customer_api: APIClient) -> None:
    privacy.set_consent(str(customer.pk), granted=False)
    body = customer_api.post(URL, event(catalogue), format="json").json()
    assert (body["stored"], body["refused"]) == (0, 1)
    assert not Interaction.objects.exists()


def test_where_consent_is_asked_first_a_stranger_gets_no_key(
    catalogue: Site, api: APIClient, settings: Any
) -> None:
    for mode in ("opt-in", "off"):
        settings.LLMREC = {**settings.LLMREC, "CONSENT": mode}
        response = api.post(URL, event(catalogue), format="json")
        assert response.json()["refused"] == 1
        assert "llmrec_visitor" not in response.cookies
    assert not Interaction.objects.exists()


def test_switched_off_nothing_is_recorded(catalogue: Site, api: APIClient, settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "ENABLED": False}
    response = api.post(URL, event(catalogue), format="json")
    assert response.json()["stored"] == 0
    assert "llmrec_visitor" not in response.cookies


def test_staff_and_crawlers_are_left_out(catalogue: Site, staff_api: APIClient, api: APIClient) -> None:
    assert staff_api.post(URL, event(catalogue), format="json").json()["refused"] == 1
    for agent in ("Mozilla/5.0 (compatible; Googlebot/2.1)", "ExampleCrawler"):
        response = api.post(URL, event(catalogue), format="json", headers={"User-Agent": agent})
        assert response.json()["refused"] == 1
    assert not Interaction.objects.exists()


def test_a_telephone_by_cubot_is_no_crawler(catalogue: Site, api: APIClient) -> None:
    response = api.post(URL, event(catalogue), format="json", headers={"User-Agent": "Android; CUBOT X30"})
    assert response.json()["stored"] == 1


def test_a_session_needs_the_csrf_token(catalogue: Site, customer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(customer)
    sent = json.dumps(event(catalogue))
    refused = client.post(URL, sent, content_type="application/json")
    assert_problem(refused, 403, "permission_denied")
    client.cookies["csrftoken"] = "a" * 32
    headers = {"X-CSRFToken": "a" * 32}
    assert client.post(URL, sent, content_type="application/json", headers=headers).status_code == 202


def test_a_visitor_needs_no_csrf_token(catalogue: Site) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(URL, json.dumps(event(catalogue)), content_type="application/json")
    assert response.json()["stored"] == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["item_id", "document", "kind", "value", "at", "event_id", "request_id", "position", "user_key"]
)


@pytest.mark.usefixtures("unthrottled")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=VALUES | st.dictionaries(FIELDS, VALUES) | st.lists(st.dictionaries(FIELDS, VALUES), max_size=3))
def test_no_body_at_all_makes_the_server_fail(catalogue: Site, sent: Any) -> None:
    if isinstance(sent, dict):
        sent = {"document": "product", "item_id": catalogue.key("Candle"), "kind": "view", **sent}
    response = APIClient().generic("POST", URL, json.dumps(sent), content_type="application/json")
    assert response.status_code in (202, 400)


def test_a_kind_that_the_site_declares_is_taken_and_an_unknown_one_answered_with_the_nearest(
    catalogue: Site, customer_api: APIClient
) -> None:
    assert customer_api.post(URL, event(catalogue, kind="like"), format="json").json()["stored"] == 1
    body = assert_problem(
        customer_api.post(URL, event(catalogue, kind="lick"), format="json"), 400, "invalid_request"
    )
    assert '"lick" is no kind of event. Did you mean "' in body["detail"]
    assert "view, click, cart, purchase, enrol, rating, dismiss, like" in body["detail"]


def test_a_kind_that_browsers_may_not_send_comes_from_the_site_alone(
    catalogue: Site, customer_api: APIClient
) -> None:
    register_event_kind(EventKind(name="lesson", label="finished", weight=4.0, from_browsers=False))
    try:
        refused = customer_api.post(URL, event(catalogue, kind="lesson"), format="json")
        assert "lesson" not in assert_problem(refused, 400, "invalid_request")["detail"].partition("Known")[2]
        given = event(catalogue, kind="lesson")
        assert interactions.record(user_key="7", **given)
    finally:
        event_kinds.unregister("lesson")


def test_what_the_sites_own_rows_tell_is_nobody_elses_word(
    catalogue: Site, customer_api: APIClient, settings: Any
) -> None:
    def sends(kind: str, document: str = "product") -> Any:
        item = catalogue.key("Candle") if document == "product" else catalogue.courses["Linear algebra"].pk
        sent = {"document": document, "item_id": str(item), "kind": kind}
        return customer_api.post("/api/interactions/", sent, format="json")

    refused = sends("purchase")
    assert refused.status_code == 400
    assert refused.json()["parameter"] == "kind"
    assert "hostapp.orderline" in refused.json()["detail"]
    assert sends("purchase", "course").json()["stored"] == 1  # no rows of the site tell that
    settings.LLMREC = {**settings.LLMREC, "BROWSER_KINDS": ["view", "purchase"]}
    assert sends("purchase").json()["stored"] == 1
    assert sends("cart").status_code == 400


def test_three_hundred_visitors_of_one_address_are_one(site: Site, settings: Any) -> None:
    def views(title: str, address: str, **headers: str) -> None:
        sent = {"document": "product", "item_id": site.key(title), "kind": "view"}
        response = APIClient(REMOTE_ADDR=address, headers=headers).post(
            "/api/interactions/", sent, format="json"
        )
        assert response.json()["stored"] == 1

    for number in range(20):
        views("Candle", f"8.8.4.{number}")
        views("Tea cup", "127.0.0.1", **{"X-Forwarded-For": f"{number}.1.1.1, 9.9.9.9"})
        views("Flower pot", "10.0.0.1", **{"X-Forwarded-For": f"8.9.{number}.7"})
        views("Red cushion", f"2600:{number}::1")
    assert Interaction.objects.values("user_key").distinct().count() == 80
    told = {
        found.title: found.reasons
        for found in recommendations.recommend("trending", document="product", limit=12).results
    }
    assert told["Flower pot"] == told["Red cushion"] == ("Viewed 20 times this week",)
    assert told["Candle"] == told["Tea cup"] == ()
