"""A list strategy of a site's own: everywhere a built-in one is, and refused with the cure where wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.template import Context, Template
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse

from llmrec_plugin import checks
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.models import Configuration, Experiment, Placement
from llmrec_plugin.services.curation.placements import declared_placements
from llmrec_plugin.services.recommendations import (
    ListStrategy,
    RecommendationContext,
    recommend,
    register_strategy,
    unregister_strategy,
)
from llmrec_plugin.types import RankedItem
from tests.hostapp.models import Product
from tests.hostapp.search_documents import CheapestFirst
from tests.support.pages import titles
from tests.support.serving import did, open_shop, stock

pytestmark = pytest.mark.django_db


def placements(**declared: Any) -> override_settings:
    return override_settings(LLMREC={**settings.LLMREC, "PLACEMENTS": declared})


def strategy(**attributes: Any) -> type[ListStrategy]:
    """One that is right but for what the test sets."""

    def candidates(self: ListStrategy, context: RecommendationContext) -> list[RankedItem]:
        return []

    right = {"name": "own", "label": "of our own", "help_text": "Ours.", "candidates": candidates}
    return type("Own", (ListStrategy,), {**right, **attributes})


@contextmanager
def registered(*strategies: type[ListStrategy]) -> Iterator[None]:
    try:
        for one in strategies:
            register_strategy(one)
        yield
    finally:
        for one in strategies:
            unregister_strategy(one)


def by_price() -> list[str]:
    return list(Product.objects.order_by("price", "pk").values_list("title", flat=True))


def test_a_placement_of_the_settings_shows_it() -> None:
    open_shop()
    with placements(bargains={"type": "cheapest", "document": "product", "filters": {"category": "garden"}}):
        titles = [item.title for item in recommend("bargains", limit=4).results]
    garden = Product.objects.filter(categories__name="garden").order_by("price", "pk")
    assert titles == list(garden.values_list("title", flat=True)[:4])


def test_it_answers_over_rest_and_in_templates_under_its_own_name(client: Client) -> None:
    open_shop()
    answer = client.get("/api/recommendations/cheapest/?document=product&limit=3").json()
    assert [item["title"] for item in answer["results"]] == by_price()[:3]
    template = Template(
        "{% load llmrec %}{% recommend 'cheapest' 'product' limit=3 as list %}"
        "{% for item in list %}{{ item.title }};{% endfor %}"
    )
    html = template.render(Context({"request": RequestFactory().get("/")}))
    assert html.split(";")[:-1] == by_price()[:3]


def test_editors_choose_it_in_the_admin_and_fill_up_other_lists_with_it(admin_client: Client) -> None:
    open_shop()
    add = reverse("admin:llmrec_plugin_placement_add")
    page = admin_client.get(add).content.decode()
    assert '<option value="cheapest">cheapest first</option>' in page
    assert "The items with the lowest prices." in page
    values = {"name": "home", "enabled": "on", "document": "product", "limit": 30, "fresh": 0}
    assert admin_client.post(add, {**values, "type": "cheapest"}).status_code == 302
    assert [item.title for item in recommend("home").results] == by_price()
    changed = {**values, "name": "now", "type": "trending", "fallback": ["cheapest"]}
    assert admin_client.post(add, changed).status_code == 302
    assert [item.title for item in recommend("now").results] == by_price()  # nobody has chosen anything yet
    listed = admin_client.get(reverse("admin:llmrec_plugin_placement_changelist"), {"type": "cheapest"})
    assert [row.name for row in listed.context["cl"].result_list] == ["home"]
    assert "cheapest first" in listed.content.decode()


def test_for_you_fills_up_a_personal_list_by_taste_and_with_nothing_hidden() -> None:
    shop = open_shop()
    did("7", "view", [shop["steel garden hose"]])
    did("7", "dismiss", [shop["wooden lawn mower"]])
    with registered(strategy(is_personal=True, fallback=("for-you",))):
        page = recommend("own", document="product", user_key="7", limit=8)
        assert titles(page) == titles(recommend("for-you", document="product", user_key="7", limit=8))
        assert titles(page) != titles(recommend("latest", document="product", user_key="7", limit=8))
    assert "wooden lawn mower" not in titles(page)


def test_what_fills_up_a_list_is_asked_while_it_is_too_short_and_adds_no_more_than_it_lacks() -> None:
    open_shop()
    Configuration(candidates=20).save()
    asked: list[str] = []

    def first(self: ListStrategy, context: RecommendationContext) -> list[RankedItem]:
        return self.in_order(context.document.get_queryset().order_by("pk").values_list("pk", flat=True)[:12])

    def second(self: ListStrategy, context: RecommendationContext) -> list[RankedItem]:
        asked.append(self.name)
        return self.in_order(
            context.document.get_queryset().order_by("-pk").values_list("pk", flat=True)[:15]
        )

    short = strategy(name="short", candidates=first, fallback=("filler", "spare"))
    fillers = [strategy(name=name, candidates=second, can_fill=True) for name in ("filler", "spare")]
    with registered(*fillers, short):
        page = recommend("short", document="product", limit=5)
    assert page.total == 20
    assert asked == ["filler"]


def test_an_experiment_may_show_it_instead_of_another_list() -> None:
    from llmrec_plugin.services.experiments import lifecycle

    experiment = Experiment.objects.create(name="bargains", document="product", placement="latest")
    experiment.arms.create(name="as it is", is_control=True)
    experiment.arms.create(name="cheapest", placement="cheapest")
    assert [arm.name for arm in lifecycle.check(experiment)] == ["as it is", "cheapest"]


def test_a_type_that_nobody_registered_is_named_with_the_nearest_one() -> None:
    with placements(home={"type": "cheepest"}):
        (message,) = checks.check_settings()
    assert message.id == "llmrec_plugin.E004"
    assert 'LLMREC["PLACEMENTS"]["home"]["type"] is \'cheepest\'' in message.msg
    assert 'Did you mean "cheapest"?' in message.msg
    assert "@register_strategy in the search_documents.py" in message.msg


def test_a_row_whose_strategy_is_gone_says_so_and_leaves_other_lists_alone() -> None:
    stock()
    with registered(strategy(name="seasonal")):
        Placement.objects.create(name="home", type="seasonal", document="product")
    with pytest.raises(ConfigurationError, match=r'type of the placement "home" is \'seasonal\'.*no list'):
        recommend("home")
    assert recommend("latest", document="product").results


def test_two_of_one_name_and_what_is_no_strategy_are_refused_where_they_are_registered() -> None:
    with pytest.raises(
        ConfigurationError, match=r'"cheapest" already, declared in tests\.(hostapp|services)\.'
    ):
        register_strategy(strategy(name="cheapest"))
    with pytest.raises(ConfigurationError, match='"For You" cannot name a list strategy'):
        register_strategy(strategy(name="For You"))
    with pytest.raises(ConfigurationError, match="Own needs a label, such as label = "):
        register_strategy(strategy(label=""))
    with pytest.raises(ConfigurationError, match=r"Own makes no list: define candidates\(self, context\)"):
        register_strategy(strategy(candidates=ListStrategy.candidates))
    with pytest.raises(ConfigurationError, match="Product is no list strategy: it must inherit"):
        register_strategy(Product)  # type: ignore[type-var]
    assert "own" not in declared_placements()


def test_a_site_replaces_a_built_in_one_by_taking_it_out_first() -> None:
    open_shop()
    unregister_strategy(CheapestFirst)
    try:
        with registered(strategy(name="cheapest", label="ours")):
            assert recommend("cheapest", document="product").results  # its fallbacks
    finally:
        register_strategy(CheapestFirst)


def test_what_a_strategy_begins_with_is_checked() -> None:
    with registered(strategy(hide=("purchased",), fallback=("cheepest",))):
        hide, fallback = checks.check_strategies()
    assert {hide.id, fallback.id} == {"llmrec_plugin.E008"}
    assert (hide.msg, fallback.msg) == (
        'The list strategy "own": hide names "purchased".',
        'The list strategy "own": fallback names "cheepest".',
    )
    assert 'Did you mean "purchase"?' in str(hide.hint)
    assert 'Did you mean "cheapest"?' in str(fallback.hint)


def test_a_fallback_that_fills_up_no_others_is_told_with_the_cure() -> None:
    cure = 'Lists of the type "basket" fill up no others: name one of '
    with registered(strategy(fallback=("basket",))):
        (message,) = checks.check_strategies()
    assert cure in str(message.hint)
    assert "can_fill = True" in str(message.hint)
    with placements(home={"type": "latest", "fallback": ["popular", "basket"]}):
        (message,) = checks.check_settings()
    assert message.id == "llmrec_plugin.E004"
    assert """LLMREC["PLACEMENTS"]["home"]["fallback"] is ['popular', 'basket']""" in message.msg
    assert cure in message.msg


def test_a_single_text_where_several_names_belong_is_told() -> None:
    with registered(strategy(hide="purchase")):
        (message,) = checks.check_strategies()
    assert message.msg == 'The list strategy "own": hide is one string.'
    assert message.hint == 'Write hide = ("purchase",).'


@pytest.mark.parametrize(
    ("key", "given", "nearest"),
    [
        ("hide", ["view", "purchse"], "purchase"),
        ("anchor", ["veiw"], "view"),
        ("fallback", ["popular", "cheepest"], "cheapest"),
    ],
)
def test_a_misspelt_name_in_a_list_of_the_settings_is_told_the_nearest(
    key: str, given: list[str], nearest: str
) -> None:
    with placements(home={"type": "latest", key: given}):
        (message,) = checks.check_settings()
    assert f'LLMREC["PLACEMENTS"]["home"]["{key}"] is {given!r}; it must be a list of' in message.msg
    assert message.msg.endswith(f'Did you mean "{nearest}"?')


def test_a_strategy_whose_sentence_cannot_be_filled_is_refused_whole() -> None:
    with pytest.raises(ConfigurationError, match=r'sentence of the contribution "own".*place for "title"'):
        register_strategy(strategy(sentence="Since you took %(title)s"))
    assert "own" not in declared_placements()


def test_a_part_of_a_score_that_nobody_declared_is_refused_with_the_nearest() -> None:
    shop = open_shop()

    def candidates(self: ListStrategy, context: RecommendationContext) -> list[RankedItem]:
        return [RankedItem(str(shop["steel seed tray"].pk), 1.0, {"popularty": 1.0})]

    with (
        registered(strategy(candidates=candidates)),
        pytest.raises(ConfigurationError, match=r'"popularty".*Did you mean "popularity"'),
    ):
        recommend("own", document="product")


def test_a_strategy_that_is_careless_shows_nothing_twice_and_nothing_hidden() -> None:
    shop = open_shop()
    first, second, third = list(shop.values())[:3]

    def candidates(self: ListStrategy, context: RecommendationContext) -> list[RankedItem]:
        return self.in_order([first.pk, second.pk, first.pk, third.pk])

    Placement.objects.create(
        name="home", type="own", document="product", filters={"price__gt": [str(first.price)]}
    )
    with registered(strategy(candidates=candidates)):
        titles = [item.title for item in recommend("home", limit=100).results]
        plain = [item.title for item in recommend("own", document="product", limit=100).results]
    assert titles[:2] == [second.title, third.title]
    assert first.title not in titles
    assert plain[:3] == [first.title, second.title, third.title]
    assert len(plain) == len(set(plain)) == len(shop)
