"""me/: what is kept, export, erasure and consent."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from llmrec_plugin.models import Consent, Impression, Interaction
from llmrec_plugin.services import privacy
from tests.api.conftest import Site, assert_problem


def buy(client: APIClient, site: Site, title: str = "Red kettle") -> None:
    sent = {"document": "product", "item_id": site.key(title), "kind": "cart", "event_id": title}
    assert client.post("/api/interactions/", sent, format="json").json()["stored"] == 1


def test_one_sees_what_is_kept(site: Site, customer: User, customer_api: APIClient) -> None:
    buy(customer_api, site)
    customer_api.get("/api/search/", {"document": "product", "q": "tea"})
    assert customer_api.get("/api/me/").json() == {
        "user_key": str(customer.pk),
        "consent": None,
        "personal": True,
        "interactions": 1,
        "impressions": 1,
    }


def test_of_a_stranger_nothing_is_kept(site: Site, api: APIClient) -> None:
    api.get("/api/search/", {"document": "product", "q": "tea"})
    assert api.get("/api/me/").json() == {
        "user_key": None,
        "consent": None,
        "personal": False,
        "interactions": 0,
        "impressions": 0,
    }
    exported = api.get("/api/me/export/").json()
    assert exported == dict.fromkeys(privacy.export_user("7")) | {
        "interactions": [],
        "impressions": [],
        "arm_assignments": [],
        "embeddings": [],
    }
    assert api.delete("/api/me/").json() == {"interactions": 0, "impressions": 0, "consent": False}
    assert Impression.objects.count() == 1


def test_one_takes_everything_along(catalogue: Site, customer: User, customer_api: APIClient) -> None:
    buy(customer_api, catalogue)
    response = customer_api.get("/api/me/export/")
    assert response.headers["Content-Disposition"] == 'attachment; filename="my-data.json"'
    data = response.json()
    assert data["user_key"] == str(customer.pk)
    assert data["interactions"][0]["item_id"] == catalogue.key("Red kettle")


def test_erasure_leaves_nothing_and_touches_nobody_else(
    site: Site, customer: User, customer_api: APIClient, api: APIClient
) -> None:
    buy(customer_api, site)
    buy(api, site)
    customer_api.get("/api/search/", {"document": "product", "q": "tea"})
    assert customer_api.delete("/api/me/").json() == {"interactions": 1, "impressions": 1, "consent": False}
    assert not Interaction.objects.filter(user_key=str(customer.pk)).exists()
    assert Interaction.objects.count() == 1


def test_a_visitor_who_is_erased_loses_the_key(catalogue: Site, api: APIClient) -> None:
    buy(api, catalogue)
    response = api.delete("/api/me/")
    assert response.json()["interactions"] == 1
    assert response.cookies["llmrec_visitor"].value == ""
    assert api.get("/api/me/").json()["user_key"] is None


def test_who_has_refused_stays_refused_after_erasure(
    catalogue: Site, customer: User, customer_api: APIClient
) -> None:
    customer_api.put("/api/me/consent/", {"granted": False}, format="json")
    assert customer_api.delete("/api/me/").json()["consent"] is True
    assert privacy.consent_of(str(customer.pk)) is False


def test_consent_is_given_and_taken_back(catalogue: Site, customer: User, customer_api: APIClient) -> None:
    refused = customer_api.put("/api/me/consent/", {"granted": False}, format="json").json()
    assert (refused["consent"], refused["personal"]) == (False, False)
    agreed = customer_api.put("/api/me/consent/", {"granted": True}, format="json").json()
    assert (agreed["consent"], agreed["personal"]) == (True, True)


def test_a_refusal_by_a_stranger_is_remembered(catalogue: Site, api: APIClient) -> None:
    response = api.put("/api/me/consent/", {"granted": False}, format="json")
    assert response.json()["consent"] is False
    sent = {"document": "product", "item_id": catalogue.key("Candle"), "kind": "view"}
    assert api.post("/api/interactions/", sent, format="json").json()["refused"] == 1


def test_where_consent_is_asked_first_only_agreement_is_kept(
    catalogue: Site, api: APIClient, settings: Any
) -> None:
    settings.LLMREC = {**settings.LLMREC, "CONSENT": "opt-in"}
    refused = api.put("/api/me/consent/", {"granted": False}, format="json")
    assert "llmrec_visitor" not in refused.cookies
    assert not Consent.objects.exists()
    agreed = api.put("/api/me/consent/", {"granted": True}, format="json")
    assert agreed.cookies["llmrec_visitor"].value
    buy(api, catalogue)


def test_where_nothing_is_personal_no_choice_is_kept(catalogue: Site, api: APIClient, settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "CONSENT": "off"}
    response = api.put("/api/me/consent/", {"granted": True}, format="json")
    assert response.json()["personal"] is False
    assert "llmrec_visitor" not in response.cookies


@pytest.mark.parametrize("sent", [{}, {"granted": "perhaps"}, {"granted": None}, [], 5, "true"])
def test_a_choice_is_true_or_false(catalogue: Site, api: APIClient, sent: Any) -> None:
    assert_problem(api.put("/api/me/consent/", sent, format="json"), 400, "invalid_request")


def test_personal_answers_are_not_cached(catalogue: Site, customer_api: APIClient) -> None:
    for path in ("", "export/"):
        response = customer_api.get(f"/api/me/{path}")
        assert "no-store" in response.headers["Cache-Control"]
        assert "private" in response.headers["Cache-Control"]
