"""A kind of event that a site declares is as good as a built-in one: weighed, counted, told, and listed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from llmrec_plugin.event_kinds import EventKind, event_kinds, register_event_kind
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.services import interactions, recommendations
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import ResultItem, ResultPage
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

Products = dict[str, Product]


@pytest.fixture
def shop() -> Products:
    return open_shop()


@pytest.fixture
def not_for_me() -> Iterator[EventKind]:
    yield register_event_kind(EventKind(name="not-for-me", label="not for me", weight=-1.0, sign="against"))
    event_kinds.unregister("not-for-me")


def recommended(placement: str, user: str | None = None) -> ResultPage:
    return recommendations.recommend(placement, document="product", user_key=user)


def item(page: ResultPage, title: str) -> ResultItem:
    return next(found for found in page.results if found.title == title)


def taste_of(user: str) -> Profile:
    known = taste.load_user(user, document="product", history=50)
    vectors = vectors_of(live_pair("product").index_version, (event.key for event in known.events))
    profile = taste.build_user_profile(
        known, vectors, configuration=Configuration.current(), now=timezone.now()
    )
    assert profile is not None
    return profile


def test_it_moves_the_taste_by_its_declared_weight(shop: Products) -> None:
    hose, lamp = shop["steel garden hose"], shop["steel desk lamp"]
    did("7", "like", [hose])
    did("7", "view", [lamp])
    profile = taste_of("7")
    parts = {key: float(np.linalg.norm(part)) for key, part in zip(profile.keys, profile.parts, strict=True)}
    assert parts[str(hose.pk)] == pytest.approx(
        3 * parts[str(lamp.pk)], rel=0.01
    )  # 3 for a like, 1 for a view


def test_it_counts_in_what_is_popular_and_in_the_trend(shop: Products) -> None:
    for user in range(5):
        did(f"u{user}", "like", [shop["steel desk lamp"]])
    did("u9", "view", [shop["steel garden hose"]])
    assert recommended("popular").results[0].title == "steel desk lamp"
    trend = recommended("trending")
    lamp, hose = item(trend, "steel desk lamp"), item(trend, "steel garden hose")
    assert lamp.reasons == ("Liked 5 times this week",)
    assert hose.score / lamp.score == pytest.approx(1 / 15, rel=0.01)  # one view against five likes of 3


def test_it_is_told_in_reasons(shop: Products) -> None:
    did("7", "like", [shop["steel garden hose"]])
    page = recommended("because-you-viewed", "7")
    assert page.results[0].title == "wooden garden hose"
    assert page.results[0].reasons == ("Because you liked “steel garden hose”",)
    assert "steel garden hose" in [found.title for found in recommended("trending", "7").results]


def test_what_others_did_is_told_in_its_words(shop: Products) -> None:
    for user in range(12):
        did(f"g{user}", "like", [shop["steel garden hose"], shop["steel lawn mower"]])
        did(f"d{user}", "like", [shop["steel desk lamp"], shop["steel office chair"]])
    model_fit.fit("product")
    did("7", "like", [shop["steel garden hose"]])
    mower = item(recommended("for-you", "7"), "steel lawn mower")
    assert "People who liked “steel garden hose” also liked this" in mower.reasons


def test_an_item_that_a_kind_speaks_against_is_not_shown_again(shop: Products, not_for_me: EventKind) -> None:
    hose = shop["steel garden hose"]
    did("g", "view", [hose])
    titles = [found.title for found in recommended("trending", "7").results]
    assert "steel garden hose" in titles
    did("7", not_for_me.name, [hose])
    titles = [found.title for found in recommended("trending", "7").results]
    assert "steel garden hose" not in titles


def test_an_unknown_kind_is_answered_with_the_nearest_and_the_list(shop: Products) -> None:
    with pytest.raises(InvalidRequest) as raised:
        interactions.record(user_key="7", document="product", item_id="1", kind="likes")
    assert str(raised.value) == (
        '"likes" is no kind of event. Did you mean "like"? '
        "Known: view, click, cart, purchase, enrol, rating, dismiss, like."
    )
    assert raised.value.parameter == "kind"


def test_an_editor_finds_it_among_the_weights_and_the_kinds_of_placements(client: Client) -> None:
    client.force_login(User.objects.create_superuser("editor"))
    client.get(reverse("admin:llmrec_plugin_configuration_changelist"))
    page = client.get(reverse("admin:llmrec_plugin_configuration_change", args=[1])).content.decode()
    assert 'name="kind_weights_like" value="3.0"' in page
    assert "Liked" in page
    page = client.get(reverse("admin:llmrec_plugin_placement_add")).content.decode()
    assert 'name="hide" value="like"' in page
    assert 'name="anchor" value="like"' in page
