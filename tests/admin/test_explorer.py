"""Looking before saving: the query explorer, previews in the forms, and the way back to earlier values."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import (
    Configuration,
    ConfigurationChange,
    Impression,
    ModelVersion,
    Placement,
    Rule,
)
from llmrec_plugin.services import privacy, recommendations
from llmrec_plugin.services.explorer import comparison
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides
from llmrec_plugin.services.search import search
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

EXPLORER = "admin:llmrec_plugin_exploration_changelist"
HOSE = ListQuery(document="product", text="steel garden hose")


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def titles(look: comparison.ListPreview) -> list[str]:
    return [place.item.title for place in look.positions]


def explored(client: Client, **values: Any) -> list[list[str]]:
    response = client.get(reverse(EXPLORER), {"document": "product", "list": "search", **values})
    assert response.status_code == 200
    assert response.context["form"].errors == {}
    return [titles(side.preview) for side in response.context["sides"]]


def live() -> ServingOverrides:
    return ServingOverrides(configuration=Configuration.current())


# looks


def test_a_look_is_what_visitors_see_and_leaves_no_trace(shop: dict[str, Product]) -> None:
    seen = [item.title for item in search(SearchRequest(document="product", text=HOSE.text)).results[:10]]
    Impression.objects.all().delete()
    assert titles(comparison.preview(HOSE, live())) == seen
    latest = comparison.preview(ListQuery(document="product", list="latest"), live())
    assert titles(latest) == [
        item.title for item in recommendations.recommend("latest", document="product", limit=10).results
    ]
    assert Impression.objects.count() == 1  # of the recommendation just asked for


def test_two_lists_say_where_each_item_stands_on_the_other_side(shop: dict[str, Product]) -> None:
    pinned = shop["wooden ink bottle"]
    rule = Rule(name="ink", document="product", action="pin", items=[str(pinned.pk)])
    before, after = comparison.compare(
        HOSE, live(), ServingOverrides(configuration=Configuration.current(), rules=[rule])
    )
    assert titles(after)[0] == "wooden ink bottle"
    first, second = after.positions[0], after.positions[1]
    assert (second.item.title, second.other, second.moved) == (titles(before)[0], 1, -1)
    assert first.moved == (first.other or 1) - 1
    assert first.contributions[0].title == "ink"
    assert max(part.share for place in after.positions for part in place.contributions) == pytest.approx(1.0)
    assert titles(comparison.preview(HOSE, live())) == titles(before)  # tried, not in effect


def test_what_cannot_be_answered_is_said(shop: dict[str, Product]) -> None:
    assert "has no live index" in comparison.preview(ListQuery(document="course", text="x"), live()).error
    assert (
        "There is no placement" in comparison.preview(ListQuery(document="product", list="x"), live()).error
    )
    gone = ServingOverrides(configuration=Configuration.current(), model_version=99)
    assert "99" in comparison.preview(HOSE, gone).error
    about = comparison.preview(ListQuery(document="product", list="similar"), live())
    assert "has no item" in about.error


# explorer


def test_the_explorer_shows_a_list_as_a_user_sees_it(editor: Client, shop: dict[str, Product]) -> None:
    user = User.objects.create_user("gardener")
    did(str(user.pk), "purchase", [shop["steel garden hose"]])
    mine, strangers = explored(editor, list="for-you", user="gardener", against="stranger")
    assert mine != strangers
    assert "steel garden hose" not in mine
    assert explored(editor, list="for-you", user=str(user.pk)) == [mine]
    privacy.set_consent(str(user.pk), granted=False)
    assert explored(editor, list="for-you", user="gardener") == [strangers]


def test_it_compares_models_rules_and_configurations(editor: Client, shop: dict[str, Product]) -> None:
    for user in range(12):
        did(f"g{user}", "purchase", [shop["steel garden hose"], shop["steel lawn mower"]])
    model_fit.fit("product")
    model = ModelVersion.objects.get()
    both = explored(
        editor, list="also-bought", item=str(shop["steel garden hose"].pk), against=f"model:{model.pk}"
    )
    assert both[0] == both[1]
    draft = Rule.objects.create(
        name="ink", document="product", action="pin", items=[str(shop["wooden ink bottle"].pk)], enabled=False
    )
    now, then = explored(editor, q="hose", against=f"rule:{draft.pk}")
    assert (now[0] == "wooden ink bottle", then[0]) == (False, "wooden ink bottle")
    draft.enabled = True
    draft.save()
    now, without = explored(editor, q="hose", against="rules")
    assert (now[0], without[0] == "wooden ink bottle") == ("wooden ink bottle", False)
    Configuration(text_weight=1.0).save()
    change = ConfigurationChange.objects.last()
    assert change is not None
    now, then = explored(editor, q="hose", against=f"change:{change.pk}")
    assert len(now) < len(then)  # words alone find less than words and meaning


def test_scores_are_told_in_plain_words(editor: Client, shop: dict[str, Product]) -> None:
    Rule.objects.create(
        name="more ink", document="product", action="boost", items=[str(shop["wooden ink bottle"].pk)]
    )
    did("7", "view", [shop["steel garden hose"]])
    values = {"document": "product", "list": "search", "q": "ink bottle", "user": "7"}
    page = editor.get(reverse(EXPLORER), values).content.decode()
    for words in (
        "words of the query",
        "meaning",
        "rule: “more ink”",
        "taste of the user: “steel garden hose”",
    ):
        assert words in page
    assert 'class="up"' in page


def test_it_tells_which_past_items_moved_a_result_and_shows_the_list_without_one(
    editor: Client, shop: dict[str, Product]
) -> None:
    did("7", "view", [shop["steel garden hose"], shop["steel desk lamp"]])
    values = {"document": "product", "list": "for-you", "user": "7"}
    page = editor.get(reverse(EXPLORER), values)
    assert "Which past items of the user moved it" in page.content.decode()
    hose = f"without:{shop['steel garden hose'].pk}"
    assert f"against={hose.replace(':', '%3A')}" in page.content.decode()
    mine, without = explored(editor, **values, against=hose)
    places = [
        one.index("wooden garden hose") if "wooden garden hose" in one else 10 for one in (mine, without)
    ]
    assert places[0] < places[1]
    preview = editor.get(reverse(EXPLORER), {**values, "user": ""}).content.decode()
    assert "Which past items" not in preview  # nothing is known of a stranger
    strange = editor.get(reverse(EXPLORER), {**values, "user": "8", "against": hose})
    assert strange.context["form"].errors.keys() == {"against"}  # of their past that is not


def test_only_who_may_look_does(client: Client, shop: dict[str, Product]) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(EXPLORER)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_exploration"))
    assert client.get(reverse(EXPLORER)).status_code == 200
    response = client.get(reverse(EXPLORER), {"document": "nothing"})
    assert response.status_code == 200
    assert response.context["form"].errors.keys() == {"document"}


# previews


def configuration_form(**values: Any) -> dict[str, Any]:
    row = Configuration(**values)
    data = {name: getattr(row, name) for name in Configuration.tunable()}
    data |= {f"kind_weights_{kind}": weight for kind, weight in data.pop("kind_weights").items()}
    return {name: value for name, value in data.items() if value is not False}


def test_values_are_previewed_before_they_are_saved(editor: Client, shop: dict[str, Product]) -> None:
    address = reverse("admin:llmrec_plugin_configuration_change", args=[1])
    editor.get(reverse("admin:llmrec_plugin_configuration_changelist"))
    asked = {"preview-document": "product", "preview-queries": "hose\nlamp", "_preview": "1"}
    response = editor.post(address, configuration_form(text_weight=1.0) | asked)
    assert response.status_code == 200
    compared = response.context["compared"]
    assert [one.title for one in compared] == ["“hose”", "“lamp”", "for-you"]
    now, then = compared[0].sides
    assert len(then.preview.positions) < len(now.preview.positions)
    assert "Nothing is saved yet." in response.content.decode()
    assert Configuration.current().text_weight == 0.5
    assert response.context["adminform"].form["text_weight"].value() == "1.0"
    assert editor.post(address, configuration_form(text_weight=1.0)).status_code == 302
    assert Configuration.current().text_weight == 1.0


def test_wrong_values_are_not_previewed(editor: Client, shop: dict[str, Product]) -> None:
    editor.get(reverse("admin:llmrec_plugin_configuration_changelist"))
    address = reverse("admin:llmrec_plugin_configuration_change", args=[1])
    response = editor.post(address, configuration_form(text_weight=3.0) | {"_preview": "1"})
    assert "compared" not in response.context
    assert "less than or equal to 1" in response.content.decode()


def test_a_rule_is_previewed_by_its_phrases_and_placements(editor: Client, shop: dict[str, Product]) -> None:
    data = {
        "name": "ink",
        "document": "product",
        "priority": 100,
        "action": "pin",
        "items": "wooden ink bottle",
        "place": 1,
        "strength": 0.5,
        "match": "contains",
        "phrases": "hose",
        "placements": ["search", "latest"],
        "audience": "everybody",
        "_preview": "1",
    }
    response = editor.post(reverse("admin:llmrec_plugin_rule_add"), data)
    hose, latest = response.context["compared"]
    assert (hose.title, latest.title) == ("“hose”", "latest")
    assert titles(hose.sides[1].preview)[0] == "wooden ink bottle"
    assert titles(hose.sides[0].preview)[0] != "wooden ink bottle"
    assert Rule.objects.count() == 0


def test_a_placement_is_previewed_as_a_user(editor: Client, shop: dict[str, Product]) -> None:
    data = {"name": "home", "enabled": "on", "type": "latest", "document": "product", "limit": 3, "fresh": 0}
    data |= {"filters": "category=desk", "preview-user": "7", "_preview": "1"}
    did("7", "dismiss", [shop["wooden ink bottle"]])
    response = editor.post(reverse("admin:llmrec_plugin_placement_add"), data)
    (then,) = response.context["compared"][0].sides  # there is nothing of that name yet
    assert "wooden ink bottle" not in titles(then.preview)
    assert all(
        "desk" in title or "pen" in title or "chair" in title or "tray" in title or "ink" in title
        for title in titles(then.preview)
    )
    assert Placement.objects.count() == 0


def test_only_who_may_explore_previews_as_somebody(client: Client, shop: dict[str, Product]) -> None:
    did("7", "dismiss", [shop["wooden ink bottle"]])
    user = User.objects.create_user("editor", is_staff=True)
    client.force_login(user)
    user.user_permissions.add(Permission.objects.get(codename="add_placement"))
    data = {"name": "home", "enabled": "on", "type": "latest", "document": "product", "limit": 3, "fresh": 0}
    data |= {"preview-user": "7", "_preview": "1"}
    for may_explore in (False, True):
        response = client.post(reverse("admin:llmrec_plugin_placement_add"), data)
        (then,) = response.context["compared"][0].sides
        assert ("wooden ink bottle" in titles(then.preview)) is not may_explore
        user.user_permissions.add(Permission.objects.get(codename="view_exploration"))


# the way back


def test_each_change_is_on_record_and_can_be_undone(editor: Client, shop: dict[str, Product]) -> None:
    address = reverse("admin:llmrec_plugin_configuration_change", args=[1])
    editor.get(reverse("admin:llmrec_plugin_configuration_changelist"))
    for weight in (0.9, 0.2, 0.2):
        assert editor.post(address, configuration_form(text_weight=weight)).status_code == 302
    assert [one.values["text_weight"] for one in ConfigurationChange.objects.all()] == [0.2, 0.9, 0.5]
    assert [one.by for one in ConfigurationChange.objects.all()] == ["editor", "editor", ""]
    page = editor.get(reverse("admin:llmrec_plugin_configurationchange_changelist")).content.decode()
    assert "weight of words: 0.9 → 0.2" in page
    first = ConfigurationChange.objects.last()
    assert first is not None
    restore = reverse("admin:llmrec_plugin_configurationchange_restore", args=[first.pk])
    response = editor.get(restore, {"preview-document": "product", "preview-queries": "hose"})
    assert response.context["differences"] == [("weight of words", 0.2, 0.5)]
    assert [one.title for one in response.context["compared"]] == ["“hose”", "for-you"]
    assert editor.post(restore).status_code == 302
    assert Configuration.current().text_weight == 0.5
    assert ConfigurationChange.objects.count() == 4
    assert "nothing to go back to" in editor.get(restore).content.decode()


def test_only_who_may_change_values_goes_back(client: Client) -> None:
    Configuration(text_weight=0.9).save()
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_configurationchange"))
    client.force_login(user)
    assert client.get(reverse("admin:llmrec_plugin_configurationchange_changelist")).status_code == 200
    pk = ConfigurationChange.objects.last().pk  # type: ignore[union-attr]
    restore = reverse("admin:llmrec_plugin_configurationchange_restore", args=[pk])
    assert client.post(restore).status_code == 403
    assert Configuration.current().text_weight == 0.9


def test_a_value_that_there_is_no_more_is_left_out(editor: Client) -> None:
    change = ConfigurationChange.objects.create(values={"text_weight": 0.3, "former_field": 1})
    restore = reverse("admin:llmrec_plugin_configurationchange_restore", args=[change.pk])
    assert editor.post(restore).status_code == 302
    assert Configuration.current().text_weight == 0.3
