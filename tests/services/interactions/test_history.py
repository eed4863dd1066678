"""What of a user's past moved an item: told whole, and true when that past is taken away."""

from __future__ import annotations

import pytest

from llmrec_plugin.models import Configuration, Impression
from llmrec_plugin.services import privacy, recommendations
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.explorer import comparison
from llmrec_plugin.services.explorer.comparison import ListPreview, ListQuery, ServingOverrides
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import ResultItem, SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

Products = dict[str, Product]
PAST = [
    "steel garden hose",
    "steel desk lamp",
    "steel coffee grinder",
    "wooden paper tray",
    "steel seed tray",
]


@pytest.fixture
def shop() -> Products:
    products = open_shop()
    for user in range(12):
        did(f"g{user}", "purchase", [products["steel garden hose"], products["steel lawn mower"]])
        did(f"d{user}", "purchase", [products["steel desk lamp"], products["steel office chair"]])
    model_fit.fit("product")
    did("7", "view", [products[title] for title in PAST])
    did("7", "dismiss", [products["wooden milk frother"]])
    return products


def personal(item: ResultItem) -> float:
    codes = ("taste", "neighbours", "text_neighbours", "next")
    return sum(value for name, value in item.contributions.items() if name.partition(":")[0] in codes)


def look(*, without: str = "", text: str = "") -> ListPreview:
    configuration = Configuration.current().with_overrides({"taste_weight": 1.0})
    way = ServingOverrides(configuration=configuration, ignoring=frozenset([without] if without else []))
    slot = "search" if text else "for-you"
    return comparison.preview(
        ListQuery(document="product", list=slot, text=text, user_key="7"), way, limit=40
    )


def test_every_past_item_is_named_and_all_sum_to_what_is_personal(shop: Products) -> None:
    page = recommendations.recommend("for-you", document="product", user_key="7", explain=True)
    for item in page.results[:5]:
        assert {past.title for past in item.history} >= {*PAST, "wooden milk frother"}
        assert sum(past.value for past in item.history) == pytest.approx(personal(item), abs=1e-6)
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)
    plain = recommendations.recommend("for-you", document="product", user_key="7")
    assert [item.item_id for item in plain.results] == [item.item_id for item in page.results]
    assert [item.reasons for item in plain.results] == [item.reasons for item in page.results]
    assert all(item.history == () for item in plain.results)


def test_a_search_tells_it_as_well_and_keeps_no_more_than_visitors_lists_do(shop: Products) -> None:
    request = SearchRequest(document="product", text="steel tray", user_key="7", limit=2, explain=True)
    page = search(request)
    assert len(page.results[0].history) == len(PAST) + 1
    kept = Impression.objects.get(pk=page.request_id).ranking or []
    assert kept
    assert all(sum(name.startswith("taste:") for name in parts) <= 3 for _, parts in kept)
    assert page.next is not None
    later = next_page(page.next, user_key="7", explain=True).results[0]
    assert "" in {past.item_id for past in later.history}  # of those that are not named
    assert sum(past.value for past in later.history) == pytest.approx(personal(later), abs=1e-5)


@pytest.mark.parametrize("text", ["", "steel"])
def test_without_its_main_cause_an_item_falls(shop: Products, text: str) -> None:
    before = look(text=text)
    fell = 0
    for place in before.positions[:4]:
        cause = place.history[0]
        if cause.value <= 0:
            continue
        after = {one.item.item_id: one for one in look(without=cause.name, text=text).positions}
        assert after[place.item.item_id].number >= place.number
        assert personal(after[place.item.item_id].item) < personal(place.item)
        fell += after[place.item.item_id].number > place.number
    assert fell


def test_what_others_took_is_gone_with_the_item_that_it_goes_back_to(shop: Products) -> None:
    hose = str(shop["steel garden hose"].pk)
    mower = next(place for place in look().positions if place.item.title == "steel lawn mower")
    assert mower.item.contributions[f"neighbours:{hose}"] > 0
    assert mower.history[0].title == "steel garden hose"
    without = next(place for place in look(without=hose).positions if place.item.title == "steel lawn mower")
    assert f"neighbours:{hose}" not in without.item.contributions
    assert hose not in {part.name for part in without.history}


def test_imagining_another_past_changes_nothing_that_is_kept(shop: Products) -> None:
    recommendations.recommend("for-you", document="product", user_key="7")
    encoder_id = live_pair("product").index_version.encoder_id
    key = derived_data.taste_key("7", document="product", encoder_id=encoder_id)
    cached = caches.read([key])
    assert cached
    look(without=str(shop["steel garden hose"].pk))
    assert caches.read([key]) == cached


def test_a_past_is_listed_only_of_who_agrees(shop: Products) -> None:
    titles = [title for _, title in comparison.past_items("product", "7")]
    assert titles[-1] == PAST[0]
    assert set(titles) == {*PAST, "wooden milk frother"}
    privacy.set_consent("7", granted=False)
    assert comparison.past_items("product", "7") == []
    assert all(place.history == () for place in look().positions)
