"""Events and profiles in the admin: what is used of a user, and nothing of who refused."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Interaction
from llmrec_plugin.services import privacy
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.admin.test_experiments import words
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

PROFILE = "admin:llmrec_plugin_interaction_profile"
LISTS = ("admin:llmrec_plugin_interaction_changelist", "admin:llmrec_plugin_impression_changelist")


def test_a_profile_says_what_counts_and_what_was_done(editor: Client) -> None:
    products = open_shop()
    did("u7", "purchase", [products["steel garden hose"]])
    did("u7", "dismiss", [products["steel desk lamp"]])
    assert f"{reverse(PROFILE)}?user=u7" in editor.get(reverse(LISTS[0])).text
    page = words(editor.get(reverse(PROFILE), {"user": "u7"}))
    assert "Has not been asked" in page
    counts, events = page.split("Latest events")
    assert "steel garden hose" in counts
    assert "steel desk lamp" not in counts.split("What counts")[1]
    assert "dismissed steel desk lamp" in events


def test_nothing_of_who_refused_is_browsed(editor: Client) -> None:
    products = open_shop()
    did("who-refused", "purchase", [products["steel garden hose"]])
    search(SearchRequest(document="product", text="a very private query", user_key="who-refused"))
    privacy.set_consent("who-refused", granted=False)
    for name in LISTS:
        page = editor.get(reverse(name)).text
        assert "who-refused" not in page
        assert "private" not in page
    page = words(editor.get(reverse(PROFILE), {"user": "who-refused"}))
    assert "Has refused to be remembered. Nothing is known or used of this user." in page
    assert "steel garden hose" not in page
    event = Interaction.objects.get()
    gone = editor.get(reverse("admin:llmrec_plugin_interaction_change", args=[event.pk]))
    assert gone.status_code == 302  # to the front page, as for a row that is not there


def test_a_stranger_and_an_empty_form(editor: Client, client: Client) -> None:
    privacy.set_consent("u9", granted=True)
    page = words(editor.get(reverse(PROFILE), {"user": "u9"}))
    assert "Has agreed to being remembered." in page
    assert "No event of this user is kept." in page
    assert "Type the key of a user" in words(editor.get(reverse(PROFILE)))
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.get(reverse(PROFILE)).status_code == 403
