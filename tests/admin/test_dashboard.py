"""The dashboard and the page for judgements, as an editor sees them."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import Judgment, OutboxEntry, SearchQuality
from llmrec_plugin.services.training import model_fit
from tests.admin.test_experiments import words
from tests.services.experiments.test_experiment_report import react, shown, users
from tests.support.serving import did, open_shop
from tests.support.trials import running

pytestmark = pytest.mark.django_db

DASHBOARD = "admin:llmrec_plugin_dashboard_changelist"
JUDGE = "admin:llmrec_plugin_judgment_judge"


def test_an_empty_site_is_told_what_to_do(editor: Client) -> None:
    page = words(editor.get(reverse(DASHBOARD), {"document": "product"}))
    assert "run `manage.py llmrec build`" in page
    assert "run manage.py llmrec train" in page
    assert "No list has been kept in this period" in page
    assert "None is running. Compare something with what is live" in page


def test_the_dashboard_tells_what_happened(editor: Client) -> None:
    products = open_shop()
    did("u", "purchase", [products["steel garden hose"]])
    model_fit.fit("product")
    experiment = running("latest")
    react(shown(None, users("u", 8), query="red kettle", took_ms=31, shown=4)[:4], position=1)
    shown(None, users("v", 8), query="unicorn", total=0, took_ms=31)
    OutboxEntry.objects.create(document="product", item_id="1", attempts=2, last_error="no")
    SearchQuality.objects.create(document="product", queries=12, ndcg=0.876, condensed_ndcg=0.9, judged=0.5)
    page = words(editor.get(reverse(DASHBOARD), {"document": "product", "days": "28"}))
    for said in ("Searches 16", "Without a result 50.0 %", "led to a click 25.0 %", "31 ms", "1 item fails"):
        assert said in page
    assert "red kettle 8 8 Judge results" in page
    assert "unicorn 8 8 Look Add a synonym" in page
    assert "previous period" not in page  # of which nothing is known
    assert "0.876 NDCG@10 of 12 judged queries" in page
    assert str(experiment) in page
    assert "No drift since" not in page  # nobody has measured it


def test_a_search_without_a_result_leads_to_the_explorer_and_to_a_synonym(editor: Client) -> None:
    open_shop()
    shown(None, users("v", 8), query="unicorn", total=0)
    page = editor.get(reverse(DASHBOARD), {"document": "product"}).text
    links = [html.unescape(found) for found in re.findall(r'href="([^"]*unicorn[^"]*)"', page)]
    look, add = (next(one for one in links if name in one) for name in ("exploration", "synonym/add"))
    assert 'value="unicorn"' in editor.get(look).text
    form = editor.get(add).text
    assert ">\nunicorn</textarea>" in form
    assert '<option value="product" selected>' in form


def test_a_period_is_shown_beside_the_one_before(editor: Client) -> None:
    react(shown(None, users("u", 8))[:4])
    shown(None, users("v", 20), total=0, at=timezone.now() - timedelta(days=10))
    page = words(editor.get(reverse(DASHBOARD), {"document": "product", "days": "7"}))
    assert "Searches 8 previous period: 20" in page
    assert "Without a result 0.0 % previous period: 100.0 %" in page
    assert "led to a click 50.0 % previous period: 0.0 %" in page


def test_the_dashboard_takes_few_queries(
    editor: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 30):
        react(shown(None, users(f"u{count}", count)))
        cache.clear()
        with django_assert_max_num_queries(16):
            editor.get(reverse(DASHBOARD), {"document": "product"})


@pytest.mark.parametrize("asked", [{"document": "nothing", "days": "1000"}, {"days": "²"}, {"days": ""}])
def test_what_cannot_be_shown_shows_the_usual(editor: Client, asked: dict[str, str]) -> None:
    page = editor.get(reverse(DASHBOARD), asked)
    assert page.status_code == 200
    assert '<option value="7" selected>' in page.text


def test_the_dashboard_needs_its_permission(client: Client) -> None:
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(DASHBOARD)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_dashboard"))
    assert client.get(reverse(DASHBOARD)).status_code == 200


def test_results_are_graded_on_one_page_and_measured_at_once(editor: Client) -> None:
    products = open_shop()
    asked = {"document": "product", "q": "wooden desk lamp"}
    assert "Judge search results" in words(editor.get(reverse("admin:llmrec_plugin_judgment_changelist")))
    assert "Not measured yet" in words(editor.get(reverse(JUDGE), asked))
    key = products["wooden desk lamp"].pk
    sent = {**asked, f"grade:{key}": "3", f"grade:{products['steel desk lamp'].pk}": ""}
    page = editor.post(reverse(JUDGE), sent, follow=True)
    assert "1 judgement changed" in page.text
    assert f'name="grade:{key}" value="3" checked' in page.text
    assert Judgment.objects.get().grade == 3
    page = editor.post(reverse("admin:llmrec_plugin_judgment_measure"), asked, follow=True)
    assert "NDCG@10 is 1.000 now" in page.text
    assert '<title id="quality-title">NDCG@10 over time</title>' in page.text


def test_errors_of_judging_are_told_on_the_page(editor: Client) -> None:
    asked = {"document": "product", "q": "kettle"}
    assert "has no live index yet" in words(editor.get(reverse(JUDGE), asked))
    measure = reverse("admin:llmrec_plugin_judgment_measure")
    assert "has no live index yet" in words(editor.post(measure, asked, follow=True))
    assert "1 to 500 characters" in words(editor.post(reverse(JUDGE), {"q": ""}, follow=True))
    open_shop()
    assert "grade a result above 0 first" in words(editor.post(measure, asked, follow=True))
    assert "Type what a visitor would search" in words(editor.get(reverse(JUDGE)))
    nothing = {"document": "course", "q": "kettle"}
    assert "course" in words(editor.get(reverse(JUDGE), nothing))


def test_who_may_only_look_cannot_judge(client: Client) -> None:
    open_shop()
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(JUDGE)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_judgment"))
    page = client.get(reverse(JUDGE), {"document": "product", "q": "lamp"})
    assert "Save judgements" not in page.text
    assert client.post(reverse(JUDGE), {"document": "product", "q": "lamp"}).status_code == 403
    assert client.post(reverse("admin:llmrec_plugin_judgment_measure")).status_code == 403
