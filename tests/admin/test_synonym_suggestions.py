"""Suggested synonyms on the editors' page: evidence to read, one click to decide, a log of who did."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Synonym, SynonymSuggestion

pytestmark = pytest.mark.django_db


def synonyms_page() -> str:
    return reverse("admin:llmrec_plugin_synonym_changelist")


def decide(row: SynonymSuggestion, decision: str) -> str:
    return reverse("admin:llmrec_plugin_synonym_decide", args=[row.pk, decision])


@pytest.fixture
def suggestion(db: None) -> SynonymSuggestion:
    return SynonymSuggestion.objects.create(
        document="product",
        kind="one-way",
        words="luminaire",
        found="lamp",
        visitors=12,
        evidence={
            "reasons": ["reworded", "same items"],
            "examples": [["luminaire", "lamp", 12]],
            "preview": [{"query": "luminaire", "before": 0, "after": 7, "new": 7}],
        },
    )


def test_editors_see_the_evidence_and_what_it_would_change(
    editor: Client, suggestion: SynonymSuggestion
) -> None:
    page = editor.get(synonyms_page()).text
    assert "luminaire → lamp" in page
    assert "searched in other words" in page
    assert "“luminaire”, “lamp”: 12 visitors" in page
    assert "“luminaire” finds 7 instead of 0, of the first ten 7 new" in page
    assert "Suggested by" not in editor.get(reverse("admin:llmrec_plugin_rule_changelist")).text


def test_one_click_makes_a_synonym_of_it_and_the_log_says_who(
    editor: Client, suggestion: SynonymSuggestion
) -> None:
    response = editor.post(decide(suggestion, "accept"), follow=True)
    assert "is in effect from the next search on" in response.text
    row = Synonym.objects.get()
    assert (row.kind, row.words, row.found, row.document) == ("one-way", "luminaire", "lamp", "product")
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id, entry.is_addition()) == ("editor", str(row.pk), True)
    assert "Suggested by" not in response.text
    assert "decided on" in editor.post(decide(suggestion, "dismiss"), follow=True).text
    assert Synonym.objects.count() == 1


def test_one_click_dismisses_it_and_the_log_says_who(editor: Client, suggestion: SynonymSuggestion) -> None:
    assert "will not be suggested again" in editor.post(decide(suggestion, "dismiss"), follow=True).text
    assert not Synonym.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.change_message) == ("editor", "Dismissed.")
    listed = editor.get(reverse("admin:llmrec_plugin_synonymsuggestion_changelist")).text
    assert "dismissed" in listed
    one = reverse("admin:llmrec_plugin_synonymsuggestion_change", args=[suggestion.pk])
    assert "reworded" in editor.get(one).text


def test_deciding_needs_a_post_a_known_word_and_the_permission(
    client: Client, suggestion: SynonymSuggestion
) -> None:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_synonym"))
    client.force_login(user)
    page = client.get(synonyms_page()).text
    assert "luminaire → lamp" in page
    assert "Dismiss" not in page
    assert client.post(decide(suggestion, "accept")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="add_synonym"))
    assert client.get(decide(suggestion, "accept")).status_code == 405
    assert client.post(decide(suggestion, "perhaps")).status_code == 404
    suggestion.refresh_from_db()
    assert suggestion.state == "open"
