"""Keys of visitors: made late, signed, and merged into the user's at login."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.core.signing import Signer
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.test import APIClient

from llmrec_plugin import visitors
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.models import Consent, Impression, Interaction
from llmrec_plugin.services import privacy
from tests.api.conftest import Site


def view(client: APIClient, site: Site, prefix: str = "/api", **headers: str) -> Any:
    sent = {"document": "product", "item_id": site.key("Candle"), "kind": "view"}
    return client.post(f"{prefix}/interactions/", sent, format="json", headers=headers)


def fixed_resolver(request: HttpRequest) -> str:
    return "customer:7"


def blind_resolver(request: HttpRequest) -> str | None:
    return str(request.user.pk) if request.user.is_authenticated else None


def test_a_key_is_made_with_the_first_event_and_kept(catalogue: Site, api: APIClient) -> None:
    first = view(api, catalogue)
    cookie = first.cookies["llmrec_visitor"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert first.headers["X-Llmrec-Visitor"] == cookie.value
    second = view(api, catalogue)
    assert "llmrec_visitor" not in second.cookies
    keys = set(Interaction.objects.values_list("user_key", flat=True))
    assert len(keys) == 1
    assert keys.pop().startswith("anon:")


def test_a_client_without_cookies_sends_the_header_back(catalogue: Site) -> None:
    token = view(APIClient(), catalogue).headers["X-Llmrec-Visitor"]
    assert view(APIClient(), catalogue, **{"X-Llmrec-Visitor": token}).json()["stored"] == 1
    assert len(set(Interaction.objects.values_list("user_key", flat=True))) == 1


@pytest.mark.parametrize(
    "forged",
    ["anon:1", "x", "x:y", Signer(key="another", salt="llmrec_plugin.visitor").sign("victim"), "é:1"],
)
def test_a_forged_key_is_no_key(catalogue: Site, api: APIClient, forged: str) -> None:
    api.cookies["llmrec_visitor"] = forged
    response = view(api, catalogue)
    assert response.json()["stored"] == 1
    assert response.cookies["llmrec_visitor"].value != forged
    assert not Interaction.objects.filter(user_key__contains="victim").exists()


def test_a_forged_header_does_not_hide_the_cookie(catalogue: Site, api: APIClient) -> None:
    view(api, catalogue)
    view(api, catalogue, **{"X-Llmrec-Visitor": "forged:1"})
    assert len(set(Interaction.objects.values_list("user_key", flat=True))) == 1


def test_the_cookie_is_secure_where_the_site_is(catalogue: Site) -> None:
    sent = {"document": "product", "item_id": catalogue.key("Candle"), "kind": "view"}
    response = APIClient().post("/api/interactions/", sent, format="json", secure=True)
    assert response.cookies["llmrec_visitor"]["secure"]


@override_settings(ROOT_URLCONF="tests.api.urls")
def test_what_a_visitor_left_becomes_the_users_at_login(site: Site, customer: User, api: APIClient) -> None:
    view(api, site, "/shop/v1")
    api.get("/shop/v1/search/", {"document": "product", "q": "tea"})
    following = api.get("/shop/v1/search/", {"document": "product", "limit": "2"}).json()["next"]
    response = api.post("/login/", {"username": "customer", "password": "secret"})
    assert response.status_code == 302
    key = str(customer.pk)
    assert list(Interaction.objects.values_list("user_key", flat=True)) == [key]
    assert set(Impression.objects.values_list("user_key", flat=True)) == {key}
    assert api.get("/shop/v1/me/").json()["user_key"] == key
    assert api.get(following).status_code == 200


@override_settings(ROOT_URLCONF="tests.api.urls")
def test_the_users_own_refusal_stands_at_login(catalogue: Site, customer: User, api: APIClient) -> None:
    privacy.set_consent(str(customer.pk), granted=False)
    view(api, catalogue, "/shop/v1")
    api.post("/login/", {"username": "customer", "password": "secret"})
    assert not Interaction.objects.exists()


@override_settings(ROOT_URLCONF="tests.api.urls")
def test_a_visitors_choice_becomes_that_of_a_user_who_made_none(
    catalogue: Site, customer: User, api: APIClient
) -> None:
    api.put("/shop/v1/me/consent/", {"granted": False}, format="json")
    api.post("/login/", {"username": "customer", "password": "secret"})
    assert Consent.objects.get().user_key == str(customer.pk)


def test_logging_in_as_a_stranger_merges_nothing(customer: User, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = customer
    assert visitors.merge_visitor(request, customer) == 0
    APIClient().force_login(customer)


def test_a_login_without_a_request_is_let_be(customer: User) -> None:
    """As a command or a test may send the signal."""
    user_logged_in.send(sender=User, request=None, user=customer)


def test_a_visitor_is_merged_under_the_sites_own_key(
    catalogue: Site, customer: User, api: APIClient, rf: RequestFactory, settings: Any
) -> None:
    view(api, catalogue)
    settings.LLMREC = {**settings.LLMREC, "USER_RESOLVER": f"{__name__}.fixed_resolver"}
    request = rf.get("/")
    request.user = customer
    request.COOKIES["llmrec_visitor"] = api.cookies["llmrec_visitor"].value
    assert visitors.merge_visitor(request, customer) == 1
    assert Interaction.objects.get().user_key == "customer:7"


def test_a_visitor_is_merged_under_the_primary_key_where_the_resolver_knows_nobody(
    catalogue: Site, customer: User, api: APIClient, rf: RequestFactory
) -> None:
    view(api, catalogue)
    request = rf.get("/")
    request.user = AnonymousUser()
    request.COOKIES["llmrec_visitor"] = api.cookies["llmrec_visitor"].value
    assert visitors.merge_visitor(request, customer) == 1
    assert Interaction.objects.get().user_key == str(customer.pk)


def test_a_site_may_say_itself_who_asks(catalogue: Site, api: APIClient, settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "USER_RESOLVER": f"{__name__}.fixed_resolver"}
    assert view(api, catalogue).json()["stored"] == 1
    assert Interaction.objects.get().user_key == "customer:7"


def test_a_site_that_knows_no_visitors_gives_them_no_key(
    catalogue: Site, api: APIClient, settings: Any
) -> None:
    settings.LLMREC = {**settings.LLMREC, "USER_RESOLVER": f"{__name__}.blind_resolver"}
    response = view(api, catalogue)
    assert response.json()["refused"] == 1
    assert "llmrec_visitor" not in response.cookies


def test_a_banner_asks_until_the_visitor_has_answered(db: None) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert visitors.consent_is_open(request)
    key = visitors.ensure_user_key(request)
    assert key is not None
    assert visitors.consent_is_open(request)
    privacy.set_consent(key, granted=False)
    assert not visitors.consent_is_open(request)


def test_nobody_is_asked_where_nothing_is_ever_remembered(db: None) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert not visitors.consent_is_open(request)


class Tokens(BaseAuthentication):
    """As of a site whose clients are apps."""

    def authenticate(self, request: Request) -> None:
        return None


def test_a_session_is_known_where_the_site_names_tokens_alone(
    catalogue: Site, customer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApiView, "authentication_classes", (Tokens,))
    client = APIClient(enforce_csrf_checks=True)
    client.login(username="customer", password="secret")
    assert view(client, catalogue).status_code == 403  # a page of another site knows no token
    client.cookies["csrftoken"] = "a" * 32
    assert view(client, catalogue, **{"X-CSRFToken": "a" * 32}).json()["stored"] == 1
    assert Interaction.objects.get().user_key == str(customer.pk)
