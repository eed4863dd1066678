"""Cursors walk the kept list: no item twice, none left out, whatever happens to the items meanwhile."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin import shortcuts
from llmrec_plugin.exceptions import CursorOfAnother, InvalidCursor, InvalidRequest
from llmrec_plugin.models import Impression
from llmrec_plugin.services import privacy, recommendations
from llmrec_plugin.services.privacy import retention
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.services.serving import cursors, result_pages
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Product
from tests.support.queries import Queries
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db


def first(text: str = "tray", *, user_key: str | None = None, limit: int = 4) -> ResultPage:
    return search(SearchRequest(document="product", text=text, user_key=user_key, limit=limit))


def walk(page: ResultPage, *, user_key: str | None = None) -> list[str]:
    ids = [item.item_id for item in page.results]
    while page.next is not None:
        page = next_page(page.next, user_key=user_key)
        ids += [item.item_id for item in page.results]
    return ids


def test_pages_together_are_the_list() -> None:
    open_shop()
    whole = [item.item_id for item in first(limit=100).results]
    assert walk(first(limit=7)) == whole
    assert len(whole) == 30


def test_a_next_page_has_the_shape_of_the_first() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    request = SearchRequest(
        document="product", text="steel tray", user_key="7", limit=5, facets=("category", "in_stock")
    )
    page = search(request)
    whole = search(SearchRequest(document="product", text="steel tray", user_key="7", limit=10))
    assert page.next is not None
    second = next_page(page.next, user_key="7")
    assert (second.total, second.facets, second.request_id) == (page.total, page.facets, page.request_id)
    assert all(type(value) in (bool, str) for counts in second.facets.values() for value, _ in counts)
    for there, here in zip(whole.results[5:], second.results, strict=True):
        assert (there.item_id, there.title, there.reasons, there.highlights) == (
            here.item_id,
            here.title,
            here.reasons,
            here.highlights,
        )
        assert here.score == pytest.approx(there.score, abs=1e-5)
        assert here.score == pytest.approx(sum(here.contributions.values()), abs=1e-9)


def test_a_next_page_asks_no_engine_and_costs_a_fixed_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    open_shop()
    page = first()
    assert page.next is not None
    silent = override_settings(LLMREC={**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"})
    # the list, rows, their categories, how far it was shown
    with silent, django_assert_num_queries(4):
        second = next_page(page.next, user_key=None)
    assert len(second.results) == 4
    assert second.degraded == ()


def test_how_far_a_list_was_shown_is_kept_and_never_falls() -> None:
    open_shop()
    page = first()
    assert page.next is not None
    second = next_page(page.next, user_key=None)
    assert second.next is not None
    next_page(second.next, user_key=None)
    next_page(page.next, user_key=None)
    assert Impression.objects.get(pk=page.request_id).shown == 12


def test_items_far_down_the_list_are_shown_as_they_would_be_on_their_page() -> None:
    open_shop()
    whole = first(limit=100).results
    results = shortcuts.search(Product, "tray")
    assert [item.pk for item in results[:4]] == [item.object.pk for item in whole[:4]]
    found: Any = results[10]
    assert (found.llmrec.item_id, found.llmrec.reasons) == (whole[10].item_id, whole[10].reasons)
    assert Impression.objects.get(pk=results.request_id).shown == 11


def test_how_long_a_list_took_is_kept() -> None:
    open_shop()
    started = time.perf_counter()
    page = first()
    elapsed = (time.perf_counter() - started) * 1000
    assert 0 < Impression.objects.get(pk=page.request_id).took_ms <= elapsed + 1


def test_that_much_has_vanished_is_found_out_in_a_few_queries() -> None:
    open_shop()
    whole = first(limit=100)
    Product.objects.filter(pk__in=[item.item_id for item in whole.results[:25]]).delete()
    with Queries() as made:
        page = first(limit=1)
    assert page.results[0].item_id == whole.results[25].item_id
    rows = [query for query in made if 'FROM "hostapp_product"' in query["sql"]]
    assert len(rows) == 5  # of 1, 2, 4, 8 and 16 items


def test_a_cursor_of_somebody_else_is_refused() -> None:
    open_shop()
    page = first(user_key="7")
    assert page.next is not None
    for stranger in ("8", "anon:x", None):
        with pytest.raises(CursorOfAnother):
            next_page(page.next, user_key=stranger)
    assert next_page(page.next, user_key="7").results


def test_the_list_of_one_who_refused_names_nobody_and_can_be_walked() -> None:
    open_shop()
    privacy.set_consent("7", granted=False)
    page = first("wooden tray", user_key="7")
    assert page.next is not None
    second = next_page(page.next, user_key="7")
    assert any(item.highlights for item in second.results), "the query is in the cursor, not in the database"
    assert Impression.objects.get().query == ""


@pytest.mark.parametrize("cursor", ["", "nonsense", "a:b:c", "\x00", "ü" * 500, ".eJyL:1:2"])
def test_a_broken_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        next_page(cursor, user_key=None)


def test_a_forged_cursor_is_refused() -> None:
    open_shop()
    page = first()
    assert page.next is not None
    swapped = page.next[:5] + ("a" if page.next[5] != "a" else "b") + page.next[6:]
    with pytest.raises(InvalidCursor):
        next_page(swapped, user_key=None)
    other_shape = signing.dumps({"page": 2}, salt=cursors.SALT)
    with pytest.raises(InvalidCursor):
        next_page(other_shape, user_key=None)
    foreign = signing.dumps([page.request_id, 0, 4, ""], salt="another purpose")
    with pytest.raises(InvalidCursor):
        next_page(foreign, user_key=None)


def test_a_cursor_expires_with_its_list() -> None:
    open_shop()
    page = first()
    assert page.next is not None
    Impression.objects.update(at=timezone.now() - timedelta(hours=2))
    with pytest.raises(InvalidCursor, match="expired"):
        next_page(page.next, user_key=None)
    retention.apply_retention()
    with pytest.raises(InvalidCursor, match="expired"):
        next_page(page.next, user_key=None)


def test_placements_have_pages_too() -> None:
    open_shop()
    page = recommendations.recommend("latest", document="product", limit=8)
    newest = [str(pk) for pk in Product.objects.order_by("-created", "-pk").values_list("pk", flat=True)]
    assert walk(page) == newest


@pytest.mark.parametrize("size", [0, -1, 101, True])
def test_a_page_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(InvalidRequest):
        result_pages.check_limit(size)


def test_an_item_whose_prepare_raises_is_shown_without_highlights(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.hostapp.search_documents import ProductDocument

    open_shop()
    prepare = ProductDocument.prepare

    def fails(self: ProductDocument, product: Product) -> object:
        if product.title == "wooden paper tray":
            raise RuntimeError("the site's own bug")
        return None if product.title == "steel paper tray" else prepare(self, product)

    monkeypatch.setattr(ProductDocument, "prepare", fails)
    page = first("paper tray", limit=100)
    by_title = {item.title: item for item in page.results}
    assert by_title["wooden paper tray"].highlights == {}
    assert "steel paper tray" not in by_title, "what prepare no longer wants found is not shown"
    assert by_title["steel seed tray"].highlights


changes = st.lists(
    st.tuples(st.sampled_from(["delete", "hide", "show", "retitle", "add"]), st.integers(0, 14)), max_size=4
)


@pytest.mark.parametrize("text", ["tray", ""])
def test_no_page_repeats_or_skips_while_items_change(text: str) -> None:
    products = list(open_shop(copies=1).values())
    expected = [item.item_id for item in first(text, limit=100).results]

    @hypothesis_settings(max_examples=25, deadline=None)
    @given(limit=st.integers(1, 6), per_page=st.lists(changes, max_size=8))
    def check(limit: int, per_page: list[list[tuple[str, int]]]) -> None:
        with transaction.atomic():
            _walk_while_items_change(text, limit, per_page, products, expected)
            transaction.set_rollback(True)

    check()


def _walk_while_items_change(
    text: str,
    limit: int,
    per_page: list[list[tuple[str, int]]],
    products: list[Product],
    expected: list[str],
) -> None:
    touched: set[str] = set()
    page = first(text, limit=limit)
    seen = [item.item_id for item in page.results]
    steps = iter(per_page)
    while page.next is not None:
        for action, number in next(steps, []):
            touched |= _change(action, products[number].pk)
        page = next_page(page.next, user_key=None)
        visible = set(map(str, Product.objects.filter(is_draft=False).values_list("pk", flat=True)))
        assert {item.item_id for item in page.results} <= visible
        seen += [item.item_id for item in page.results]
    assert len(seen) == len(set(seen)), "an item was repeated"
    places = [expected.index(key) for key in seen]
    assert places == sorted(places), "the order changed"
    assert set(expected) - set(seen) <= touched, "an item that nobody touched was left out"


def _change(action: str, pk: int) -> set[str]:
    """Keys of the items that may be missing from now on."""
    if action == "add":
        Product.objects.create(title="another tray", description="new")
        return set()
    if action == "retitle":
        Product.objects.filter(pk=pk).update(title="something else entirely")
        return set()
    if action == "delete":
        Product.objects.filter(pk=pk).delete()
    else:
        Product.objects.filter(pk=pk).update(is_draft=action == "hide")
    return {str(pk)}
