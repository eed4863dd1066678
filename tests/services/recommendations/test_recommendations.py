"""Lists without a query: true reasons, nothing hidden shown, and never shorter than there are items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import override_settings
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotBuilt, NotFound
from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.scorers.catalogue_scores import Weights
from llmrec_plugin.learning.selection.model_config import ScorerConfig
from llmrec_plugin.models import (
    Configuration,
    Deployment,
    Impression,
    IndexVersion,
    Interaction,
    ModelVersion,
)
from llmrec_plugin.services import indexing, interactions, privacy, recommendations
from llmrec_plugin.services.curation.placements import all_placements, get_placement
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import learned_by, loaded
from llmrec_plugin.services.recommendations import context as recommendation_context
from llmrec_plugin.services.recommendations import pipeline
from llmrec_plugin.services.serving.stored_lists import next_page
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import ResultItem, ResultPage, Terms
from tests.hostapp.models import Course, Learner, Product
from tests.support.indexed import undeclared
from tests.support.pages import some, titles
from tests.support.serving import did, open_shop, silent, stock

pytestmark = pytest.mark.django_db

Products = dict[str, Product]


@pytest.fixture
def shop() -> Products:
    return open_shop()


@pytest.fixture
def trained(shop: Products) -> Products:
    """Twelve users who bought hose and mower, twelve lamp and chair, one of the first also a pot."""
    for user in range(12):
        did(f"g{user}", "purchase", [shop["steel garden hose"], shop["steel lawn mower"]])
        did(f"d{user}", "purchase", [shop["steel desk lamp"], shop["steel office chair"]])
    did("g0", "purchase", [shop["steel flower pot"]])
    model_fit.fit("product")
    return shop


def recommend(placement: str = "for-you", **values: Any) -> ResultPage:
    results = values.pop("results", True)
    return some(recommendations.recommend(placement, **{"document": "product"} | values), results=results)


def item(page: ResultPage, title: str) -> ResultItem:
    return next(found for found in page.results if found.title == title)


def assert_in_order(page: ResultPage) -> None:
    scores = [found.score for found in page.results]
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-9)
    for found in page.results:
        assert found.score == pytest.approx(sum(found.contributions.values()), abs=1e-6)
    assert len({found.item_id for found in page.results}) == len(page.results)


# for you


def test_for_you_follows_other_people_and_names_the_cause(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    page = recommend(user_key="7")
    assert page.results[0].title == "steel lawn mower"
    assert "People who bought “steel garden hose” also bought this" in page.results[0].reasons
    assert_in_order(page)
    assert page.degraded == ()


def test_what_nobody_took_together_is_told_as_alike_and_never_as_taken_by_others(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    hose = trained["steel garden hose"].pk
    page = recommend(user_key="7", explain=True)
    found = item(page, "wooden garden hose")  # nobody ever bought it
    assert found.contributions[f"text_neighbours:{hose}"] > 0
    assert f"neighbours:{hose}" not in found.contributions
    assert item(page, "steel lawn mower").contributions[f"neighbours:{hose}"] > 0
    told = {reason for found in page.results for reason in found.reasons}
    assert "People who bought “steel garden hose” also bought this" in item(page, "steel lawn mower").reasons
    assert not any(reason.startswith("People who") for reason in found.reasons)
    assert "Similar to “steel garden hose”" in told
    assert_in_order(page)


@pytest.mark.parametrize("placement", ["also-bought", "basket"])
def test_lists_of_what_others_took_begin_with_that_and_no_likeness_counts_as_it(
    trained: Products, placement: str
) -> None:
    hose = trained["steel garden hose"].pk
    about: dict[str, Any] = {"item_id": str(hose)} if placement == "also-bought" else {"basket": [hose]}
    page = recommend(placement, **about)
    taken = [found.title for found in page.results if f"neighbours:{hose}" in found.contributions]
    assert taken == titles(page)[: len(taken)] == ["steel lawn mower", "steel flower pot"]
    assert not any(
        name.startswith("text_neighbours:") for found in page.results for name in found.contributions
    )


def test_given_items_are_put_in_the_order_of_for_you_and_none_is_added_or_left_out(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    names = ["steel desk lamp", "steel garden hose", "steel lawn mower"]
    keys = [str(trained[name].pk) for name in names]
    ordered = pipeline.rank_items("product", keys, user_key="7")
    assert {item.key for item in ordered} == set(keys)
    of_others = [item.key for item in ordered if item.key != keys[1]]
    assert of_others == [keys[2], keys[0]]
    assert pipeline.rank_items("product", [], user_key="7") == []


def test_what_is_trending_depends_on_the_moment_asked_for(shop: Products) -> None:
    did("1", "purchase", [shop["steel desk lamp"]])
    Interaction.objects.update(at=timezone.now() - timedelta(days=30))
    did("2", "purchase", [shop["steel lawn mower"]])
    then = recommend("trending", now=timezone.now() - timedelta(days=20))
    assert titles(then)[0] == "steel desk lamp"
    assert titles(recommend("trending"))[0] == "steel lawn mower"


def test_for_you_follows_taste_where_nobody_bought_yet(shop: Products) -> None:
    did("7", "view", [shop["steel garden hose"]])
    page = recommend(user_key="7")
    assert page.results[0].title == "wooden garden hose"
    assert page.results[0].reasons[0] == "Because you viewed “steel garden hose”"
    assert_in_order(page)


@pytest.mark.parametrize("kind", ["purchase", "enrol", "dismiss"])
def test_what_was_taken_or_dismissed_is_never_in_for_you(shop: Products, kind: str) -> None:
    taken = [shop["steel garden hose"], shop["wooden garden hose"]]
    did("7", kind, taken)
    did("7", "view", [shop["steel lawn mower"]])
    page = recommend(user_key="7", limit=100)
    assert not {str(product.pk) for product in taken} & {found.item_id for found in page.results}
    assert len(page.results) == len(shop) - 2


def test_what_was_only_viewed_comes_last(shop: Products) -> None:
    did("7", "view", [shop["steel garden hose"]])
    page = recommend(user_key="7", limit=100)
    assert titles(page)[-1] == "steel garden hose"
    assert len(page.results) == len(shop)
    assert_in_order(page)


def test_dismissals_push_away(shop: Products) -> None:
    did("7", "purchase", [shop["steel flower pot"]])
    before = titles(recommend(user_key="7", limit=100)).index("wooden garden hose")
    did("7", "dismiss", [shop["steel garden hose"]])
    page = recommend(user_key="7", limit=100)
    assert titles(page).index("wooden garden hose") > before
    assert not any("garden hose" in reason for found in page.results for reason in found.reasons)


def test_one_who_only_dismissed_gets_a_full_list_that_claims_no_taste(shop: Products) -> None:
    did("7", "dismiss", [shop["steel garden hose"]])
    page = recommend(user_key="7", limit=100)
    assert len(page.results) == len(shop) - 1
    assert not any(reason.startswith(("Because", "Matches")) for f in page.results for reason in f.reasons)


def test_the_stated_cause_is_a_cause(trained: Products) -> None:
    """Without the event that a reason names, less speaks for the item it is given for."""

    def personal(found: ResultItem) -> float:
        codes = ("taste", "neighbours:", "text_neighbours:")
        return sum(value for name, value in found.contributions.items() if name.startswith(codes))

    hose, lamp, pot = (trained[f"steel {name}"] for name in ("garden hose", "desk lamp", "flower pot"))
    did("7", "purchase", [lamp, pot, hose])
    named = {str(hose.pk): hose, str(lamp.pk): lamp, str(pot.pk): pot}
    page = recommend(user_key="7", limit=100)
    checked = 0
    for found in page.results:
        for cause, product in named.items():
            if not any(product.title in reason for reason in found.reasons):
                continue
            Interaction.objects.filter(user_key="7", item_id=cause).delete()
            without = recommend(user_key="7", limit=100)
            later = next((other for other in without.results if other.item_id == found.item_id), None)
            assert later is None or personal(later) < personal(found), (found.title, product.title)
            did("7", "purchase", [product])
            checked += 1
    assert checked >= 3


def test_a_new_user_gets_popular_and_new_items(trained: Products) -> None:
    new = Product.objects.create(title="brand new bench")
    indexing.drain()
    page = recommend(user_key="nobody yet", limit=30)
    assert set(titles(page)[:5]) >= {"steel garden hose", "steel lawn mower"}
    assert "Popular with everybody" in item(page, "steel garden hose").reasons
    assert item(page, new.title).reasons == ("New here",)
    assert_in_order(page)


def test_a_new_user_who_said_what_he_likes_gets_that(shop: Products) -> None:
    user = User.objects.create(username="ann")
    Learner.objects.create(user=user, interests="I love coffee: espresso machine, coffee beans")
    page = recommend(user_key=str(user.pk))
    assert {found.object.categories.get().name for found in page.results[:3]} == {"coffee"}
    assert page.results[0].reasons[0] == "Matches your interests"
    assert_in_order(page)


def test_words_about_a_user_who_refused_are_not_used(shop: Products) -> None:
    user = User.objects.create(username="ann")
    Learner.objects.create(user=user, interests="espresso machine, coffee beans")
    privacy.set_consent(str(user.pk), granted=False)
    everybody = titles(recommend())
    assert titles(recommend(user_key=str(user.pk))) == everybody


def test_without_an_encoder_words_about_a_user_are_left_out(shop: Products) -> None:
    user = User.objects.create(username="ann")
    Learner.objects.create(user=user, interests="something never asked before")
    IndexVersion.objects.update(
        encoder_name="tests.support.faulty_encoder", encoder_options={"fault": "down"}, encoder_id="faulty"
    )
    page = recommend(user_key=str(user.pk))
    assert page.degraded == ("vector",)
    assert len(page.results) == 12


def test_an_item_that_nobody_took_is_not_called_popular(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    page = recommend(user_key="7", limit=100)
    known = {"steel garden hose", "steel lawn mower", "steel desk lamp", "steel office chair"}
    popular = {found.title for found in page.results if "Popular with everybody" in found.reasons}
    assert popular <= known


def test_an_item_is_as_likely_to_be_taken_whatever_it_is_listed_with(trained: Products) -> None:
    version, learned = ModelVersion.objects.get(), learned_by(ModelVersion.objects.get())
    proven = Adaptation(
        encoder_id=IndexVersion.objects.get().encoder_id,
        config=ScorerConfig(weights=Weights(taste=2.0, neighbours=1.0, popularity=0.5)),
        head=None,
        pointwise=Pointwise(taste=1.5, neighbours=1.0, popularity=1.0, bias=-2.0),
    )
    loaded.put(str(version.artefact_id), replace(learned, adaptation=proven))
    did("7", "view", [trained["steel garden hose"]])
    everything = recommend(user_key="7", limit=100)
    confined = recommend(user_key="7", limit=100, filters=(Terms(field="category", values=("desk",)),))
    likely = {found.item_id: found.probability for found in everything.results}
    told = {found.item_id: found.probability for found in confined.results}
    assert len(told) == 10
    assert None not in told.values()
    assert told == pytest.approx({key: likely[key] for key in told}, abs=1e-6)


def test_who_took_what_no_index_holds_yet_gets_a_list_all_the_same(trained: Products) -> None:
    did("7", "purchase", [Product.objects.create(title="brand new bench")])
    page = recommend(user_key="7", limit=100)
    assert page.degraded == ()
    assert len(page.results) == len(trained)


def test_for_you_of_a_user_costs_a_bounded_number_of_queries(
    trained: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    did("7", "purchase", list(trained.values())[:8])
    recommend(user_key="7")
    # configuration, consent, history, taken, live pair, newest, rows, categories, titles, categories, list
    with django_assert_num_queries(11):
        recommend(user_key="7")


def test_more_diversity_spreads_the_list(shop: Products) -> None:
    did("7", "view", [shop["steel garden hose"]])
    Configuration(diversity=0.0).save()
    alike = titles(recommend(user_key="7"))
    Configuration(diversity=1.0).save()
    page = recommend(user_key="7")
    assert titles(page) != alike
    assert page.results[0].title == alike[0]
    assert_in_order(page)


# about an item


def test_similar_items_are_near_and_never_the_item_itself(shop: Products) -> None:
    hose = shop["steel garden hose"]
    page = recommendations.similar("product", hose.pk, limit=100)
    assert page.results[0].title == "wooden garden hose"
    assert page.results[0].reasons == ("Similar to “steel garden hose”",)
    assert str(hose.pk) not in {found.item_id for found in page.results}
    assert len(page.results) == len(shop) - 1
    assert_in_order(page)


def test_similar_costs_a_bounded_number_of_queries(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pk = shop["steel garden hose"].pk
    recommendations.similar("product", pk)
    # configuration, live pair, item and its categories, newest, rows, categories, title, categories, list
    with django_assert_num_queries(10):
        recommendations.similar("product", pk)


@pytest.mark.parametrize("placement", ["similar", "also-bought"])
def test_a_list_about_an_item_is_told_which(shop: Products, placement: str) -> None:
    assert recommend(placement, item_id=str(shop["steel garden hose"].pk)).results
    with pytest.raises(InvalidRequest, match="needs the item it is about") as caught:
        recommend(placement)
    assert caught.value.parameter == "item_id"


def test_a_title_that_no_sentence_names_is_not_read(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pk = shop["steel garden hose"].pk
    with silent():
        recommendations.similar("product", pk)
        # as where the engine answers; for the title and its categories, the vector of the item
        with django_assert_num_queries(9):
            page = recommendations.similar("product", pk)
    assert not any("steel garden hose" in reason for found in page.results for reason in found.reasons)


def test_an_item_that_is_not_indexed_yet_has_similar_ones_at_once(shop: Products) -> None:
    new = Product.objects.create(title="iron garden hose", description="A garden hose for garden lovers.")
    page = recommendations.similar("product", new.pk)
    assert "garden hose" in page.results[0].title
    assert page.results[0].reasons == ("Similar to “iron garden hose”",)


def test_an_item_that_is_not_to_be_found_has_similar_ones_all_the_same(
    shop: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.hostapp.search_documents import ProductDocument

    new = Product.objects.create(title="iron garden hose")
    prepare = ProductDocument.prepare
    monkeypatch.setattr(
        ProductDocument, "prepare", lambda self, p: None if p.pk == new.pk else prepare(self, p)
    )
    assert len(recommendations.similar("product", new.pk).results) == 12


def test_an_item_without_a_vector_is_honest_about_it(shop: Products) -> None:
    new = Product.objects.create(title="iron garden hose")
    IndexVersion.objects.update(
        encoder_name="tests.support.faulty_encoder", encoder_options={"fault": "down"}, encoder_id="faulty"
    )
    page = recommendations.similar("product", new.pk)
    assert page.degraded == ("vector",)
    assert len(page.results) == 12
    assert not any("Similar" in reason for found in page.results for reason in found.reasons)


def test_also_follows_people_then_content(trained: Products) -> None:
    hose = trained["steel garden hose"]
    page = recommendations.also_bought("product", hose.pk, limit=20)
    assert page.results[0].title == "steel lawn mower"
    assert page.results[0].reasons == ("People who bought “steel garden hose” also bought this",)
    assert item(page, "wooden garden hose").reasons == ("Similar to “steel garden hose”",)
    assert_in_order(page)


def test_also_of_a_new_item_is_similar_and_says_so(trained: Products) -> None:
    page = recommendations.also_bought("product", trained["wooden paper tray"].pk)
    assert page.results[0].reasons == ("Similar to “wooden paper tray”",)
    assert len(page.results) == 12


def test_also_speaks_of_what_people_did(shop: Products) -> None:
    for user in range(12):
        did(f"u{user}", "enrol", [shop["steel garden hose"], shop["steel lawn mower"]])
    model_fit.fit("product")
    page = recommendations.also_bought("product", shop["steel garden hose"].pk)
    assert page.results[0].reasons == ("People who enrolled in “steel garden hose” also enrolled in this",)


@pytest.mark.parametrize("key", ["999999", "no number", ""])
def test_an_unknown_item_is_not_found(shop: Products, key: str) -> None:
    for find in (recommendations.similar, recommendations.also_bought):
        with pytest.raises(NotFound):
            find("product", key)


def test_a_draft_has_no_list_and_is_in_none(shop: Products) -> None:
    draft = shop["wooden garden hose"]
    Product.objects.filter(pk=draft.pk).update(is_draft=True)
    with pytest.raises(NotFound):
        recommendations.similar("product", draft.pk)
    page = recommendations.similar("product", shop["steel garden hose"].pk, limit=100)
    assert draft.title not in titles(page)
    for placement in ("for-you", "latest", "trending"):
        assert draft.title not in titles(recommend(placement, limit=100))


def test_a_dismissed_item_is_hidden_from_its_user_only(shop: Products) -> None:
    did("7", "dismiss", [shop["wooden garden hose"]])
    pk = shop["steel garden hose"].pk
    assert "wooden garden hose" not in titles(recommendations.similar("product", pk, user_key="7", limit=100))
    assert "wooden garden hose" in titles(recommendations.similar("product", pk, user_key="8", limit=100))
    assert "wooden garden hose" not in titles(recommend("latest", user_key="7", limit=100))


# because you viewed


def test_the_last_item_turned_to_is_the_anchor_and_named(trained: Products) -> None:
    did("7", "view", [trained["steel desk lamp"]], at=timezone.now() - timedelta(days=2))
    did("7", "view", [trained["steel garden hose"]])
    page = recommend("because-you-viewed", user_key="7")
    # what is like it, and what people took along, often and once
    assert set(titles(page)[:3]) == {"wooden garden hose", "steel lawn mower", "steel flower pot"}
    assert item(page, "wooden garden hose").reasons == ("Because you viewed “steel garden hose”",)
    assert "steel garden hose" not in titles(page)
    assert_in_order(page)


def test_an_anchor_that_is_gone_gives_way_to_the_one_before(shop: Products) -> None:
    did("7", "purchase", [shop["steel desk lamp"], shop["steel garden hose"]])
    Product.objects.filter(title="steel garden hose").delete()
    page = recommend("because-you-viewed", user_key="7")
    assert page.results[0].title == "wooden desk lamp"
    assert page.results[0].reasons == ("Because you bought “steel desk lamp”",)


def test_without_a_past_it_is_the_list_of_a_new_user(trained: Products) -> None:
    assert titles(recommend("because-you-viewed", user_key="new")) == titles(recommend())


# for everybody


def test_trending_counts_new_events_more_and_each_user_once_a_day(shop: Products) -> None:
    now = timezone.now()
    noon = (now - timedelta(days=1)).replace(
        hour=12
    )  # what the one visitor does must not reach into a second day
    for user in range(6):
        did(f"u{user}", "purchase", [shop["steel flower pot"]], at=now - timedelta(days=20))
    for user in range(3):
        did(f"u{user}", "purchase", [shop["steel ink bottle"]], at=noon)
    did("spammer", "purchase", [shop["steel milk frother"]] * 40, at=noon)
    page = recommend("trending", limit=30)
    assert titles(page)[0] == "steel ink bottle"
    assert page.results[0].reasons == ("Popular this week",)
    assert titles(page).index("steel milk frother") > 0
    assert item(page, "steel milk frother").reasons == ()  # of one visitor alone
    assert item(page, "steel flower pot").reasons == ("Popular lately",)
    assert len(page.results) == 30
    assert_in_order(page)


def rated(item: Product, stars: float, *, by: range, at: timedelta = timedelta(hours=2)) -> None:
    for user in by:
        interactions.record(
            user_key=f"r{user}",
            document="product",
            item_id=item.pk,
            kind="rating",
            value=stars,
            at=timezone.now() - at,
        )


@pytest.mark.parametrize("placement", ["trending", "popular", "for-you"])
def test_bad_ratings_make_nothing_popular_and_good_ones_do(shop: Products, placement: str) -> None:
    rated(shop["steel flower pot"], 1, by=range(20))
    rated(shop["steel ink bottle"], 5, by=range(4))
    rated(shop["steel desk lamp"], 3, by=range(9))  # says nothing
    page = recommend(placement, limit=30)
    assert titles(page)[0] == "steel ink bottle"
    for title in ("steel flower pot", "steel desk lamp"):
        assert not {"popularity", "trending", "earlier"} & set(item(page, title).contributions)
        assert not any("opular" in reason for reason in item(page, title).reasons)


def test_bad_ratings_take_from_what_is_popular(shop: Products) -> None:
    for title, unhappy in (("steel flower pot", 9), ("steel ink bottle", 0), ("steel desk lamp", 3)):
        for user in range(9):
            did(f"u{user}", "purchase", [shop[title]], at=timezone.now() - timedelta(hours=2))
        rated(shop[title], 1, by=range(unhappy))
    page = recommend("popular", limit=3)
    assert titles(page)[:2] == ["steel ink bottle", "steel desk lamp"]  # 9 people and 9 - 3, of 9 - 9 nothing
    assert item(page, "steel desk lamp").contributions["popularity"] == pytest.approx(6 / 9)
    trend = recommend("trending", limit=3)
    # a purchase weighs 4, a rating of one star -2: 36, 36 - 6 and 36 - 18 points
    assert titles(trend)[:3] == ["steel ink bottle", "steel desk lamp", "steel flower pot"]
    assert item(trend, "steel flower pot").score == pytest.approx(18 / 36)


def test_one_machine_is_one_person_however_many_keys_it_makes(shop: Products) -> None:
    for number in range(300):
        did(f"anon:machine{number}.abcde", "view", [shop["steel flower pot"]])
    for number in range(6):
        did(f"anon:person{number}.0000{number}", "view", [shop["steel ink bottle"]])
        did(f"{number}", "view", [shop["steel desk lamp"]])
    page = recommend("trending", limit=30)
    assert item(page, "steel ink bottle").reasons == ("Viewed 6 times this week",)
    assert item(page, "steel desk lamp").reasons == ("Viewed 6 times this week",)
    assert item(page, "steel flower pot").reasons == ()
    assert set(titles(recommend("popular", limit=2))) == {"steel ink bottle", "steel desk lamp"}


def test_a_trend_says_how_often_an_item_was_chosen_this_week(shop: Products) -> None:
    now = timezone.now()
    for user in range(7):
        did(f"u{user}", "view", [shop["steel flower pot"]], at=now - timedelta(hours=3))
        did(f"u{user}", "click", [shop["steel flower pot"]], at=now - timedelta(hours=3))
    for user in range(5):
        did(f"u{user}", "view", [shop["steel ink bottle"]], at=now - timedelta(hours=2))
        did(f"u{user}", "purchase", [shop["steel ink bottle"]] * 2, at=now - timedelta(hours=2))
        did(f"u{user}", "purchase", [shop["steel desk lamp"]], at=now - timedelta(days=9))
    did("u0", "purchase", [shop["steel desk lamp"]], at=now - timedelta(hours=2))
    page = recommend("trending", limit=4)
    assert item(page, "steel ink bottle").reasons == ("Bought 5 times this week",)
    assert item(page, "steel flower pot").reasons == ("Viewed 7 times this week",)
    assert item(page, "steel desk lamp").reasons == ("Popular lately",)  # one purchase makes no week
    further = next_page(page.next or "", user_key=None)
    assert not any("week" in reason for found in further.results for reason in found.reasons)
    with translation.override("zh-hans"):
        told = item(recommend("trending", limit=4), "steel ink bottle").reasons
    assert told == ("近一周售出 5 次",)


def test_what_is_popular_by_the_latest_events_alone_is_not_told_as_lasting_fame(trained: Products) -> None:
    told = {reason for found in recommend(limit=4).results for reason in found.reasons}
    assert "Popular with everybody" in told
    version = ModelVersion.objects.get()
    learned = learned_by(version)
    lately = Adaptation(encoder_id="another", config=ScorerConfig(popularity="latest"), head=None)
    loaded.put(str(version.artefact_id), replace(learned, adaptation=lately))
    told = {reason for found in recommend(limit=4).results for reason in found.reasons}
    assert "Popular lately" in told
    assert "Popular with everybody" not in told


def test_trending_is_one_query_and_then_remembered(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    did("u", "purchase", [shop["steel flower pot"]])
    recommend("latest")
    # configuration, live pair, trend, popular, newest, rows, categories, list
    with django_assert_num_queries(8):
        recommend("trending")
    with django_assert_num_queries(6):
        recommend("trending")


def test_nothing_of_one_who_refused_makes_a_trend(shop: Products) -> None:
    did("u", "purchase", [shop["steel flower pot"]])
    assert recommend("trending").results[0].reasons == ("Popular this week",)
    privacy.set_consent("u", granted=False)
    cache.clear()
    page = recommend("trending")
    assert page.results
    assert not any("Popular" in reason for found in page.results for reason in found.reasons)


def test_latest_is_by_date_and_needs_no_engine(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    oldest = shop["steel flower pot"]
    Product.objects.filter(pk=oldest.pk).update(created=timezone.now() - timedelta(days=9))
    newest = Product.objects.create(title="brand new bench")
    silent = override_settings(LLMREC={**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"})
    # configuration, live pair and twice more where it is not known yet, newest, rows, categories, what else
    # there is, list
    with silent, django_assert_num_queries(9):
        page = recommend("latest", limit=100)
    assert (titles(page)[0], titles(page)[-1]) == (newest.title, oldest.title)
    assert page.results[0].reasons == ("New here",)
    assert page.results[-1].reasons == ()
    assert page.degraded == ()


# never too short


def test_a_short_list_goes_on_with_the_newest_however_many_are_looked_through(
    shop: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendation_context, "CHUNK", 10)  # steps that a small shop takes, too
    Configuration(candidates=5).save()
    oldest_first = list(Product.objects.order_by("created", "pk"))
    for number, product in enumerate(oldest_first[:5]):
        did(f"u{number}", "purchase", [product])
    page = recommend("popular", limit=12)
    newest = [product.title for product in oldest_first[::-1]]
    assert set(titles(page)[:5]) == set(newest[-5:])
    assert titles(page)[5:] == newest[:7]
    did("7", "purchase", oldest_first[10:])
    assert set(titles(recommend(user_key="7", limit=12))) == set(newest[20:])


def test_a_short_list_of_a_category_goes_on_with_all_of_it(
    shop: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendation_context, "CHUNK", 10)
    Configuration(candidates=3).save()
    page = recommend("latest", limit=100, filters=(Terms(field="category", values=("coffee", "garden")),))
    assert len(page.results) == 20


# placements


def placed(**placements: Any) -> override_settings:
    return override_settings(LLMREC={**settings.LLMREC, "PLACEMENTS": placements})


def test_a_site_declares_its_own_placements(shop: Products) -> None:
    slots = {
        "home": {"type": "popular", "document": "product", "limit": 3},
        "bought": {"type": "because-you-viewed", "document": "product", "anchor": ["purchase"], "hide": []},
        "beside": {"type": "similar", "document": "product", "limit": 2},
    }
    did("7", "purchase", [shop["steel desk lamp"]])
    did("7", "view", [shop["steel garden hose"]])
    with placed(**slots):
        assert len(recommend("home", document=None).results) == 3
        page = recommend("bought", document=None, user_key="7")
        assert page.results[0].reasons[0] == "Because you bought “steel desk lamp”"
        beside = recommend("beside", item_id=str(shop["steel garden hose"].pk))
        assert len(beside.results) == 2
        with pytest.raises(InvalidRequest) as caught:
            recommend("beside")
        assert caught.value.parameter == "item_id"
        assert Impression.objects.get(pk=beside.request_id).placement == "beside"


def test_a_setting_replaces_a_built_in_placement() -> None:
    with placed(latest={"limit": 30}):
        assert get_placement("latest").limit == 30
    assert get_placement("latest").limit == 12


@pytest.mark.parametrize(
    ("declared", "word"),
    [
        ({"type": "for-me"}, "for-you"),
        ({"type": "latest", "limits": 3}, '"limit"'),
        ({"type": "latest", "limit": 0}, "1 to 100"),
        ({"type": "latest", "limit": "many"}, "1 to 100"),
        ({"type": "latest", "hide": ["buy"]}, "purchase"),
        ({"type": "latest", "hide": "purchase"}, "list"),
        ({"type": "latest", "document": 5}, "label"),
        ("latest", "dict"),
        ({"limit": 3}, "for-you"),
    ],
)
def test_a_wrong_placement_names_the_setting(declared: Any, word: str) -> None:
    with placed(mine=declared), pytest.raises(ConfigurationError) as caught:
        all_placements()
    assert 'LLMREC["PLACEMENTS"]["mine"]' in str(caught.value)
    assert word in str(caught.value)


def test_the_name_of_a_placement_fits_its_column() -> None:
    with placed(**{"x" * 51: {"type": "latest"}}), pytest.raises(ConfigurationError, match="50 characters"):
        all_placements()


def test_a_site_with_one_document_need_not_name_it(shop: Products) -> None:
    with undeclared(*(type(document) for document in registry if document.label != "product")):
        assert len(recommend(document=None).results) == 12


def test_a_document_without_a_date_is_newest_by_its_key() -> None:
    courses = [Course.objects.create(title=f"course {number}") for number in range(4)]
    page = recommend("latest", document="course")
    assert [found.item_id for found in page.results] == sorted((str(c.pk) for c in courses), reverse=True)


def test_unknown_names_say_what_there_is(shop: Products) -> None:
    with pytest.raises(NotFound, match="for-you"):
        recommend("for-yu")
    with pytest.raises(NotFound, match="product"):
        recommend(document="productz")
    with pytest.raises(InvalidRequest, match="course, product") as caught:
        recommend(document=None)
    assert caught.value.parameter == "document"
    with pytest.raises(InvalidRequest) as caught:
        recommend(limit=101)
    assert caught.value.parameter == "limit"


# whatever is down or missing


def test_lists_are_full_without_an_engine(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    silent = override_settings(LLMREC={**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"})
    pk = trained["steel garden hose"].pk
    with silent:
        for_you = recommend(user_key="7")
        similar = recommendations.similar("product", pk)
        together = recommendations.also_bought("product", pk)
    assert [page.degraded for page in (for_you, similar, together)] == [("engine",)] * 3
    assert [len(page.results) for page in (for_you, similar, together)] == [12] * 3
    assert for_you.results[0].title == "steel lawn mower", "what people took is known without the engine"
    assert together.results[0].title == "steel lawn mower"
    for page in (for_you, similar, together):
        assert_in_order(page)


def test_placements_are_full_before_the_first_index_is_built() -> None:
    stock()
    for placement in ("for-you", "because-you-viewed", "trending", "latest"):
        assert len(recommend(placement, user_key="7").results) == 12
    with pytest.raises(NotBuilt):
        recommendations.similar("product", Product.objects.first().pk)  # type: ignore[union-attr]


def test_switched_off_nothing_is_personal(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    everybody = titles(recommend())
    Impression.objects.all().delete()
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        assert titles(recommend(user_key="7")) == everybody
        assert len(recommendations.similar("product", trained["steel desk lamp"].pk).results) == 12
    assert not Impression.objects.filter(user_key="7").exists()


def test_an_empty_shop_has_empty_lists() -> None:
    Deployment.objects.all().delete()
    for placement in ("for-you", "because-you-viewed", "trending", "latest"):
        page = recommend(placement, results=False)
        assert (page.results, page.total, page.next) == ((), 0, None)


def test_reasons_about_items_that_are_gone_name_none(trained: Products) -> None:
    did("7", "purchase", [trained["steel garden hose"]])
    Product.objects.filter(title="steel garden hose").update(is_draft=True)
    page = recommend(user_key="7")
    reasons = [reason for found in page.results for reason in found.reasons]
    assert page.results[0].title == "steel lawn mower"
    assert not any("steel garden hose" in reason for reason in reasons)
    assert "Matches your interests" in reasons


def test_a_visitors_taste_goes_with_him_through_login(shop: Products) -> None:
    did("anon:x", "view", [shop["steel garden hose"]])
    before = titles(recommend(user_key="anon:x"))
    interactions.merge("anon:x", "7")
    assert titles(recommend(user_key="7")) == before


@pytest.fixture(autouse=True)
def _no_learned_arrays_left_over() -> Iterator[None]:
    loaded.clear()
    yield
    loaded.clear()
