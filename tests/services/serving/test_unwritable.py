"""A database that takes no rows: lists are shown all the same, at once, and say what they lack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.template import Context, Template
from django.test import RequestFactory
from rest_framework.test import APIClient

from llmrec_plugin import shortcuts
from llmrec_plugin.models import Impression
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.coordination import short_writes
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import open_shop
from tests.support.sqlite_files import locked, moved_to, read_only

pytestmark = pytest.mark.django_db(transaction=True)

Spell = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    open_shop()
    with moved_to(tmp_path / "site.sqlite3") as path:
        short_writes._silent_until.clear()
        yield path
    short_writes._silent_until.clear()


@pytest.fixture(params=[read_only, locked])
def spell(request: pytest.FixtureRequest) -> Spell:
    found: Spell = request.param
    return found


def asked(text: str = "steel lamp", **more: Any) -> ResultPage:
    return search(SearchRequest(document="product", text=text, limit=3, **more))


def titles(page: ResultPage) -> list[str]:
    return [item.title for item in page.results]


def test_a_search_is_answered_without_cursor_and_id(file: Path, spell: Spell) -> None:
    as_ever = asked(user_key="ada")
    assert as_ever.next
    assert not as_ever.degraded
    with spell(file):
        started = time.monotonic()
        page = asked(user_key="ada")
        took = time.monotonic() - started
        assert next_page(as_ever.next, user_key="ada").results, "what was kept before can be walked"
    assert titles(page) == titles(as_ever)
    assert (page.next, page.request_id, page.degraded) == (None, "", ("impression",))
    assert took < 2, "the site's own connections wait for 30 seconds"


def test_recommendations_are_answered_without_cursor_and_id(file: Path, spell: Spell) -> None:
    with spell(file):
        page = recommendations.recommend("latest", document="product", user_key="ada", limit=3)
    assert len(page.results) == 3
    assert (page.next, page.request_id, page.degraded) == (None, "", ("impression",))


def test_while_it_is_locked_only_the_first_page_waits(file: Path) -> None:
    with locked(file):
        asked()
        started = time.monotonic()
        for _ in range(5):
            assert asked().degraded == ("impression",)
        assert time.monotonic() - started < 5 * short_writes.WAIT_MS / 1000


def test_soon_after_lists_are_kept_again(file: Path, spell: Spell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_writes, "PAUSE_SECONDS", 0.1)
    with spell(file):
        assert asked().degraded
    time.sleep(0.1)
    page = asked()
    assert page.next
    assert Impression.objects.filter(pk=page.request_id).exists()


def test_rest_and_tags_answer_and_offer_nothing_to_report(file: Path, spell: Spell) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with spell(file):
        answer = APIClient().get("/api/search/?q=steel+lamp&document=product&limit=3")
        template = '{% load llmrec %}{% recommend "latest" document="product" title="New" %}'
        html = Template(template).render(Context({"request": request}))
    body = answer.json()
    assert answer.status_code == 200
    assert len(body["results"]) == 3
    assert (body["next"], body["request_id"], body["degraded"]) == (None, None, ["impression"])
    assert html.count("<li") > 3
    assert "data-llmrec-list" not in html


def test_a_sites_own_pages_are_walked_as_far_as_one_page_of_the_search_goes(file: Path, spell: Spell) -> None:
    with spell(file):
        found = shortcuts.search(Product, "steel lamp")
        pages = Paginator(found, 6)
        first, second = pages.page(1).object_list, pages.page(2).object_list
    assert len(first) == len(second) == 6
    assert not {pot.pk for pot in first} & {pot.pk for pot in second}


def test_a_transaction_of_the_sites_own_goes_on(file: Path) -> None:
    """As with ATOMIC_REQUESTS; SQLite gets the lock with its first write."""
    with read_only(file), transaction.atomic():
        assert asked().degraded == ("impression",)
        assert Product.objects.count() == 30


def test_on_postgresql_as_well_a_transaction_goes_on() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL, where a failed statement spoils its transaction")
    open_shop()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        assert asked().degraded == ("impression",)
        assert Product.objects.count() == 30
    short_writes._silent_until.clear()


def test_health_tells_it_and_sends_visitors_on(file: Path, spell: Spell) -> None:
    indexing.build("course")
    assert APIClient().get("/api/health/ready/").json()["checks"]["database"] == "ok"
    with spell(file):
        started = time.monotonic()
        answer = APIClient().get("/api/health/ready/")
        assert time.monotonic() - started < 3
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["database"] == "not_writable"
    assert APIClient().get("/api/health/ready/").json()["checks"]["database"] == "ok"
