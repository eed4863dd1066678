"""New items, items that can be had, and only so many of one brand: as declared, and as far as weighed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin import checks
from llmrec_plugin.contributions import Contribution, contributions
from llmrec_plugin.documents import (
    SearchDocument,
    Signal,
    SignalContext,
    Signals,
    ValueSignal,
    register_signal,
)
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.services.curation.configuration import configure
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides, preview
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.templatetags.llmrec_explorer import in_words
from llmrec_plugin.types import ResultPage, Scalar, SearchRequest
from tests.hostapp.models import Brand, Product
from tests.support import noting_engine
from tests.support.indexed import declared
from tests.support.pages import some
from tests.support.serving import stock

pytestmark = pytest.mark.django_db


class Gadgets(SearchDocument[Product]):
    model = Product
    label = "gadget"
    text_fields = ["title"]
    filter_fields = {"created": "created", "in_stock": "in_stock", "brand": "brand"}
    signals = Signals(date="created", available="in_stock", group="brand")


@pytest.fixture
def shop() -> Iterator[dict[str, Product]]:
    """Two brands; the wooden half of the shop is a year old."""
    with declared(Gadgets):
        products = stock()
        brand = Brand.objects.create(name="Other")
        Product.objects.filter(title__startswith="steel").update(brand=brand)
        Product.objects.filter(title__startswith="wooden").update(
            created=timezone.now() - timedelta(days=365)
        )
        build("gadget")
        IndexVersion.objects.update(floor=None)
        yield products


def find(text: str, **values: object) -> ResultPage:
    return some(search(SearchRequest(document="gadget", text=text, limit=100, **values)))  # type: ignore[arg-type]


def assert_adds_up(page: ResultPage) -> None:
    scores = [item.score for item in page.results]
    assert scores == sorted(scores, reverse=True)
    for item in page.results:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-9)


def test_unweighed_nothing_is_asked_and_nothing_added(shop: dict[str, Product]) -> None:
    noting_engine.asked.clear()
    with override_settings(LLMREC={**settings.LLMREC, "BACKEND": "tests.support.noting_engine"}):
        page = find("wooden lamp")
    (asked,) = noting_engine.asked
    assert asked.values == ()
    assert {name for item in page.results for name in item.contributions} <= {"text", "vector"}


def test_new_items_are_lifted_and_it_is_said(shop: dict[str, Product]) -> None:
    assert find("wooden lamp").results[0].title == "wooden desk lamp"
    Configuration(freshness_weight=1.0).save()
    page = find("wooden lamp")
    assert_adds_up(page)
    assert page.results[0].title == "steel desk lamp"
    assert "New here" in page.results[0].reasons
    old = next(item for item in page.results if item.title == "wooden desk lamp")
    # new: a half-life of 30 days has hardly passed; old: twelve have
    assert page.results[0].contributions["freshness"] == pytest.approx(1.0, abs=1e-3)
    assert old.contributions["freshness"] == pytest.approx(0.5 ** (365 / 30), abs=1e-3)


def test_what_can_be_had_is_lifted(shop: dict[str, Product]) -> None:
    Configuration(availability_weight=1.0).save()
    page = find("lamp")
    assert_adds_up(page)
    assert {item.object.in_stock for item in page.results} == {True, False}
    for item in page.results:
        assert item.contributions["availability"] == (1.0 if item.object.in_stock else 0.0)


def test_only_so_many_of_one_brand_are_on_the_first_page(shop: dict[str, Product]) -> None:
    Configuration(most_per_group=3).save()
    page = find("wooden")
    assert_adds_up(page)
    brands = [item.object.brand_id for item in page.results]
    # two brands with three places each; what is too much of them follows, all the same
    assert {brand: brands[:6].count(brand) for brand in set(brands)} == dict.fromkeys(set(brands), 3)
    assert len(brands) == Product.objects.count()
    assert any("cap" in item.contributions for item in page.results)


def test_a_chosen_order_is_left_alone(shop: dict[str, Product]) -> None:
    Configuration(freshness_weight=1.0, most_per_group=1).save()
    page = find("lamp", sort="-created")
    moments = [item.object.created for item in page.results]
    assert moments == sorted(moments, reverse=True)
    assert find("").total == Product.objects.count()


def test_an_index_from_before_the_declaration_goes_on(shop: dict[str, Product]) -> None:
    schema = IndexVersion.objects.get(document="gadget").schema
    schema["filters"] = {"brand": "keyword"}
    IndexVersion.objects.update(schema=schema)
    Configuration(freshness_weight=1.0, availability_weight=1.0).save()
    page = find("lamp")
    assert {name for item in page.results for name in item.contributions} <= {"text", "vector"}


def test_a_signal_that_is_no_such_filter_field_is_told() -> None:
    class Wrong(Gadgets):
        label = "wrong"
        signals = Signals(date="in_stock", available="stock", group="brand", margn="price", margin=3)  # type: ignore[arg-type]

    with declared(Wrong):
        found = [one for one in checks.check_documents() if one.id == "llmrec_plugin.E037"]
    assert [one.msg for one in found] == [
        'signals: date "in_stock" is a boolean.',
        'signals: available "stock" is none of filter_fields.',
        'signals: there is no signal "margn". Did you mean "margin"? Known: available, date, group, margin.',
        "signals: margin is 3, no name of a field.",
    ]
    assert 'Did you mean "in_stock"?' in str(found[1].hint)
    assert "@register_signal" in str(found[2].hint)


def value(self: ValueSignal, found: Sequence[Scalar], context: SignalContext) -> float:
    return 1.0


def signal(base: Any = ValueSignal, **attributes: object) -> type[Signal]:
    """A declaration that is right but for what the test sets; None: left out."""
    right = {
        "name": "stars",
        "kind": "number",
        "contribution": Contribution(name="stars", label="stars"),
        "value": value,
    }
    given = {name: one for name, one in {**right, **attributes}.items() if one is not None}
    return type("Stars", (base,), given)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (signal(name=None), 'Stars needs a name, such as name = "margin"'),
        (signal(name="Stars!"), '"Stars!" cannot name a ranking signal'),
        (signal(kind=None), "Stars has no kind: what its filter field must be. Known: keyword, number"),
        (
            signal(kind="nubmer"),
            "Stars has the kind 'nubmer': what its filter field must be. Did you mean \"number\"?",
        ),
        (signal(contribution=None), 'contribution = Contribution(name="stars", label='),
        (signal(contribution="stars"), "Stars has no contribution"),
        (signal(value=None), "Stars moves no item: define value(self, found, context)"),
        (
            signal(Signal),
            "Stars moves no item: define stage(self, values, context), or inherit from ValueSignal",
        ),
        (Product, "Product is no ranking signal: it must inherit from ValueSignal"),
        (
            signal(name="margin"),
            'ranking signal "margin" already, declared in tests.hostapp.search_documents',
        ),
    ],
)
def test_a_signal_that_lacks_what_makes_one_is_refused_with_the_cure(wrong: type[Signal], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        register_signal(wrong)
    assert said in str(raised.value)
    assert "stars" not in signals
    assert "stars" not in contributions


def test_the_weight_of_a_signal_that_nobody_declared_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r'no ranking signal "margn"\. Did you mean "margin"'):
        configure(by="deploy", signal_weights={"margn": 0.5})
    with pytest.raises(InvalidRequest, match="from 0 to 1"):
        configure(by="deploy", signal_weights={"margin": 2})


def test_a_signal_of_the_sites_own_lifts_what_it_names_and_says_so(shop: dict[str, Product]) -> None:
    dear = shop["wooden desk lamp"]
    Product.objects.filter(pk=dear.pk).update(price=80)
    build("product")
    request = SearchRequest(document="product", text="lamp", limit=100)
    assert all("margin" not in item.contributions for item in search(request).results)
    assert configure(by="deploy", signal_weights={"margin": 1.0})
    page = search(request)
    assert_adds_up(page)
    assert page.results[0].item_id == str(dear.pk)
    assert page.results[0].contributions["margin"] == pytest.approx(0.8)
    assert "Recommended by the shop" in page.results[0].reasons
    overrides = ServingOverrides(configuration=Configuration.current())
    explored = preview(ListQuery(document="product", text="lamp"), overrides).positions[0]
    assert {part.name: in_words(part) for part in explored.contributions}["margin"] == "margin"
