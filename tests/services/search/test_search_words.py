"""Quotes, minus, spelling, the order of a field, and what is given up before nothing is found."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.analysis.exact import exact_terms
from llmrec_plugin.models import Configuration, Impression, IndexVersion, Rule
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import Range, ResultPage, SearchRequest, Terms
from tests.hostapp.models import Course, Product
from tests.support.pages import some, titles
from tests.support.serving import open_shop, silent

pytestmark = pytest.mark.django_db

HELD = ["steel", "wooden", "garden", "desk", "lamp", "hose", "for", "lovers"]


def find(
    text: str = "", *, document: str = "product", results: bool | None = True, **values: Any
) -> ResultPage:
    request = SearchRequest(document=document, text=text, **{"limit": 100, **values})
    return some(search(request), results=results)


def lessons(*titles_: str) -> None:
    Course.objects.bulk_create(Course(title=title) for title in titles_)
    build("course")
    IndexVersion.objects.update(floor=None)


def particular_shop() -> None:
    """One in which next to nothing is near in meaning."""
    open_shop()
    IndexVersion.objects.update(floor=0.95)


class TestOperators:
    def test_what_stands_in_quotes_must_occur_as_it_stands(self) -> None:
        open_shop()
        page = find('"garden hose"')
        assert sorted(titles(page)) == ["steel garden hose", "wooden garden hose"]
        assert page.total == 2
        assert find('"hose garden"').relaxed != ""

    def test_quotes_hold_for_items_found_by_meaning_alone(self) -> None:
        open_shop()
        Configuration(text_weight=0.0).save()
        assert sorted(titles(find('"garden hose"'))) == ["steel garden hose", "wooden garden hose"]

    def test_what_has_a_minus_is_nowhere_in_the_list(self) -> None:
        open_shop()
        everything = find("hose")
        page = find("hose -steel", facets=("category",))
        assert page.total == everything.total / 2  # half of the shop is made of steel
        assert not [title for title in titles(page) if "steel" in title]
        assert sum(count for _, count in page.facets["category"]) == page.total
        assert titles(page)[0] == "wooden garden hose"

    def test_a_minus_alone_lists_all_the_others(self) -> None:
        open_shop()
        assert len(find('-"made of steel"').results) == Product.objects.count() / 2

    def test_the_list_is_kept_with_all_that_was_typed_and_later_pages_mark_only_what_was_looked_for(
        self,
    ) -> None:
        open_shop()
        first = find("tray -steel", user_key="7", limit=2)
        assert Impression.objects.get(pk=first.request_id).query == "tray -steel"
        assert first.next is not None
        marked = [item.highlights for item in next_page(first.next, user_key="7").results]
        assert not any(
            "<mark>made" in html or "<mark>steel" in html for one in marked for html in one.values()
        )

    def test_a_pinned_item_is_not_pinned_against_what_the_visitor_says(self) -> None:
        products = open_shop()
        pinned = str(products["steel garden hose"].pk)
        Rule.objects.create(
            document="product",
            name="hose first",
            action="pin",
            items=[pinned],
            match="contains",
            phrases=["lamp"],
        )
        assert find("lamp").results[0].item_id == pinned
        assert pinned not in {item.item_id for item in find("lamp -steel").results}
        assert pinned not in {item.item_id for item in find('"desk lamp"').results}

    def test_chinese_quotes_and_a_minus(self) -> None:
        lessons("机器学习入门", "学习机器维修", "统计学习", "深度学习")
        assert titles(find("“机器学习”", document="course")) == ["机器学习入门"]
        assert "统计学习" not in titles(find("学习 -统计", document="course"))

    @examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        phrase=st.lists(
            st.sampled_from(HELD),
            max_size=2,
        ),
        unwanted=st.lists(st.sampled_from(["steel", "wooden", "lamp", "made", "hose"]), max_size=2),
        word=st.sampled_from(["tray", "lamp", "zzz", ""]),
        sort=st.sampled_from(["", "price", "-price"]),
    )
    def test_whatever_is_asked_nothing_found_breaks_it(
        self, phrase: list[str], unwanted: list[str], word: str, sort: str
    ) -> None:
        if not IndexVersion.objects.exists():
            open_shop()
        typed = " ".join(
            [word, *([f'"{" ".join(phrase)}"'] if phrase else []), *(f"-{one}" for one in unwanted)]
        )
        page = find(typed, sort=sort, results=None)
        if word == "tray" and not (phrase or unwanted):
            assert page.results
        fields = [
            [exact_terms(text) for text in (item.object.title, item.object.description)]
            for item in page.results
        ]
        size = len(phrase)
        for held in fields:
            assert not any(one in terms for terms in held for one in unwanted)
            if phrase and page.relaxed not in ("phrases", "vector"):
                assert any(
                    terms[place : place + size] == phrase for terms in held for place in range(len(terms))
                )
        wanted = {
            product.pk
            for product in Product.objects.all()
            if not set(unwanted) & set(exact_terms(f"{product.title} . {product.description}"))
        }
        assert {item.object.pk for item in page.results} <= wanted


class TestSpelling:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("wooden dsek lamp", "wooden desk lamp"),
            ("Espreso machine", "espresso machine"),
            ("fontain pen", "fountain pen"),
        ],
    )
    def test_a_word_that_no_item_holds_is_corrected_in_its_place(self, typed: str, meant: str) -> None:
        open_shop()
        assert find(typed).did_you_mean == meant

    @pytest.mark.parametrize(
        "typed",
        [
            "wooden desk lamp",
            "lamps",
            "LAMPS trays",
            '"dsek lamp"',
            "lamp -dsek",
            "lmp",
            "dsek4 lamp",
            "zzzzzz",
            "",
        ],
    )
    def test_a_query_that_can_be_taken_as_it_is_gets_no_correction(self, typed: str) -> None:
        open_shop()
        assert find(typed).did_you_mean is None

    def test_a_correction_costs_nothing_where_nothing_is_wrong(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        open_shop(copies=4)
        find("desk lamp")
        with django_assert_num_queries(4):
            find("wooden dsek lamp", limit=20)

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("机器雪习", "机器学习"),
            ("jiqixuexi", "机器学习"),
            ("tongji 入门", "统计 入门"),
            ("机器学习", None),
            ("統計", None),
        ],
    )
    def test_chinese_is_corrected_by_its_sound(self, typed: str, meant: str | None) -> None:
        lessons("零基础机器学习入门", "统计与概率", "Python 编程")
        assert find(typed, document="course").did_you_mean == meant

    def test_a_misspelt_search_that_finds_next_to_nothing_is_answered_as_it_is_meant(self) -> None:
        particular_shop()
        meant = find("espresso", facets=("category",))
        page = find("espreso", facets=("category",))
        assert (page.relaxed, page.did_you_mean) == ("spelling", "espresso")
        assert titles(page) == titles(meant) != []
        assert (page.total, page.facets) == (meant.total, meant.facets)
        assert "<mark>espresso</mark>" in page.results[0].highlights["title"]
        assert Impression.objects.get(pk=page.request_id).query == "espreso"
        further = next_page(find("espreso", limit=1).next or "", user_key=None)
        assert further.relaxed == "spelling"

    def test_rules_for_what_is_meant_hold(self) -> None:
        particular_shop()
        last = find("espresso").results[-1]
        Rule.objects.create(
            name="first",
            document="product",
            action="pin",
            items=[last.item_id],
            match="exact",
            phrases=["espresso"],
        )
        assert find("espreso").results[0].item_id == last.item_id

    def test_what_makes_sense_by_its_meaning_is_left_as_it_was_typed(self) -> None:
        open_shop()  # everything is near in meaning
        page = find("espreso")
        assert (page.relaxed, page.did_you_mean) == ("", "espresso")

    def test_an_editor_can_have_searches_answered_as_they_are_typed(self) -> None:
        particular_shop()
        Configuration(relax_queries=False).save()
        assert find("espreso", results=False).relaxed == ""

    def test_a_better_spelling_whose_items_are_filtered_away_changes_nothing(self) -> None:
        particular_shop()
        page = find("espreso", results=False, filters=(Range(field="price", gte=1e6),))
        assert (page.relaxed, page.total) == ("", 0)

    def test_without_an_engine_there_is_no_correction(self) -> None:
        open_shop()
        with silent():
            assert find("dsek").did_you_mean is None


class TestOrderOfAField:
    def test_items_with_every_word_come_in_the_order_of_the_field(self) -> None:
        open_shop()
        page = find("wooden tray", sort="price")
        prices = [item.object.price for item in page.results]
        assert sorted(titles(page)) == ["wooden paper tray", "wooden seed tray"]
        assert prices == sorted(prices)
        assert [item.object.price for item in find("wooden tray", sort="-price").results] == prices[::-1]
        assert page.relaxed == ""

    def test_total_and_facets_count_the_same_items(self) -> None:
        open_shop()
        page = find("tray", sort="price", facets=("category",))
        assert page.total == len(page.results) == sum(count for _, count in page.facets["category"])

    def test_filters_hold_and_pages_go_on_in_order(self) -> None:
        open_shop(copies=4)
        first = find("tray", sort="-price", filters=(Range(field="price", lte=50),), limit=3)
        assert first.next is not None
        prices = [
            item.object.price
            for page in (first, next_page(first.next, user_key=None))
            for item in page.results
        ]
        assert len(prices) == 6
        assert prices == sorted(prices, reverse=True)
        assert max(prices) <= 50


class TestRelaxation:
    def test_a_sorted_search_gives_up_that_every_word_occurs(self) -> None:
        open_shop()
        page = find("garden espresso", sort="price")
        assert page.relaxed == "words"
        assert "steel garden hose" in titles(page)

    def test_quotes_are_given_up_next(self) -> None:
        open_shop()
        page = find('"hose garden"')
        assert page.relaxed == "phrases"
        assert sorted(titles(page)[:2]) == ["steel garden hose", "wooden garden hose"]

    def test_at_last_the_nearest_in_meaning_are_few_and_labelled_on_every_page(self) -> None:
        open_shop()
        IndexVersion.objects.update(floor=0.999)
        page = find("xylophone", limit=5)
        assert page.relaxed == "vector"
        assert page.total == 20
        assert page.next is not None
        assert next_page(page.next, user_key=None).relaxed == "vector"

    def test_filters_and_what_is_not_wanted_hold_all_the_same(self) -> None:
        open_shop()
        page = find('"hose garden" -steel', filters=(Terms(field="category", values=("garden",)),))
        assert page.relaxed == "phrases"
        assert page.results
        assert all("wooden" in title for title in titles(page))
        assert {item.object.categories.get().name for item in page.results} == {"garden"}

    def test_an_editor_may_switch_it_off(self) -> None:
        open_shop()
        Configuration(relax_queries=False).save()
        page = find('"hose garden"', results=False)
        assert (page.results, page.relaxed) == ((), "")

    def test_where_filters_leave_nothing_there_is_nothing(self) -> None:
        open_shop()
        page = find("hose", results=False, filters=(Range(field="price", gt=1e6),))
        assert (page.results, page.total, page.relaxed) == ((), 0, "")

    def test_switched_off_there_is_no_vector_to_relax_to(self) -> None:
        open_shop()
        with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
            assert find("xylophone", results=False).results == ()


def test_the_language_of_the_query_is_told() -> None:
    open_shop()
    assert find("desk lamp").language == "en"
    assert find("台灯").language == "zh"
    assert find("123").language == ""


def test_a_new_word_is_known_at_once() -> None:
    open_shop()
    assert find("xylophone").did_you_mean is None
    Product.objects.create(title="xylophone")
    indexing.drain()
    page = find("xylophone")
    assert (titles(page)[0], page.did_you_mean) == ("xylophone", None)
