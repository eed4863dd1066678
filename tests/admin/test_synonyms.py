"""Synonyms in the admin: saved with a log entry, previewed without a trace."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Impression, Synonym
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

PREVIEW = "admin:llmrec_plugin_synonym_preview"
FIELDS = {
    "kind": "two-way",
    "words": "luminaire\nlamp",
    "found": "",
    "document": "",
    "language": "",
    "enabled": "on",
}


def test_an_editor_adds_a_synonym_and_the_log_says_who(admin_client: Client) -> None:
    url = reverse("admin:llmrec_plugin_synonym_add")
    page = admin_client.get(url).content.decode()
    assert '<option value="product">' in page
    assert '<option value="zh">' in page
    assert admin_client.post(url, FIELDS).status_code == 302
    row = Synonym.objects.get()
    assert (row.words.split(), row.enabled) == (["luminaire", "lamp"], True)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("admin", str(row.pk))
    changelist = admin_client.get(reverse("admin:llmrec_plugin_synonym_changelist")).content.decode()
    assert "luminaire, lamp" in changelist


def test_a_preview_shows_both_lists_and_leaves_no_trace(admin_client: Client) -> None:
    open_shop()
    response = admin_client.post(reverse(PREVIEW), {**FIELDS, "document": "product"})
    page = response.content.decode()
    assert "“luminaire”" in page
    assert "With these synonyms" in page
    assert page.count("steel desk lamp") >= 1
    assert not Synonym.objects.exists()
    assert not Impression.objects.exists()


def test_a_preview_takes_the_search_that_is_given(admin_client: Client) -> None:
    open_shop()
    response = admin_client.post(
        reverse(PREVIEW), {**FIELDS, "document": "product", "preview_query": "wooden luminaire"}
    )
    assert "“wooden luminaire”" in response.content.decode()


def test_a_preview_says_what_is_wrong_with_the_form_and_with_an_index(admin_client: Client) -> None:
    assert "two lines" in admin_client.post(reverse(PREVIEW), {**FIELDS, "words": "one"}).content.decode()
    assert "has no live index" in admin_client.post(reverse(PREVIEW), FIELDS).content.decode()
    assert admin_client.get(reverse(PREVIEW)).status_code == 405


def test_a_preview_needs_the_permission_to_edit(client: Client) -> None:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_synonym"))
    client.force_login(user)
    assert client.post(reverse(PREVIEW), FIELDS).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="change_synonym"))
    assert client.post(reverse(PREVIEW), FIELDS).status_code == 200


def test_a_language_that_is_no_longer_spoken_stays_choosable(admin_client: Client) -> None:
    row = Synonym.objects.create(words="a\nb", language="fr")
    page = admin_client.get(reverse("admin:llmrec_plugin_synonym_change", args=[row.pk])).content.decode()
    assert '<option value="fr" selected>' in page
