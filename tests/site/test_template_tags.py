"""Lists and the reporting script in a site's templates."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import RequestFactory, override_settings
from django.urls import resolve

from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.middleware import VisitorMiddleware
from llmrec_plugin.models import Impression, Placement
from llmrec_plugin.services import indexing, interactions
from llmrec_plugin.shortcuts import search
from llmrec_plugin.visitors import COOKIE
from tests.hostapp.models import Product
from tests.support.serving import open_shop
from tests.support.trials import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def pots() -> list[Product]:
    titles = ("Red pot", "Red pan", "Blue <b>jug</b>", "Grey bowl")
    products = [Product.objects.create(title=title) for title in titles]
    indexing.build("product")
    return products


def drawn(text: str, *, user: Any = None, **values: Any) -> str:
    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    return Template("{% load llmrec %}" + text).render(Context({"request": request, **values}))


def test_a_placement_is_drawn_in_a_line(pots: list[Product]) -> None:
    html = drawn('{% recommend "latest" document="product" limit=3 title="New" %}')
    assert re.findall(r"<li [^>]*>\s*([^<\n]+?)\s*\n", html) == ["Grey bowl", "Blue jug", "Red pan"]
    assert ">New</h2>" in html
    assert re.findall(r'data-llmrec-position="(\d)"', html) == ["0", "1", "2"]
    (request_id,) = set(re.findall(r'data-llmrec-list="([^"]+)"', html))
    assert request_id


def test_a_list_can_be_looped_over_instead(pots: list[Product]) -> None:
    html = drawn(
        "{% similar pot limit=2 as like %}{% for item in like %}[{{ item.title }}]{% endfor %}", pot=pots[0]
    )
    assert html.startswith("[Red pan]")
    template = "{% also_bought pot limit=1 as like %}{{ like|length }} {{ like.objects.0.pk }}"
    assert drawn(template, pot=pots[0])[0] == "1"


def test_a_list_about_an_item_is_as_long_as_its_placement_says(pots: list[Product]) -> None:
    assert drawn("{% similar pot as like %}{{ like|length }}", pot=pots[0]) == "3"
    Placement.objects.create(name="similar", type="similar", limit=2)
    assert drawn("{% similar pot as like %}{{ like|length }}", pot=pots[0]) == "2"
    assert drawn("{% similar pot limit=1 as like %}{{ like|length }}", pot=pots[0]) == "1"


def test_titles_are_escaped(pots: list[Product]) -> None:
    Product.objects.filter(pk=pots[2].pk).update(title="Fish & <chips")
    assert "Fish &amp; &lt;chips" in drawn('{% recommend "latest" "product" %}')


def test_the_list_is_the_visitors_own(pots: list[Product]) -> None:
    user = User.objects.create_user("ada")
    interactions.record(user_key=str(user.pk), document="product", item_id=pots[3].pk, kind="dismiss")
    assert "Grey bowl" in drawn('{% recommend "latest" "product" %}')
    assert "Grey bowl" not in drawn('{% recommend "latest" "product" %}', user=user)
    assert Impression.objects.filter(user_key=str(user.pk)).count() == 1


def test_a_list_that_cannot_be_had_leaves_the_page_standing(settings: Any) -> None:
    Product.objects.create(title="Pot")
    assert drawn('a{% recommend "nowhere" "product" %}b') == "ab"
    settings.DEBUG = True
    with pytest.raises(NotFound, match="nowhere"):
        drawn('{% recommend "nowhere" "product" %}')


def test_a_list_about_an_item_that_visitors_do_not_find_is_left_out_and_told_once(
    pots: list[Product], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = True
    draft = Product.objects.create(title="Draft", is_draft=True)
    with caplog.at_level(logging.INFO, "llmrec_plugin.templatetags"):
        for item in (draft, draft, Product(title="never saved")):
            assert drawn("a{% similar item %}{% also_bought item %}b", item=item) == "ab"
        assert drawn('a{% recommend "similar" "product" item=item %}b', item=draft) == "ab"
    assert caplog.text.count(f'has no item "{draft.pk}"') == 1


def test_a_template_of_the_sites_own_has_the_request(pots: list[Product], tmp_path: Path) -> None:
    (tmp_path / "tile.html").write_text("{{ user.username }} {{ request.path }} {{ list.title }}")
    engine = {**django_settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}
    with override_settings(TEMPLATES=[engine]):
        html = drawn(
            '{% recommend "latest" "product" title="New" template="tile.html" %}', user=User(username="ada")
        )
    assert html.startswith("ada / New")


def test_the_script_finds_the_api_inside_a_namespace(pots: list[Product]) -> None:
    with override_settings(ROOT_URLCONF="tests.site.urls_in_namespace"):
        html = drawn("{% llmrec_script %}")
        assert 'data-interactions="/shop/api/interactions/"' in html
    with override_settings(ROOT_URLCONF="tests.site.urls_of_tenants"):
        request = RequestFactory().get("/acme/api/")
        request.resolver_match = resolve("/acme/page/")
        text = "{% load llmrec %}{% llmrec_script %}"
        html = Template(text).render(Context({"request": request}))
    assert 'data-me="/acme/api/me/"' in html


def test_the_script_knows_its_addresses_and_the_item_of_the_page(pots: list[Product]) -> None:
    html = drawn("{% llmrec_script view=pot nonce='n0' %}", pot=pots[0])
    for part in ('nonce="n0"', 'data-interactions="/api/interactions/"', 'data-view-document="product"'):
        assert part in html
    assert f'data-view-item="{pots[0].pk}"' in html
    assert "data-csrf" not in html
    user = User.objects.create_user("ada")
    assert re.search(r'data-csrf="\w{60,}"', drawn("{% llmrec_script %}", user=user))


@pytest.mark.parametrize("changed", [{"ENABLED": False}, {"CONSENT": "off"}])
def test_no_script_where_no_events_are_stored(settings: Any, changed: dict[str, Any]) -> None:
    settings.LLMREC = {**settings.LLMREC, **changed}
    assert drawn("{% llmrec_script %}") == ""


def test_a_list_of_the_sites_own_drawing_is_marked(pots: list[Product]) -> None:
    found = search(Product, "red pot")
    html = drawn(
        "{% for pot in found %}<i {% llmrec_item pot found forloop.counter0 %}>{% endfor %}", found=found
    )
    assert f'data-llmrec-list="{found.request_id}"' in html
    assert f'data-llmrec-item="{pots[0].pk}" data-llmrec-position="0"' in html


def test_a_page_with_a_list_stays_out_of_shared_caches_where_the_middleware_is_on(
    pots: list[Product],
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        text = '{% load llmrec %}{% recommend "latest" "product" %}' if request.path == "/list/" else "plain"
        return HttpResponse(Template(text).render(Context({"request": request})))

    answer = VisitorMiddleware(view)
    listed = answer(RequestFactory().get("/list/"))
    assert listed.headers["Cache-Control"] == "private"
    assert "Cookie" in listed.headers["Vary"]
    assert "Cache-Control" not in answer(RequestFactory().get("/plain/")).headers


def test_a_new_visitor_is_known_again_while_an_experiment_runs() -> None:
    open_shop()
    running()
    found = search(Product, "wooden desk lamp", user_key="somebody")
    assert found.page.results  # this process knows that an experiment is going on

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(search(Product, "wooden desk lamp", request=request)[:3])))

    given = VisitorMiddleware(view)(RequestFactory().get("/")).cookies
    assert COOKIE in given
    again = RequestFactory().get("/")
    again.COOKIES[COOKIE] = given[COOKIE].value
    assert COOKIE not in VisitorMiddleware(view)(again).cookies
    first, second = Impression.objects.exclude(user_key="somebody").order_by("at")
    assert first.user_key == second.user_key != ""
    assert first.arm == second.arm is not None
    without = RequestFactory().get("/")
    assert view(without).status_code == 200
    assert Impression.objects.filter(user_key="").count() == 1
