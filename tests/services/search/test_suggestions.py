"""What completes a half-typed search: items by their titles, and what many visitors have searched for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.models import Configuration, Impression, PopularQuery, Rule
from llmrec_plugin.services import indexing, privacy
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import popular_queries, search
from llmrec_plugin.services.search.autocomplete import suggest
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Course, Product
from tests.support.serving import did, open_shop, silent

pytestmark = pytest.mark.django_db


def titles(text: str, *, document: str = "product", **values: Any) -> list[str]:
    return [item.title for item in suggest(text, document=document, **values).items]


def searched(text: str, *users: str, **fields: Any) -> None:
    for user in users:
        Impression.objects.create(
            user_key=user, document="product", placement="search", query=text, **{"total": 3, **fields}
        )


def queries(text: str) -> list[str]:
    return list(suggest(text, document="product").queries)


class TestItems:
    def test_titles_go_on_as_was_typed_shorter_ones_first(self) -> None:
        open_shop()
        assert titles("la") == [
            "steel lawn mower",
            "wooden lawn mower",
            "steel desk lamp",
            "wooden desk lamp",
        ]
        assert titles("desk la") == ["steel desk lamp", "wooden desk lamp"]
        assert titles("La  DESK") == titles("desk la")
        assert titles("la", limit=1) == ["steel lawn mower"]

    def test_popular_items_come_first(self) -> None:
        products = open_shop()
        for user in ("1", "2"):
            did(user, "purchase", [products["wooden desk lamp"]])
        assert titles("la")[0] == "wooden desk lamp"

    def test_a_letter_may_be_wrong(self) -> None:
        open_shop()
        assert titles("expresso") == ["steel espresso machine", "wooden espresso machine"]
        assert titles("gaden ho") == ["steel garden hose", "wooden garden hose"]
        assert titles("xyz") == []

    def test_chinese_is_completed_in_characters_and_in_pinyin(self) -> None:
        Course.objects.bulk_create(
            Course(title=title) for title in ("零基础机器学习", "机器翻译", "统计学习", "Machine learning")
        )
        build("course")
        for typed in ("机器", "機器", "jiqi", "jq", "JiQi"):
            assert titles(typed, document="course") == ["机器翻译", "零基础机器学习"], typed
        assert titles("jiqixue", document="course") == ["零基础机器学习"]
        assert titles("xuexi", document="course")[0] in ("统计学习", "零基础机器学习")
        assert titles("器翻", document="course") == []

    def test_a_new_item_is_suggested_once_it_is_indexed_and_a_draft_never(self) -> None:
        open_shop()
        product = Product.objects.create(title="xylophone")
        indexing.drain()
        assert titles("xyl") == ["xylophone"]
        Product.objects.filter(pk=product.pk).update(is_draft=True)
        assert titles("xyl") == []

    def test_what_editors_hide_everywhere_is_not_suggested(self) -> None:
        products = open_shop()
        Rule.objects.create(
            document="product", name="no lamp", action="hide", items=[str(products["steel desk lamp"].pk)]
        )
        Rule.objects.create(
            document="product", name="no wood", action="hide", item_filters={"price__gte": "20"}
        )
        assert "steel desk lamp" not in titles("la")
        assert all(item.object.price < 20 for item in suggest("la", document="product").items)

    def test_the_number_of_queries_is_fixed(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        open_shop()
        titles("la")
        # configuration, live pair, rows, their categories
        with django_assert_num_queries(4):
            assert titles("wood")

    def test_without_an_engine_there_are_searches_only(self) -> None:
        open_shop()
        PopularQuery.objects.create(document="product", text="lamp", visitors=9)
        Configuration().save()
        with silent():
            found = suggest("la", document="product")
        assert (found.queries, found.items, found.degraded) == (("lamp",), (), ("engine",))

    def test_an_unknown_document_or_size_is_refused(self) -> None:
        with pytest.raises(NotFound):
            suggest("la", document="nothing")
        for size in (0, 21, True):
            with pytest.raises(InvalidRequest) as caught:
                suggest("la", document="product", limit=size)
            assert caught.value.parameter == "limit"


class TestSearches:
    def test_what_enough_visitors_searched_for_is_suggested_most_popular_first(self) -> None:
        open_shop()
        searched("Desk lamp", "1", "2", "3", "4")
        searched("desk lamp", "4", "5")
        searched("desk chair", *map(str, range(7)))
        searched("desk of ada lovelace", "1", "2", "3", "4")
        searched("desk plan", *(["1"] * 9))
        assert popular_queries.count_queries() == {"course": 0, "product": 2}
        assert queries("des") == ["desk chair", "desk lamp"]
        assert queries("DESK L") == ["desk lamp"]
        assert queries("desk lamp") == []  # it is typed already
        assert queries("") == ["desk chair", "desk lamp"]

    def test_five_visitors_can_be_asked_for_or_fewer(self) -> None:
        open_shop()
        searched("desk lamp", "1", "2")
        with override_settings(LLMREC={**settings.LLMREC, "SUGGEST_MIN_VISITORS": 2}):
            popular_queries.count_queries()
        assert queries("d") == ["desk lamp"]
        popular_queries.count_queries()
        assert queries("d") == []

    def test_only_lists_count_that_found_something_as_it_was_typed_of_visitors_who_agree(self) -> None:
        open_shop()
        everybody = list(map(str, range(5)))
        searched("found nothing", *everybody, total=0)
        searched("found by meaning", *everybody, extra={"relaxed": "vector"})
        searched("nobody in particular", *([""] * 5))
        searched(
            "another list",
            *everybody,
        )
        Impression.objects.filter(query="another list").update(placement="for-you")
        searched("x" * 61, *everybody)
        searched("of four", *everybody)
        privacy.set_consent("4", granted=False)
        popular_queries.count_queries()
        assert not PopularQuery.objects.exists()

    def test_what_nobody_searches_for_any_more_is_forgotten(self) -> None:
        open_shop()
        searched("desk lamp", *map(str, range(5)))
        popular_queries.count_queries()
        assert queries("d") == ["desk lamp"]
        Impression.objects.update(at=timezone.now() - timedelta(days=91))
        popular_queries.count_queries()
        assert queries("d") == []

    def test_a_letter_may_be_wrong_and_chinese_typed_in_pinyin(self) -> None:
        open_shop()
        for text in ("garden hose", "机器学习"):
            PopularQuery.objects.create(document="product", text=text, visitors=9)
        Configuration().save()
        assert queries("gadren") == ["garden hose"]
        assert queries("jiqixue") == queries("jqx") == queries("機器") == ["机器学习"]
        assert queries("hose") == []

    def test_a_real_search_is_what_is_counted(self) -> None:
        open_shop()
        for user in "12345":
            search(SearchRequest(document="product", text="garden hose", user_key=user))
        popular_queries.count_queries()
        assert queries("gar") == ["garden hose"]
        privacy.erase_user("1")
        popular_queries.count_queries()
        assert queries("gar") == []
