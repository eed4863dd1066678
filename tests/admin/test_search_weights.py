"""Learned weights of search in the admin: to be seen, and no rival of what an editor sets themselves."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Configuration, SearchWeightRun
from llmrec_plugin.services.search_quality import weight_learning
from tests.admin.test_admin import form_data
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

CONFIGURATION = reverse("admin:llmrec_plugin_configuration_change", args=[1])


def configured() -> Configuration:
    entry = {"encoder_id": "some", "text_weight": 0.3, "taste_weight": 0.1}
    Configuration(search_weights={"product": entry}).save()
    return Configuration.current()


def test_the_configuration_shows_what_was_learned_and_how(editor: Client) -> None:
    open_shop()
    choice = weight_learning.learn_search_weights("product", by="ada")
    configured()
    page = editor.get(CONFIGURATION).text
    assert "product: weight of words 0.30, strength of personal taste in search 0.10" in page
    choices = reverse("admin:llmrec_plugin_searchweightrun_changelist")
    assert choices in page
    assert "0 of 50 judged queries" in editor.get(choices).text
    one = reverse("admin:llmrec_plugin_searchweightrun_change", args=[choice.pk])
    assert "newest_judgment" in editor.get(one).text
    assert SearchWeightRun.objects.count() == 1


def test_a_weight_that_an_editor_turns_counts_from_then_on(editor: Client) -> None:
    before = configured()
    changed = form_data(before) | {"text_weight": 0.9}
    response = editor.post(CONFIGURATION, changed, follow=True)
    assert "Your own weights of search count from now on" in response.text
    after = Configuration.current()
    assert not after.search_learned
    assert after.for_search("product", "some").text_weight == 0.9
    assert after.search_weights == before.search_weights


def test_other_changes_leave_learning_on_and_the_box_brings_it_back(editor: Client) -> None:
    before = configured()
    editor.post(CONFIGURATION, form_data(before) | {"candidates": 100})
    assert Configuration.current().for_search("product", "some").text_weight == 0.3
    off = form_data(Configuration.current()) | {"text_weight": 0.9}
    del off["search_learned"]
    editor.post(CONFIGURATION, off)
    assert Configuration.current().for_search("product", "some").text_weight == 0.9
    editor.post(CONFIGURATION, form_data(Configuration.current()) | {"search_learned": "on"})
    assert Configuration.current().for_search("product", "some").text_weight == 0.3


def test_without_anything_learned_it_says_so(editor: Client) -> None:
    editor.get(reverse("admin:llmrec_plugin_configuration_changelist"))
    assert "none so far" in editor.get(CONFIGURATION).text
