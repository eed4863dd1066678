"""What holds of every search: facets count what is listed, and pages neither repeat nor skip an item."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.services import indexing
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import Filter, Range, SearchRequest, Terms
from tests.hostapp.models import Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

some = examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.sampled_from(
    ["tray", "wooden lamp", "garden", "espresso", "zzz", "", '"desk lamp"', "hose -steel"]
)
filters = st.lists(
    st.one_of(
        st.builds(
            Terms,
            field=st.just("category"),
            values=st.lists(st.sampled_from(["desk", "garden", "coffee"]), min_size=1).map(tuple),
        ),
        st.builds(Terms, field=st.just("in_stock"), values=st.tuples(st.booleans())),
        st.builds(Range, field=st.just("price"), gte=st.integers(0, 20), lt=st.integers(10, 40)),
    ),
    max_size=2,
).map(tuple)


def opened() -> None:
    if not IndexVersion.objects.exists():
        open_shop(copies=3)


@some
@given(
    text=texts,
    wanted=filters,
    sort=st.sampled_from(["", "price"]),
    candidates=st.sampled_from([20, 200]),
    weight=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_facets_equal_a_count_by_hand(
    text: str, wanted: tuple[Filter, ...], sort: str, candidates: int, weight: float
) -> None:
    opened()
    Configuration(candidates=candidates, text_weight=weight).save()
    page = search(
        SearchRequest(
            document="product",
            text=text,
            filters=wanted,
            sort=sort,
            facets=("category", "in_stock", "price"),
            limit=100,
        )
    )
    assert page.total == len(page.results)
    by_hand: dict[str, Counter[object]] = {"category": Counter(), "in_stock": Counter(), "price": Counter()}
    for item in page.results:
        product: Product = item.object
        by_hand["category"].update({category.name for category in product.categories.all()})
        by_hand["in_stock"][product.in_stock] += 1
        by_hand["price"][float(product.price)] += 1
    assert {name: dict(counts) for name, counts in page.facets.items()} == by_hand


@some
@given(
    text=texts,
    sort=st.sampled_from(["", "-price"]),
    sizes=st.integers(1, 9),
    changes=st.lists(st.tuples(st.sampled_from(["new", "edit", "price"]), st.integers(0, 44)), max_size=6),
)
def test_pages_never_repeat_or_skip_while_items_change(
    text: str, sort: str, sizes: int, changes: list[tuple[str, int]]
) -> None:
    opened()
    whole = [
        item.item_id
        for item in search(SearchRequest(document="product", text=text, sort=sort, limit=100)).results
    ]
    page = search(SearchRequest(document="product", text=text, sort=sort, limit=sizes))
    seen = [item.item_id for item in page.results]
    pending = list(changes)
    while page.next is not None:
        if pending:
            _change(*pending.pop())
        page = next_page(page.next, user_key=None)
        seen += [item.item_id for item in page.results]
    assert seen == whole


@some
@given(
    text=st.sampled_from(["tray", "wooden lamp", ""]),
    sizes=st.integers(1, 7),
    gone=st.sets(st.integers(0, 44), max_size=5),
)
def test_what_is_deleted_or_withdrawn_meanwhile_is_left_out_and_nothing_else(
    text: str, sizes: int, gone: set[int]
) -> None:
    opened()
    Product.objects.update(is_draft=False)
    whole = [item.item_id for item in search(SearchRequest(document="product", text=text, limit=100)).results]
    page = search(SearchRequest(document="product", text=text, limit=sizes))
    seen = [item.item_id for item in page.results]
    first = len(seen)
    hidden = {whole[place] for place in gone if place < len(whole)}
    Product.objects.filter(pk__in=hidden).update(is_draft=True)
    while page.next is not None:
        page = next_page(page.next, user_key=None)
        seen += [item.item_id for item in page.results]
    assert seen == whole[:first] + [key for key in whole[first:] if key not in hidden]


def _change(what: str, place: int) -> None:
    """As editors do while visitors leaf through."""
    if what == "new":
        Product.objects.create(title="wooden desk lamp tray", price=place)
    else:
        product = Product.objects.order_by("pk")[place % Product.objects.count()]
        if what == "edit":
            product.title += " again"
        product.price = place
        product.save()
    indexing.drain()
