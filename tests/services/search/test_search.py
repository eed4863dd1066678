"""A query becomes one ranked, explained list, and only ever a poorer one when something is down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.exceptions import InvalidRequest, NotBuilt, NotFound
from llmrec_plugin.models import Configuration, Embedding, Impression, IndexVersion
from llmrec_plugin.services import indexing, privacy
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.search import search
from llmrec_plugin.services.search.pipeline import preview
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import Range, ResultPage, SearchRequest, Terms
from tests.hostapp.models import Product
from tests.support.pages import some, titles
from tests.support.serving import did, open_shop, silent, stock

pytestmark = pytest.mark.django_db


def find(text: str = "", *, results: bool | None = True, **values: Any) -> ResultPage:
    return some(search(SearchRequest(document="product", text=text, **values)), results=results)


def broken(fault: str) -> None:
    IndexVersion.objects.update(
        encoder_name="tests.support.faulty_encoder", encoder_options={"fault": fault}, encoder_id="faulty"
    )


def test_the_best_match_comes_first_with_its_reasons_and_highlights() -> None:
    open_shop()
    page = find("wooden desk lamp")
    best = page.results[0]
    assert best.title == "wooden desk lamp"
    assert best.reasons == ("Matches your words", "Close in meaning to your search")
    assert best.highlights["title"] == "<mark>wooden</mark> <mark>desk</mark> <mark>lamp</mark>"
    assert best.object == Product.objects.get(title="wooden desk lamp")
    assert page.degraded == ()


def test_scores_fall_along_the_list_and_are_the_sum_of_their_parts() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    page = find("paper tray", user_key="7")
    scores = [item.score for item in page.results]
    assert scores == sorted(scores, reverse=True)
    for item in page.results:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)


def test_an_anonymous_search_costs_a_fixed_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    open_shop(copies=4)
    find("desk lamp")
    # whether configuration and live pair still stand, rows, their categories, the list
    with django_assert_num_queries(4):
        page = find("paper tray", limit=20)
    assert len(page.results) == 20


def test_what_stands_in_the_database_counts_from_the_next_search_on(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """Another process may have changed it: nothing but the rows tells this one."""
    open_shop()
    IndexVersion.objects.update(floor=None)
    assert set(find("desk lamp").results[0].contributions) == {"text", "vector"}
    Configuration.objects.update_or_create(defaults={"text_weight": 1.0}, pk=1)
    assert set(find("desk lamp").results[0].contributions) == {"text"}
    Configuration.objects.filter(pk=1).update(text_weight=0.0, relax_queries=False)
    assert find("astronomy").results
    IndexVersion.objects.update(floor=0.999)
    find("astronomy", results=False)
    IndexVersion.objects.update(floor=None)
    find("desk lamp")
    with django_assert_num_queries(4):
        find("desk lamp")


def test_a_personal_search_costs_a_fixed_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    products = open_shop(copies=4)
    did("7", "purchase", list(products.values())[:10])
    Configuration(taste_weight=1.0).save()
    find("desk lamp", user_key="7")
    # the four of everybody, consent, history, titles for the reasons and their categories
    with django_assert_num_queries(8):
        page = find("paper tray", user_key="7", limit=20)
    assert any("Because you bought" in reason for item in page.results for reason in item.reasons)


def test_taste_lifts_what_is_like_the_past_and_says_so() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"], products["steel lawn mower"]])
    plain = find("tray")
    personal = find("tray", user_key="7")
    seeds = products["wooden seed tray"]
    place = [item.item_id for item in plain.results].index(str(seeds.pk))
    personal_place = [item.item_id for item in personal.results].index(str(seeds.pk))
    assert personal_place <= place
    named = {name for item in personal.results for name in item.contributions if name.startswith("taste:")}
    assert named == {f"taste:{products[title].pk}" for title in ("steel garden hose", "steel lawn mower")}
    assert not any(name.startswith("taste") for item in plain.results for name in item.contributions)


def test_the_strength_of_taste_can_be_turned_down_to_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    plain = [(item.item_id, item.score) for item in find("tray").results]
    find("lamp")
    with django_assert_num_queries(5):  # the four of everybody, and consent for keeping the list
        page = find("tray", user_key="7", personalize=0.0)
    assert [(item.item_id, item.score) for item in page.results] == plain


def test_nothing_is_personal_for_one_who_refused_and_nothing_is_kept_of_him() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    plain = [item.item_id for item in find("tray").results]
    privacy.set_consent("7", granted=False)
    Impression.objects.all().delete()
    page = find("tray", user_key="7", limit=3)
    assert [item.item_id for item in page.results] == plain[:3]
    row = Impression.objects.get()
    assert (row.user_key, row.query) == ("", "")
    assert row.extra["transient"] is True
    find("tray", user_key="7", limit=100)
    assert Impression.objects.count() == 1, "a list without further pages need not be kept at all"


def test_what_was_shown_is_kept_with_its_contributions() -> None:
    open_shop()
    page = find("desk lamp", user_key="7", limit=5)
    row = Impression.objects.get(pk=page.request_id)
    assert (row.user_key, row.query, row.document, row.placement) == ("7", "desk lamp", "product", "search")
    assert row.shown == 5
    assert row.ranking is not None
    assert [key for key, _ in row.ranking][:5] == [item.item_id for item in page.results]
    kept = row.ranking[0][1]
    assert kept == pytest.approx(dict(page.results[0].contributions), abs=1e-6)
    assert row.index_version == IndexVersion.objects.get()


def test_filters_hold_in_both_legs_and_facets_count_the_same_candidates() -> None:
    open_shop()
    page = find(
        "tray",
        filters=(Terms(field="category", values=("desk",)), Range(field="price", lte=25)),
        facets=("category", "in_stock"),
        limit=100,
    )
    assert {item.object.categories.get().name for item in page.results} == {"desk"}
    assert all(item.object.price <= 25 for item in page.results)
    assert page.total == len(page.results)
    assert list(page.facets["category"]) == [("desk", page.total)]
    assert sum(count for _, count in page.facets["in_stock"]) == page.total


def test_without_a_text_the_items_that_pass_are_listed_in_order() -> None:
    open_shop()
    page = find("  ", filters=(Terms(field="in_stock", values=(True,)),), sort="-price", limit=4)
    prices = [item.object.price for item in page.results]
    assert prices == sorted(prices, reverse=True)
    assert page.total == Product.objects.filter(in_stock=True).count()
    assert all(item.object.in_stock for item in page.results)


def test_numbers_stand_for_keywords() -> None:
    products = open_shop()
    brand = next(iter(products.values())).brand
    assert brand is not None
    assert find("tray", filters=(Terms(field="brand", values=(brand.pk,)),)).total > 0


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"filters": (Terms(field="colour", values=("red",)),)}, "colour"),
        ({"filters": (Terms(field="price", values=("cheap",)),)}, "price"),
        ({"filters": (Terms(field="price", values=(float("nan"),)),)}, "price"),
        ({"filters": (Terms(field="in_stock", values=("yes",)),)}, "in_stock"),
        ({"filters": (Terms(field="brand", values=(True,)),)}, "brand"),
        ({"filters": (Range(field="brand", gte=1),)}, "brand"),
        ({"filters": (Range(field="price"),)}, "price"),
        ({"filters": (Range(field="price", gte=float("inf")),)}, "price"),
        ({"facets": ("colour",)}, "facets"),
        ({"text": "", "sort": "colour"}, "sort"),
        ({"text": "", "sort": "-brand"}, "sort"),
        ({"sort": "-colour"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"personalize": 1.5}, "personalize"),
        ({"personalize": float("nan")}, "personalize"),
    ],
)
def test_what_cannot_be_asked_names_its_parameter(values: dict[str, Any], parameter: str) -> None:
    open_shop(copies=1)
    with pytest.raises(InvalidRequest) as caught:
        find(**{"text": "lamp"} | values)
    assert caught.value.parameter == parameter


def test_a_misspelt_filter_is_told_the_nearest() -> None:
    open_shop(copies=1)
    with pytest.raises(InvalidRequest, match="category"):
        find("lamp", filters=(Terms(field="categories", values=("desk",)),))


def test_an_unknown_document_and_one_without_an_index_say_so() -> None:
    with pytest.raises(NotFound):
        search(SearchRequest(document="productz", text="lamp"))
    with pytest.raises(NotFound):
        preview(SearchRequest(document="productz", text="lamp"))
    with pytest.raises(NotBuilt, match="llmrec build"):
        find("lamp")


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "lamp " * 3000, "\x00\x1b[31m lamp \u202e", "'\"*^() AND OR NEAR"]
)
def test_no_text_is_too_odd(text: str) -> None:
    open_shop(copies=1)
    page = find(text)
    assert page.degraded == ()
    assert len(Impression.objects.get(pk=page.request_id).query) <= 500


def test_marks_alone_leave_the_meaning_to_find_something() -> None:
    open_shop(copies=1)
    page = find("?!")
    assert page.results
    assert all(set(item.contributions) == {"vector"} for item in page.results)


@pytest.mark.parametrize("fault", ["down", "nan", "zero", "short"])
def test_without_an_encoder_words_alone_answer(fault: str) -> None:
    open_shop()
    broken(fault)
    page = find("wooden desk lamp")
    assert page.degraded == ("vector",)
    assert page.results[0].title == "wooden desk lamp"
    assert set(page.results[0].contributions) == {"text"}
    assert Impression.objects.get(pk=page.request_id).degraded == ["vector"]


def test_without_an_encoder_a_text_without_words_lists_what_passes_the_filters() -> None:
    open_shop()
    broken("down")
    page = find("?!", filters=(Terms(field="category", values=("desk",)),))
    assert page.degraded == ("vector",)
    assert page.total == 10


def test_a_query_that_is_remembered_needs_no_encoder() -> None:
    open_shop()
    found = titles(find("garden hose"))
    version = IndexVersion.objects.get()
    IndexVersion.objects.update(
        encoder_name="tests.support.faulty_encoder", encoder_options={"fault": "down"}
    )
    page = find("garden hose")
    assert (page.degraded, titles(page)) == ((), found)
    assert version.encoder_id == IndexVersion.objects.get().encoder_id


def test_a_query_that_another_process_encoded_needs_no_encoder() -> None:
    open_shop()
    query_embeddings._vectors.clear()
    found = titles(find("garden hose"))
    query_embeddings._vectors.clear()
    IndexVersion.objects.update(
        encoder_name="tests.support.faulty_encoder", encoder_options={"fault": "down"}
    )
    page = find("garden hose")
    assert (page.degraded, titles(page)) == ((), found)


def test_an_encoder_that_failed_is_left_alone_for_a_moment() -> None:
    open_shop()
    sound = IndexVersion.objects.values("encoder_name", "encoder_options", "encoder_id").get()
    broken("down")
    assert find("never asked before", results=False).degraded == ("vector",)
    pause = query_embeddings._pause_key(IndexVersion.objects.get())
    IndexVersion.objects.update(**sound | {"encoder_id": "faulty"})
    assert cache.get(pause)
    assert find("nor this", results=False).degraded == ("vector",)
    cache.delete(pause)
    IndexVersion.objects.update(**sound)
    assert find("nor this").degraded == ()


def test_only_the_latest_queries_are_remembered() -> None:
    kept: caches.LatestUsed[str, int] = caches.LatestUsed(2)
    for number, key in enumerate(["a", "b", "c"]):
        kept.put(key, number)
        kept.get("a")
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (0, None, 2)


NO_CACHE_SERVER = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:9"}
}


def test_a_cache_that_is_down_only_costs_time() -> None:
    open_shop()
    with override_settings(CACHES=NO_CACHE_SERVER):
        page = find("steel lawn mower and nothing else")
    assert page.degraded == ()
    assert page.results[0].title == "steel lawn mower"


def test_without_an_engine_popular_items_stand_in() -> None:
    products = open_shop()
    for user in ("1", "2", "3"):
        did(user, "purchase", [products["steel ink bottle"]])
    did("1", "purchase", [products["steel flower pot"]])
    with silent():
        page = find("espresso", limit=30)
    assert page.degraded == ("engine",)
    assert titles(page)[:2] == ["steel ink bottle", "steel flower pot"]
    assert page.results[0].reasons == ("Popular with everybody",)
    assert len(page.results) == 30, "new items fill the list"
    scores = [item.score for item in page.results]
    assert scores == sorted(scores, reverse=True)


def test_without_an_engine_filters_still_hold() -> None:
    open_shop()
    with silent():
        page = find(
            "espresso",
            filters=(
                Terms(field="category", values=("garden", "desk")),
                Range(field="price", gt=5, gte=5, lt=20, lte=20),
            ),
            limit=100,
        )
    assert page.results
    assert page.total == len(page.results)
    for item in page.results:
        assert item.object.categories.get().name in ("garden", "desk")
        assert 5 < item.object.price < 20


def test_without_an_engine_an_item_that_cannot_be_prepared_passes_no_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.hostapp.search_documents import ProductDocument

    open_shop()

    def fails(self: ProductDocument, product: Product) -> None:
        raise RuntimeError("the site's own bug")

    monkeypatch.setattr(ProductDocument, "prepare", fails)
    with silent():
        page = find("espresso", results=False, filters=(Terms(field="in_stock", values=(True,)),))
    assert page.results == ()


def test_an_index_that_was_lost_is_an_engine_that_is_down() -> None:
    open_shop()
    IndexVersion.objects.update(name="llmrec_product_gone")
    assert find("lamp").degraded == ("engine",)


def test_the_popular_list_comes_from_the_model_where_there_is_one() -> None:
    products = open_shop()
    for user in ("1", "2"):
        did(user, "purchase", [products["steel ink bottle"]])
    model_fit.fit("product")
    with silent():
        assert titles(find("espresso"))[0] == "steel ink bottle"


def test_switched_off_it_is_a_plain_word_search_that_stores_nothing() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        page = find("tray", user_key="7", limit=100)
    assert {name for item in page.results for name in item.contributions} == {"text"}
    assert page.degraded == ()
    assert not Impression.objects.exists()


def test_a_vanished_row_is_not_shown_and_the_page_is_full_all_the_same() -> None:
    open_shop()
    whole = find("tray", limit=100)
    Product.objects.filter(pk=whole.results[0].item_id).delete()
    Product.objects.filter(pk=whole.results[1].item_id).update(is_draft=True)
    page = find("tray", limit=5)
    assert [item.item_id for item in page.results] == [item.item_id for item in whole.results[2:7]]
    assert page.total == whole.total - 2


def test_a_draft_is_never_shown() -> None:
    open_shop()
    draft = Product.objects.create(title="secret tray", is_draft=True)
    indexing.drain()
    assert "secret tray" not in titles(find("secret tray", limit=100))
    draft.is_draft = False
    draft.save()
    indexing.drain()
    assert "secret tray" in titles(find("secret tray", limit=100))


def test_configuration_takes_effect_on_the_next_request() -> None:
    open_shop()
    both = find("wooden lamp", limit=100)
    Configuration(text_weight=1.0).save()
    words = find("wooden lamp", limit=100)
    assert {name for item in words.results for name in item.contributions} == {"text"}
    Configuration(text_weight=0.0).save()
    meaning = find("wooden lamp", limit=100)
    assert {name for item in meaning.results for name in item.contributions} == {"vector"}
    Configuration(fusion="rrf").save()
    ranks = find("wooden lamp", limit=100)
    assert {item.item_id for item in ranks.results} == {item.item_id for item in both.results}
    assert [item.score for item in ranks.results] != [item.score for item in both.results]


def test_the_floor_leaves_out_what_is_only_nonsense() -> None:
    open_shop()
    IndexVersion.objects.update(floor=0.999)
    Configuration(text_weight=0.0, relax_queries=False).save()
    assert find("astronomy", results=False).results == ()
    Configuration(text_weight=0.0, use_floor=False).save()
    assert find("astronomy").results


def test_vectors_come_from_the_database_where_the_engine_does_not_read_them(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]])
    expected = {item.item_id: item.score for item in find("tray", user_key="7").results}
    blind = {**settings.LLMREC, "BACKEND": "tests.support.write_only_vectors"}
    with override_settings(LLMREC=blind):
        find("lamp", user_key="7")  # the settings are read anew
        with django_assert_num_queries(7):
            page = find("tray", user_key="7")
    assert {item.item_id: item.score for item in page.results} == pytest.approx(expected, abs=1e-3)
    assert Embedding.objects.exists()


def test_vectors_are_read_of_nothing_where_they_change_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    open_shop()
    with override_settings(LLMREC={**settings.LLMREC, "BACKEND": "tests.support.write_only_vectors"}):
        find("lamp")
        with django_assert_num_queries(4):  # those of any anonymous search
            find("tray")


def test_what_words_alone_put_forward_is_compared_in_meaning_as_well() -> None:
    open_shop()
    Configuration(candidates=2).save()  # so few that meaning puts others forward
    page = find("wooden lamp")
    assert any("text" not in item.contributions for item in page.results)
    assert all("vector" in item.contributions for item in page.results)


def test_reasons_speak_the_language_of_the_visitor() -> None:
    open_shop()
    with translation.override("zh-hans"):
        chinese = find("wooden desk lamp").results[0].reasons
    assert chinese == ("与你的搜索词匹配", "与你的搜索意思相近")
    assert find("wooden desk lamp").results[0].reasons[0] == "Matches your words"


def test_old_events_count_less_than_new_ones() -> None:
    products = open_shop()
    did("7", "purchase", [products["steel garden hose"]], at=timezone.now() - timedelta(days=700))
    did("7", "purchase", [products["steel office chair"]])
    cache.clear()
    page = find("steel", user_key="7", limit=100)
    chair = next(item for item in page.results if item.title == "steel office chair")
    hose = f"taste:{products['steel garden hose'].pk}"
    assert (
        abs(chair.contributions.get(hose, 0.0))
        < chair.contributions[f"taste:{products['steel office chair'].pk}"]
    )


def test_stock_without_an_index_is_no_shop() -> None:
    stock(copies=1)
    with pytest.raises(NotBuilt):
        find()
