"""What belongs to one visitor is shown to no other, whichever id, cursor or key the other presents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from llmrec_plugin.models import Impression, Interaction
from llmrec_plugin.visitors import HEADER
from tests.api.conftest import Site, assert_problem

OWNERS = ("customer", "visitor")
OTHERS = ("another user", "another visitor", "nobody", "staff")
LISTS = (
    "/api/search/?document=product&limit=2",
    "/api/recommendations/latest/?document=product&limit=2",
    "/api/items/product/{item}/similar/?limit=2",
    "/api/items/product/{item}/also-bought/?limit=2",
)
"""Everything that answers with a list; the first two go on over pages in this shop."""


def known_visitor(site: Site) -> APIClient:
    """Somebody without an account, who has done something and carries a key."""
    client = APIClient()
    assert act(client, site).json()["stored"] == 1
    return client


def act(client: APIClient, site: Site, **fields: Any) -> Any:
    event = {"document": "product", "item_id": site.key("Tea cup"), "kind": "view", **fields}
    return client.post("/api/interactions/", event, format="json")


def logged_in(name: str, **fields: Any) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.create_user(name, **fields))
    return client


@pytest.fixture(params=OWNERS)
def owner(request: pytest.FixtureRequest, site: Site, customer_api: APIClient) -> APIClient:
    """Who has acted once."""
    if request.param == "visitor":
        return known_visitor(site)
    assert act(customer_api, site).json()["stored"] == 1
    return customer_api


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest, site: Site) -> APIClient:
    """Who has nothing to do with the owner."""
    makers: dict[str, Callable[[], APIClient]] = {
        "another user": lambda: logged_in("other"),
        "another visitor": lambda: known_visitor(site),
        "nobody": APIClient,
        "staff": lambda: logged_in("staff", is_staff=True),
    }
    return makers[request.param]()


@pytest.mark.parametrize("path", LISTS[:2])
def test_the_cursor_of_another_is_not_found(
    owner: APIClient, other: APIClient, path: str, site: Site
) -> None:
    following = owner.get(path).json()["next"]
    for address in (following, f"{following}&explain=0"):
        body = assert_problem(other.get(address), 404, "not_found", "cursor")
        assert "results" not in body
    assert owner.get(following).status_code == 200


def test_what_is_kept_about_another_is_not_told(owner: APIClient, other: APIClient) -> None:
    owners_key = owner.get("/api/me/").json()["user_key"]
    before = owner.get("/api/me/export/").json()
    summary, export = other.get("/api/me/").json(), other.get("/api/me/export/").json()
    assert owners_key not in (summary["user_key"], export["user_key"])
    assert before["interactions"]
    assert [event for event in export["interactions"] if event in before["interactions"]] == []
    other.put("/api/me/consent/", {"granted": False}, format="json")
    other.delete("/api/me/")
    assert owner.get("/api/me/export/").json() == before


def test_the_list_of_another_is_neither_seen_nor_clicked(
    owner: APIClient, other: APIClient, site: Site
) -> None:
    request_id = owner.get(LISTS[0]).json()["request_id"]
    told = other.post("/api/impressions/", {"request_id": request_id, "seen": 1}, format="json")
    assert told.json() == {"noted": 0}
    assert Impression.objects.get(pk=request_id).seen is None
    act(other, site, request_id=request_id, position=0)
    assert not Interaction.objects.filter(request_id=request_id).exists()
    act(owner, site, request_id=request_id, position=0)
    assert Interaction.objects.get(request_id=request_id).position == 0


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["customer_api", "api"])
def test_only_staff_is_told_what_a_score_is_made_of(
    site: Site, request: pytest.FixtureRequest, staff_api: APIClient, name: str, path: str
) -> None:
    address = path.format(item=site.key("Red kettle")) + "&explain=1"
    assert_problem(request.getfixturevalue(name).get(address), 403, "permission_denied")
    assert staff_api.get(address).status_code == 200


def test_a_user_who_presents_the_key_of_a_visitor_stays_who_he_is(site: Site) -> None:
    visitor = known_visitor(site)
    key = visitor.cookies["llmrec_visitor"].value
    thief = logged_in("thief")
    answer = thief.get("/api/me/", headers={HEADER: key}).json()
    assert (answer["user_key"], answer["interactions"]) == (str(User.objects.get(username="thief").pk), 0)


@pytest.mark.parametrize("header", ["{pk}", "anon:{pk}", "{name}", "anon:{name}"])
def test_a_key_is_worth_nothing_without_its_signature(
    site: Site, customer: User, customer_api: APIClient, header: str
) -> None:
    act(customer_api, site)
    name = known_visitor(site).get("/api/me/").json()["user_key"]
    answer = APIClient().get("/api/me/", headers={HEADER: header.format(pk=customer.pk, name=name)}).json()
    assert (answer["user_key"], answer["interactions"]) == (None, 0)
