"""Rules as editors write them: in words they know, checked at once, compared with each other, and logged."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import Rule
from llmrec_plugin.services.curation.rule_conflicts import may_meet
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

ADD = "admin:llmrec_plugin_rule_add"
LIST = "admin:llmrec_plugin_rule_changelist"


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def form(**values: Any) -> dict[str, Any]:
    data = {
        "name": "lamps first",
        "document": "product",
        "enabled": "on",
        "priority": 100,
        "action": "pin",
        "items": "",
        "item_filters": "",
        "place": 1,
        "strength": 0.5,
        "match": "any",
        "phrases": "",
        "list_filters": "",
        "audience": "everybody",
    }
    return data | values


def errors(client: Client, **values: Any) -> str:
    response = client.post(reverse(ADD), form(**values))
    assert response.status_code == 200
    return str(response.context["errors"])


def stored(**values: Any) -> Rule:
    return Rule.objects.create(**{"name": "other", "document": "product", "action": "pin"} | values)


def test_an_editor_names_items_by_key_or_title_and_the_rule_holds_at_once(
    editor: Client, shop: dict[str, Product]
) -> None:
    lamp, tray = shop["steel desk lamp"], shop["wooden seed tray"]
    data = form(items=f"Steel Desk Lamp\n{tray.pk}\n", match="contains", phrases="Garden\ngarten")
    response = editor.post(reverse(ADD), data)
    assert response.status_code == 302
    rule = Rule.objects.get()
    assert (rule.items, rule.phrases) == ([str(lamp.pk), str(tray.pk)], ["Garden", "garten"])
    found = search(SearchRequest(document="product", text="steel garden hose")).results
    assert [item.title for item in found[:2]] == ["steel desk lamp", "wooden seed tray"]
    page = editor.get(reverse("admin:llmrec_plugin_rule_change", args=[rule.pk])).content.decode()
    assert f"{tray.pk} · wooden seed tray" in page
    log = LogEntry.objects.get(object_id=str(rule.pk))
    assert (log.user.username, log.is_addition()) == ("editor", True)


def test_saved_as_it_was_shown_a_rule_stays_the_same(editor: Client, shop: dict[str, Product]) -> None:
    rule = stored(
        action="boost",
        item_filters={"category": ["desk", "garden"], "price__lt": ["10"]},
        list_filters={"in_stock": ["true"]},
        placements=["search"],
    )
    address = reverse("admin:llmrec_plugin_rule_change", args=[rule.pk])
    shown = editor.get(address).context["adminform"].form
    data = {name: shown[name].value() for name in shown.fields if shown[name].value() is not None}
    assert data["item_filters"] == "category=desk\ncategory=garden\nprice__lt=10"
    assert editor.post(address, data).status_code == 302
    again = Rule.objects.get()
    for field in ("item_filters", "list_filters", "placements", "items", "action", "enabled"):
        assert getattr(again, field) == getattr(rule, field)
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


def test_what_cannot_be_is_refused_with_the_cure(editor: Client, shop: dict[str, Product]) -> None:
    assert "Name either single items or what all of them have" in errors(editor)
    assert "Did you mean one of these?" in errors(editor, items="garden lamp")
    assert "Only single items can be pinned" in errors(editor, item_filters="category=desk")
    assert "Did you mean &quot;category&quot;?" in errors(
        editor, action="hide", item_filters="categorie=desk"
    )
    assert "is not a number" in errors(editor, action="hide", item_filters="price__lt=cheap")
    assert "write field=value" in errors(editor, action="hide", item_filters="desk")
    lamp = shop["steel desk lamp"].pk
    assert "Give the phrases" in errors(editor, items=lamp, match="exact")
    assert "before the beginning" in errors(
        editor,
        items=lamp,
        starts_at_0="2026-09-02",
        starts_at_1="00:00",
        ends_at_0="2026-09-01",
        ends_at_1="00:00",
    )
    assert Rule.objects.count() == 0


def test_without_an_index_only_keys_name_items(editor: Client) -> None:
    product = Product.objects.create(title="lamp")
    assert "write its primary key or its whole title" in errors(editor, items="lamp")
    assert editor.post(reverse(ADD), form(items=product.pk)).status_code == 302


def test_conflicts_are_said_when_saving_in_the_list_and_at_the_rule(
    editor: Client, shop: dict[str, Product]
) -> None:
    lamp, hose = (str(shop[title].pk) for title in ("steel desk lamp", "steel garden hose"))
    stored(name="hoses", items=[hose], place=1, priority=50)
    stored(name="no desk", action="hide", item_filters={"category": ["desk"]})
    response = editor.post(reverse(ADD), form(items=lamp), follow=True)
    said = [str(message) for message in response.context["messages"]]
    assert "Place 1 is wanted by “hoses”, too: “hoses” has it." in said
    assert any("“no desk” and this rule disagree" in text for text in said)
    page = response.content.decode()
    assert page.count("⚠") == 3  # one for each of the others, two for this one
    assert "⚠ 2 conflicts" in page
    change = reverse("admin:llmrec_plugin_rule_change", args=[Rule.objects.get(name="lamps first").pk])
    assert "is wanted by “hoses”" in editor.get(change).content.decode()


def test_an_editor_without_permission_sees_no_rules(client: Client) -> None:
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(LIST)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_rule"))
    stored(items=["1"])
    assert client.get(reverse(LIST)).status_code == 200
    assert client.post(reverse(ADD), form(items="1")).status_code == 403
    page = client.get(reverse("admin:llmrec_plugin_rule_change", args=[Rule.objects.get().pk]))
    assert page.status_code == 200


def test_rules_are_switched_off_and_on_together(editor: Client, shop: dict[str, Product]) -> None:
    rules = [stored(items=[str(shop["steel desk lamp"].pk)]) for _ in range(2)]
    for action, enabled in (("disable", False), ("enable", True)):
        data = {"action": action, "_selected_action": [rule.pk for rule in rules]}
        editor.post(reverse(LIST), data)
        assert set(Rule.objects.values_list("enabled", flat=True)) == {enabled}
        first = search(SearchRequest(document="product", text="hose")).results[0].title
        assert (first == "steel desk lamp") is enabled
    assert LogEntry.objects.count() == 4


def test_the_list_costs_the_same_for_many_rules_as_for_few(
    editor: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    stored(items=["1"], starts_at="2026-02-01T00:00Z")
    assert ">02/01/2026 –<" in editor.get(reverse(LIST)).content.decode()
    with django_assert_num_queries(7):
        editor.get(reverse(LIST))
    for number in range(10):
        stored(items=[str(number)], place=number + 1)
    with django_assert_num_queries(7):
        editor.get(reverse(LIST))


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ({}, {}, True),
        ({"document": "course"}, {}, False),
        ({"placements": ["search"]}, {"placements": ["latest"]}, False),
        ({"placements": ["search"]}, {}, True),
        ({"audience": "anonymous"}, {"audience": "known"}, False),
        ({"audience": "anonymous"}, {"audience": "new"}, True),
        ({"starts_at": "2026-02-01T00:00Z"}, {"ends_at": "2026-01-01T00:00Z"}, False),
        ({"starts_at": "2026-02-01T00:00Z"}, {"ends_at": "2026-03-01T00:00Z"}, True),
        ({"match": "exact", "phrases": ["A"]}, {"match": "exact", "phrases": ["a", "b"]}, True),
        ({"match": "exact", "phrases": ["A"]}, {"match": "exact", "phrases": ["b"]}, False),
        ({"match": "exact", "phrases": ["red lamp"]}, {"match": "contains", "phrases": ["lamp"]}, True),
        ({"match": "exact", "phrases": ["red lamp"]}, {"match": "contains", "phrases": ["hose"]}, False),
        ({"match": "exact", "phrases": ["red lamp"]}, {}, True),
        ({"match": "contains", "phrases": ["a"]}, {"match": "contains", "phrases": ["b"]}, True),
        ({"list_filters": {"category": ["a"]}}, {"list_filters": {"category": ["b"]}}, False),
        ({"list_filters": {"category": ["a"]}}, {"list_filters": {"price": ["1"]}}, True),
    ],
)
def test_rules_meet_where_some_list_is_both_their_business(
    one: dict[str, Any], other: dict[str, Any], meet: bool
) -> None:
    rules = [stored(items=["1"], **values) for values in (one, other)]
    for rule in rules:
        rule.refresh_from_db()
    assert may_meet(*rules) is may_meet(*reversed(rules)) is meet
