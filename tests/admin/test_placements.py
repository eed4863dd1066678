"""Placements as editors write them: what does not fit is refused with the cure, what fits answers at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Placement
from llmrec_plugin.services import recommendations
from tests.hostapp.models import Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

ADD = "admin:llmrec_plugin_placement_add"


def form(**values: Any) -> dict[str, Any]:
    data = {"name": "home", "enabled": "on", "type": "latest", "document": "product", "limit": 3, "fresh": 0}
    return data | values


def errors(client: Client, **values: Any) -> str:
    response = client.post(reverse(ADD), form(**values))
    assert response.status_code == 200
    return str(response.context["errors"])


def test_a_placement_answers_as_soon_as_it_is_saved(editor: Client) -> None:
    open_shop()
    filters = "category=garden\ncategory=desk\nprice__lt=100"
    response = editor.post(reverse(ADD), form(filters=filters, hide=["view", "cart"], fallback=["trending"]))
    assert response.status_code == 302
    row = Placement.objects.get()
    assert row.filters == {"category": ["garden", "desk"], "price__lt": ["100"]}
    assert (row.hide, row.fallback, row.diversity) == (["view", "cart"], ["trending"], None)
    page = recommendations.recommend("home", limit=100)
    titles = {item.title for item in page.results}
    assert titles == set(
        Product.objects.filter(categories__name__in=["garden", "desk"]).values_list("title", flat=True)
    )


def test_what_cannot_be_is_refused_with_the_cure(editor: Client) -> None:
    assert "Did you mean &quot;category&quot;?" in errors(editor, filters="categorie=garden")
    assert "is not a number" in errors(editor, filters="price__lt=cheap")
    assert "Choose whose items the filters are about" in errors(
        editor, filters="category=garden", document=""
    )
    assert "declare its progression" in errors(editor, type="next")
    assert "Use letters, digits, hyphens" in errors(editor, name="the home page")
    assert "less than or equal to 0.5" in errors(editor, fresh=0.9)
    assert "less than or equal to 1" in errors(editor, diversity=3)
    assert Placement.objects.count() == 0


def test_the_form_of_a_row_shows_it_as_it_was_written(editor: Client) -> None:
    row = Placement.objects.create(
        name="home", type="popular", document="product", filters={"in_stock": ["true"]}, hide=["view"]
    )
    address = reverse("admin:llmrec_plugin_placement_change", args=[row.pk])
    shown = editor.get(address).context["adminform"].form
    data = {name: shown[name].value() for name in shown.fields if shown[name].value() is not None}
    assert editor.post(address, data).status_code == 302
    again = Placement.objects.get()
    for name in ("filters", "hide", "anchor", "fallback", "diversity", "limit", "enabled"):
        assert getattr(again, name) == getattr(row, name)


def test_a_new_row_begins_with_what_the_built_in_lists_leave_out(editor: Client) -> None:
    shown = editor.get(reverse(ADD)).context["adminform"].form
    assert shown["hide"].value() == ["purchase", "enrol"]
    assert editor.get(reverse("admin:llmrec_plugin_placement_changelist")).status_code == 200


def test_who_may_only_look_sees_a_row_and_cannot_change_it(client: Client) -> None:
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_placement"))
    client.force_login(user)
    row = Placement.objects.create(name="home", type="popular", document="product", hide=["view"])
    address = reverse("admin:llmrec_plugin_placement_change", args=[row.pk])
    page = client.get(address)
    assert page.status_code == 200
    assert "_preview" not in page.content.decode()
    assert client.post(address, form(_preview="1")).status_code == 403
