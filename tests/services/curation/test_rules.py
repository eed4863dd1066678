"""Editors' rules in search and recommendations: when they hold, what they do, and what they cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import Configuration, Rule
from llmrec_plugin.services import interactions, privacy, recommendations
from llmrec_plugin.services.curation.phrases import contains
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import ResultPage, SearchRequest, Terms
from tests.hostapp.models import Product
from tests.support.pages import some, titles
from tests.support.queries import Queries
from tests.support.serving import did, open_shop, silent

pytestmark = pytest.mark.django_db

Products = dict[str, Product]


@pytest.fixture
def shop() -> Products:
    return open_shop()


def rule(action: str, items: list[Product] | None = None, **values: Any) -> Rule:
    return Rule.objects.create(
        name=action,
        document="product",
        action=action,
        items=[str(item.pk) for item in items or []],
        **values,
    )


def ask(text: str = "steel", *, results: bool | None = True, **values: Any) -> ResultPage:
    return some(search(SearchRequest(document="product", text=text, **values)), results=results)


def recommend(placement: str = "latest", **values: Any) -> ResultPage:
    return some(recommendations.recommend(placement, document="product", **values))


def all_titles(page: ResultPage) -> list[str]:
    found = titles(page)
    while page.next:
        page = next_page(page.next, user_key=None)
        found += titles(page)
    return found


# what rules do


def test_a_pinned_item_stands_at_its_place_and_says_why(shop: Products) -> None:
    pinned = rule("pin", [shop["wooden ink bottle"]], place=2)
    page = ask("steel garden hose")
    assert page.results[1].title == "wooden ink bottle"
    assert page.results[1].contributions.keys() >= {f"rule:{pinned.pk}"}
    assert page.results[1].score == pytest.approx(page.results[0].score)
    assert "Our pick" in page.results[1].reasons


def test_pins_hold_over_pages_and_no_item_comes_twice(shop: Products) -> None:
    rule("pin", [shop["wooden ink bottle"]], place=5)
    found = all_titles(ask("steel", limit=3))
    assert found.index("wooden ink bottle") == 4
    assert len(found) == len(set(found))


def test_a_place_is_counted_among_what_the_visitor_sees(shop: Products) -> None:
    before = titles(ask("steel"))
    rule("pin", [shop["wooden ink bottle"]], place=3)
    Product.objects.filter(title=before[0]).update(is_draft=True)  # and the index does not know yet
    page = ask("steel", limit=10)
    assert titles(page)[2] == "wooden ink bottle"
    assert before[0] not in titles(page)


def test_a_place_far_down_is_counted_so_whatever_is_pinned_above(shop: Products) -> None:
    before = titles(ask("steel", limit=100))
    top, low = before[-1], before[-2]
    rule("pin", [shop[top]], place=1)
    rule("pin", [shop[low]], place=25)
    Product.objects.filter(title=before[20]).update(is_draft=True)
    found = titles(ask("steel", limit=100))
    assert (found[0], found[24]) == (top, low)


def test_a_pin_respects_filters_and_visibility(shop: Products) -> None:
    hose, bottle, draft = shop["steel garden hose"], shop["wooden ink bottle"], shop["steel lawn mower"]
    rule("pin", [hose, bottle, draft])
    Product.objects.filter(pk=draft.pk).update(is_draft=True)
    page = ask("steel", filters=(Terms(field="category", values=("desk",)),), limit=30)
    assert titles(page)[0] == "wooden ink bottle"
    assert not {"steel garden hose", "steel lawn mower"} & set(titles(page))


def test_a_pinned_item_is_counted_in_total_and_facets(shop: Products) -> None:
    Configuration.objects.create(text_weight=1.0)
    plain = ask("hose", facets=("category",))
    assert plain.facets == {"category": [("garden", 2)]}
    rule("pin", [shop["wooden ink bottle"]])
    page = ask("hose", facets=("category",))
    assert page.total == plain.total + 1
    assert page.facets == {"category": [("garden", 2), ("desk", 1)]}


def test_a_pin_shows_where_nothing_is_found(shop: Products) -> None:
    Configuration.objects.create(text_weight=1.0)
    assert ask("zzz", results=False).results == ()
    rule("pin", [shop["wooden ink bottle"]])
    assert titles(ask("zzz")) == ["wooden ink bottle"]


def test_hidden_items_are_in_no_list_no_total_and_no_facet(shop: Products) -> None:
    Configuration.objects.create(text_weight=1.0)
    rule("hide", [shop["steel garden hose"]])
    page = ask("hose", facets=("category",))
    assert (titles(page), page.total) == (["wooden garden hose"], 1)
    assert page.facets == {"category": [("garden", 1)]}
    for placement in ("latest", "for-you", "trending"):
        assert "steel garden hose" not in titles(recommend(placement, limit=100))
    page = recommendations.similar("product", shop["wooden garden hose"].pk, limit=100)
    assert "steel garden hose" not in titles(page)


def test_all_items_of_a_category_can_be_hidden(shop: Products) -> None:
    rule("hide", item_filters={"category": ["garden"]})
    page = ask("", facets=("category",), limit=100)
    assert page.total == 20
    assert dict(page.facets["category"]) == {"coffee": 10, "desk": 10}
    for placement in ("latest", "for-you", "trending", "popular"):
        found = titles(recommend(placement, limit=100)) if placement != "popular" else []
        assert not any("garden" in title or "mower" in title for title in found)


def test_a_boost_by_category_lifts_all_of_it_in_search_and_in_recommendations(shop: Products) -> None:
    boosted = rule("boost", item_filters={"category": ["desk"]}, strength=1.0)
    desk = {title for title, product in shop.items() if product.categories.filter(name="desk").exists()}
    for page in (ask("steel", limit=30), recommend("latest", limit=30)):
        assert len(set(titles(page)[:5]) & desk) == 5
        for item in page.results:
            assert (f"rule:{boosted.pk}" in item.contributions) == (item.title in desk)
            assert item.score == pytest.approx(sum(item.contributions.values()))


def test_a_buried_item_comes_last(shop: Products) -> None:
    first = ask("steel garden hose").results[0]
    rule("bury", [shop[first.title]], strength=1.0)
    assert titles(ask("steel garden hose", limit=30)).index(first.title) > 5


def test_a_visitors_own_order_is_kept_but_for_what_is_hidden(shop: Products) -> None:
    rule("pin", [shop["wooden ink bottle"]])
    rule("boost", [shop["wooden ink bottle"]], strength=1.0)
    rule("hide", [shop["steel espresso machine"]])
    page = ask("", sort="price", limit=5)
    assert titles(page)[0] == "steel coffee grinder"
    assert "wooden ink bottle" not in titles(page)


def test_what_a_visitor_dismissed_is_not_pinned_before_him(shop: Products) -> None:
    rule("pin", [shop["wooden ink bottle"]])
    did("7", "dismiss", [shop["wooden ink bottle"]])
    assert "wooden ink bottle" not in titles(recommend("for-you", user_key="7", limit=30))
    assert titles(recommend("for-you", user_key="8"))[0] == "wooden ink bottle"


# when they hold


@pytest.mark.parametrize(
    ("match", "phrase", "query", "holds"),
    [
        ("exact", "Desk Lamp", "desk  LAMP", True),
        ("exact", "desk lamp", "steel desk lamp", False),
        ("contains", "desk lamp", "steel desk lamp", True),
        ("contains", "lamp", "lampshade", False),
        ("contains", "lamp", "steel-lamp!", True),
        ("contains", "檯燈", "买台灯送灯泡", True),
        ("contains", "灯台", "买台灯", False),
        ("contains", "", "lamp", False),
        ("any", "", "whatever", True),
    ],
)
def test_phrases_are_compared_as_words_whatever_their_case_and_width(
    shop: Products, match: str, phrase: str, query: str, holds: bool
) -> None:
    rule("pin", [shop["wooden milk frother"]], match=match, phrases=[phrase] if phrase else [])
    assert (titles(ask(query))[:1] == ["wooden milk frother"]) == holds


def test_a_phrase_is_found_as_whole_words() -> None:
    assert contains("red lamp", "lamp")
    assert not contains("lamps", "lamp")
    assert contains("lamps lamp", "lamp")
    assert contains("学python课程", "python")
    assert contains("机器学习入门", "学习")
    assert not contains("", "lamp")


def test_a_rule_for_a_placement_holds_there_alone(shop: Products) -> None:
    rule("pin", [shop["wooden milk frother"]], placements=["latest"])
    assert titles(recommend("latest"))[0] == "wooden milk frother"
    assert titles(ask("steel"))[0] != "wooden milk frother"
    Rule.objects.update(placements=["search"])
    assert titles(ask("steel"))[0] == "wooden milk frother"
    assert titles(recommend("trending"))[0] != "wooden milk frother"


def test_a_rule_for_a_category_holds_in_lists_confined_to_it(shop: Products) -> None:
    rule("pin", [shop["wooden ink bottle"]], list_filters={"category": ["desk", "coffee"]})
    assert titles(ask(""))[0] != "wooden ink bottle"
    desk = Terms(field="category", values=("desk",))
    assert titles(ask("", filters=(desk,)))[0] == "wooden ink bottle"
    both = Terms(field="category", values=("coffee", "desk"))
    assert titles(ask("", filters=(both,)))[0] == "wooden ink bottle"
    assert titles(ask("", filters=(Terms(field="category", values=("desk", "garden")),)))[0] != (
        "wooden ink bottle"
    )


def test_a_rule_holds_between_its_dates(shop: Products) -> None:
    now = timezone.now()
    pinned = rule("pin", [shop["wooden milk frother"]], starts_at=now + timedelta(hours=1))
    assert titles(ask())[0] != "wooden milk frother"
    pinned.starts_at, pinned.ends_at = now - timedelta(hours=2), now + timedelta(hours=1)
    pinned.save()
    assert titles(ask())[0] == "wooden milk frother"
    pinned.ends_at = now - timedelta(hours=1)
    pinned.save()
    assert titles(ask())[0] != "wooden milk frother"


@pytest.mark.parametrize(
    ("audience", "sees"),
    [
        ("everybody", {None, "anon:x", "7", "8"}),
        ("anonymous", {None, "anon:x"}),
        ("known", {"7", "8"}),
        ("new", {None, "anon:x", "8"}),
    ],
)
def test_a_rule_holds_for_its_audience(shop: Products, audience: str, sees: set[str | None]) -> None:
    did("7", "view", [shop["steel garden hose"]])
    rule("pin", [shop["wooden milk frother"]], audience=audience)
    for user in (None, "anon:x", "7", "8"):
        for page in (ask("steel", user_key=user), recommend("latest", user_key=user)):
            assert (titles(page)[0] == "wooden milk frother") == (user in sees), (user, audience)


def test_of_one_who_refused_nothing_is_known(shop: Products) -> None:
    user = User.objects.create(username="refuser")
    did(str(user.pk), "view", [shop["steel garden hose"]])
    privacy.set_consent(str(user.pk), granted=False)
    rule("pin", [shop["wooden milk frother"]], audience="new")
    assert titles(ask("steel", user_key=str(user.pk)))[0] == "wooden milk frother"


# what they cost, and how they change


def test_rules_take_no_query_unless_they_changed_and_pins_one(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Configuration.objects.create()
    ask("steel")
    with Queries() as before:
        ask("steel")
    rule("hide", [shop["steel garden hose"]])
    rule("boost", [shop["wooden milk frother"]])
    with Queries() as after:
        ask("steel")
    assert len([query for query in after if "llmrec_plugin_rule" in query["sql"]]) == 1
    with django_assert_num_queries(len(before)):
        ask("steel")
    rule("pin", [shop["wooden milk frother"]])
    ask("steel")
    with django_assert_num_queries(len(before) + 2):  # which of the first can be seen, their categories
        ask("steel")


def test_each_change_counts_from_the_next_request_on(shop: Products) -> None:
    pinned = rule("pin", [shop["wooden milk frother"]])
    assert titles(ask())[0] == "wooden milk frother"
    pinned.items = [str(shop["wooden lawn mower"].pk)]
    pinned.save()
    assert titles(ask())[0] == "wooden lawn mower"
    Rule.objects.filter(pk=pinned.pk).update(enabled=False)
    assert titles(ask())[0] != "wooden lawn mower"
    Rule.objects.bulk_create(
        [Rule(name="b", document="product", action="pin", items=[str(shop["wooden lawn mower"].pk)])]
    )
    assert titles(ask())[0] == "wooden lawn mower"
    Rule.objects.all().delete()
    assert titles(ask())[0] != "wooden lawn mower"


def test_a_rule_that_the_declaration_has_left_behind_is_left_out(shop: Products) -> None:
    rule("hide", item_filters={"colour": ["red"]})
    rule("pin", [shop["wooden milk frother"]])
    assert titles(ask())[0] == "wooden milk frother"


def test_while_the_engine_is_down_rules_hold_all_the_same(shop: Products) -> None:
    rule("pin", [shop["wooden milk frother"]], place=2)
    rule("hide", item_filters={"category": ["garden"]})
    rule("boost", item_filters={"category": ["coffee"]}, strength=1.0)
    interactions.record(user_key="7", document="product", item_id=shop["steel desk lamp"].pk, kind="purchase")
    with silent():
        page = ask("hose", limit=30)
    assert page.degraded == ("engine",)
    assert titles(page)[1] == "wooden milk frother"
    assert len(page.results) == 20
    assert not any("hose" in title for title in titles(page))
