"""Placements as editors turn them: rows before settings, confined, filled up, and never too short."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.documents import UserDocument
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration, Interaction, Placement, Rule
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.curation.placements import all_placements, get_placement
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import ResultPage, Terms
from tests.hostapp.models import Course, Learner, Product
from tests.support.indexed import declared as known_by
from tests.support.pages import some, titles
from tests.support.queries import Queries
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db

Products = dict[str, Product]
GARDEN = Terms(field="category", values=("garden",))


@pytest.fixture
def shop() -> Products:
    return open_shop()


@pytest.fixture
def trained(shop: Products) -> Products:
    """Twelve who bought hose and mower, twelve lamp and chair, twelve mower and pot."""
    for user in range(12):
        did(f"g{user}", "purchase", [shop["steel garden hose"], shop["steel lawn mower"]])
        did(f"d{user}", "purchase", [shop["steel desk lamp"], shop["steel office chair"]])
        did(f"p{user}", "purchase", [shop["steel lawn mower"], shop["steel flower pot"]])
    model_fit.fit("product")
    return shop


def row(name: str = "home", kind: str = "latest", **values: Any) -> Placement:
    return Placement.objects.create(name=name, type=kind, **values)


def recommend(name: str = "home", **values: Any) -> ResultPage:
    results = values.pop("results", True)
    return some(recommendations.recommend(name, **{"document": "product", **values}), results=results)


def of_category(name: str) -> set[str]:
    return set(Product.objects.filter(categories__name=name).values_list("title", flat=True))


def assert_sound(page: ResultPage, *, limit: int) -> None:
    assert len(page.results) == len(set(titles(page))) == limit
    scores = [item.score for item in page.results]
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-9)
    for item in page.results:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)


# rows


def test_a_row_replaces_the_setting_and_the_built_in_placement_of_its_name(shop: Products) -> None:
    declared = {**settings.LLMREC, "PLACEMENTS": {"home": {"type": "trending", "limit": 4}}}
    with override_settings(LLMREC=declared):
        assert len(recommend("home").results) == 4
        own = row("home", "latest", limit=3)
        assert recommend("home").results[0].reasons == ("New here",)
        assert len(recommend("home").results) == 3
        own.enabled = False
        own.save()
        assert len(recommend("home").results) == 4
        row("trending", "latest", limit=2)
        assert len(recommend("trending").results) == 2
        Placement.objects.all().delete()
        assert len(recommend("trending").results) == 12


def test_rows_take_no_query_unless_they_changed(
    shop: Products, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Configuration.objects.create()
    recommend("latest")
    with Queries() as before:
        recommend("latest")
    row("home", "latest")
    with Queries() as after:
        recommend("home")
    assert len([query for query in after if "llmrec_plugin_placement" in query["sql"]]) == 1
    with django_assert_num_queries(len(before)):
        recommend("home")


def test_similar_and_also_bought_can_be_turned_as_well(shop: Products) -> None:
    row("similar", "similar", limit=3, filters={"category": ["desk"]})
    page = recommendations.similar("product", shop["steel garden hose"].pk)
    assert len(page.results) == 3
    assert set(titles(page)) <= of_category("desk")
    row("also-bought", "trending", limit=1)  # of another type: "also-bought" stays what it is
    assert len(recommendations.also_bought("product", shop["steel garden hose"].pk).results) == 12


# never shorter than asked


def test_items_that_are_gone_do_not_make_a_list_short(shop: Products) -> None:
    now = timezone.now()
    Interaction.objects.bulk_create(
        Interaction(user_key=f"u{key}", document="product", item_id=str(key), kind="purchase", at=now)
        for key in range(10_000, 10_400)
    )
    for name in ("trending", "for-you", "basket", "because-you-viewed"):
        page = recommend(name, limit=12)
        assert_sound(page, limit=12)
    row("home", "popular", filters={"category": ["garden"]})
    assert_sound(recommend(limit=10), limit=10)
    assert set(titles(recommend(limit=10))) == of_category("garden")


@pytest.mark.parametrize(
    "kind",
    ["for-you", "because-you-viewed", "basket", "trending", "popular", "latest", "similar", "also-bought"],
)
def test_a_confined_list_holds_all_that_passes_and_nothing_else(trained: Products, kind: str) -> None:
    did("7", "view", [trained["steel garden hose"]])
    row("home", kind, filters={"category": ["garden"], "price__lt": ["100"]}, hide=[])
    item = str(trained["steel desk lamp"].pk)
    page = recommend(user_key="7", limit=30, item_id=item)
    seen = {"steel garden hose"} if kind == "because-you-viewed" else set()
    assert set(titles(page)) == of_category("garden") - seen
    assert_sound(page, limit=10 - len(seen))
    row("plain", kind, hide=[])
    asked = recommend("plain", user_key="7", limit=30, item_id=item, filters=(GARDEN,))
    assert set(titles(asked)) == of_category("garden") - seen


def test_an_item_that_leaves_a_category_is_gone_from_its_list_with_the_next_drain(trained: Products) -> None:
    pot = trained["steel flower pot"]
    kinds = ["for-you", "trending", "popular", "latest"]
    for kind in kinds:
        row(f"garden-{kind}", kind, filters={"category": ["garden"]})
        assert pot.title in titles(recommend(f"garden-{kind}", user_key="9", limit=30))
    pot.categories.clear()
    indexing.drain()
    for kind in kinds:
        assert pot.title not in titles(recommend(f"garden-{kind}", user_key="9", limit=30))


def test_filters_of_page_and_placement_hold_together(shop: Products) -> None:
    row(filters={"category": ["garden", "desk"]})
    assert set(titles(recommend(filters=(GARDEN,), limit=30))) == of_category("garden")
    with pytest.raises(InvalidRequest) as caught:
        recommend(filters=(Terms(field="colour", values=("red",)),))
    assert caught.value.parameter == "colour"


def test_without_an_index_and_without_an_engine_filters_hold_all_the_same(
    shop: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmrec_plugin.backends.embedded.engine import SearchBackend
    from llmrec_plugin.exceptions import BackendUnavailable
    from llmrec_plugin.models import Deployment

    def unavailable(*args: object) -> None:
        raise BackendUnavailable("down")

    row(filters={"category": ["garden"]})
    Rule.objects.create(
        name="none of these", document="product", action="hide", item_filters={"in_stock": ["false"]}
    )
    in_stock = set(Product.objects.filter(in_stock=True).values_list("title", flat=True))
    with monkeypatch.context() as patched:
        patched.setattr(SearchBackend, "search", unavailable)
        assert set(titles(recommend(limit=30))) == of_category("garden") & in_stock
    Deployment.objects.all().delete()
    assert set(titles(recommend(limit=30))) == of_category("garden") & in_stock


def test_a_filter_that_the_document_has_lost_is_the_sites_mistake(shop: Products) -> None:
    row(filters={"colour": ["red"]})
    with pytest.raises(ConfigurationError, match=r'"home" cannot be shown.*"colour"'):
        recommend()


def test_the_chain_is_the_placements_own(shop: Products) -> None:
    did("u", "purchase", [shop["steel flower pot"]], at=timezone.now() - timedelta(days=1))
    did("7", "view", [shop["steel garden hose"]])
    row("home", "similar", filters={"category": ["garden"]}, fallback=["trending"])
    near = recommend(item_id=str(shop["steel garden hose"].pk), limit=30)
    assert set(titles(near)) == of_category("garden") - {"steel garden hose"}
    row("fresh", "basket", fallback=["for-you", "latest"])
    assert_sound(recommend("fresh", user_key="7", limit=30), limit=30)
    row("mine", "for-you", fallback=["for-you", "trending"])
    assert_sound(recommend("mine", user_key="7", limit=30), limit=30)


# basket


def test_what_goes_with_the_basket_is_what_others_took_along(trained: Products) -> None:
    basket = [trained["steel garden hose"].pk, trained["steel flower pot"].pk]
    page = recommend("basket", basket=basket)
    assert titles(page)[0] == "steel lawn mower"
    assert "People who bought “steel garden hose” also bought this" in page.results[0].reasons
    assert not {"steel garden hose", "steel flower pot"} & set(titles(page))
    assert_sound(page, limit=12)


def test_the_basket_is_known_from_events_until_it_is_bought(trained: Products) -> None:
    did("7", "cart", [trained["steel desk lamp"]], at=timezone.now() - timedelta(hours=5))
    page = recommend("basket", user_key="7")
    assert titles(page)[0] == "steel office chair"
    assert "steel desk lamp" not in titles(page)
    did("7", "purchase", [trained["steel desk lamp"], trained["steel office chair"]])
    did("7", "cart", [trained["steel garden hose"]])
    page = recommend("basket", user_key="7")
    assert titles(page)[0] == "steel lawn mower"
    assert not {"steel desk lamp", "steel office chair"} & set(titles(page))


def test_without_a_basket_and_with_a_new_item_in_it_the_list_is_for_you(trained: Products) -> None:
    did("7", "view", [trained["steel desk lamp"]])
    assert titles(recommend("basket", user_key="7")) == titles(recommend("for-you", user_key="7"))
    page = recommend("basket", user_key="7", basket=[trained["wooden ink bottle"].pk])
    assert "wooden ink bottle" not in titles(page)
    assert_sound(page, limit=12)


# new items, diversity


def test_a_share_of_the_places_is_kept_for_new_items(trained: Products) -> None:
    new = Product.objects.create(title="brand new bench")
    build("product")
    row("home", "popular", fresh=0.25)
    page = recommend(limit=4)
    assert new.title in titles(page)
    assert "New here" in page.results[titles(page).index(new.title)].reasons
    assert_sound(page, limit=4)


def test_a_placement_spreads_its_list_out(shop: Products) -> None:
    hose = str(shop["steel garden hose"].pk)
    row("alike", "similar")
    row("spread", "similar", diversity=1.0)
    alike, spread = (recommend(name, item_id=hose, limit=12) for name in ("alike", "spread"))
    assert titles(alike) != titles(spread)
    assert_sound(spread, limit=12)


def test_a_trend_is_not_told_as_fame(shop: Products) -> None:
    now = timezone.now()
    for user in range(6):
        did(f"u{user}", "purchase", [shop["steel flower pot"]], at=now - timedelta(days=9))
        did(f"u{user}", "view", [shop["steel flower pot"]], at=now - timedelta(days=1))
    page = recommend("trending")
    assert titles(page)[0] == "steel flower pot"
    assert page.results[0].contributions["earlier"] > page.results[0].contributions["trending"]
    assert page.results[0].reasons == ("Viewed 6 times this week",)


# the next step


@pytest.fixture
def school() -> dict[str, Course]:
    """basics → algorithms → compilers in English, and one hard course without any prerequisite."""
    courses = {
        title: Course.objects.create(title=title, body=f"A course on {title}", level=level, language=language)
        for title, level, language in [
            ("programming basics", 1, "en"),
            ("algorithms", 2, "en"),
            ("compilers", 3, "en"),
            ("hard proofs", 3, "en"),
            ("drawing", 1, "zh"),
            ("oil painting", 2, "zh"),
        ]
    }
    courses["algorithms"].prerequisites.add(courses["programming basics"])
    courses["compilers"].prerequisites.add(courses["algorithms"], courses["programming basics"])
    build("course")
    return courses


def steps(user: str | None, **values: Any) -> list[str]:
    return titles(recommendations.recommend("next", document="course", user_key=user, **values))


def enrolled(user: str, courses: Iterable[Course]) -> None:
    did(user, "enrol", courses, document="course")  # type: ignore[arg-type]


def test_a_beginner_is_led_to_what_needs_nothing_before_it(school: dict[str, Course]) -> None:
    assert set(steps(None)) == set(steps("new")) == {"programming basics", "drawing"}


def test_one_step_leads_to_the_next_and_says_from_where(school: dict[str, Course]) -> None:
    enrolled("7", [school["programming basics"]])
    page = recommendations.recommend("next", document="course", user_key="7")
    assert titles(page)[0] == "algorithms"
    assert "Follows on from “programming basics”" in page.results[0].reasons
    # compilers lack a prerequisite, proofs are two levels up, painting is above anybody's first level there
    assert set(titles(page)) == {"algorithms", "drawing"}
    enrolled("7", [school["algorithms"]])
    assert set(steps("7")) == {"compilers", "hard proofs", "drawing"}
    assert steps("7")[0] == "compilers"


def test_a_level_that_the_user_states_opens_what_is_on_it(school: dict[str, Course]) -> None:
    user = User.objects.create(username="painter")
    Learner.objects.create(user=user, level=2)
    assert set(steps(str(user.pk))) == {"programming basics", "drawing", "oil painting"}


def test_of_several_levels_that_are_known_of_a_user_the_highest_counts(school: dict[str, Course]) -> None:
    class Graduate(UserDocument[Learner]):
        model = Learner
        text_fields = ["interests"]
        user_field = "user_id"
        level_field = "pk"

    user = User.objects.create(username="painter")
    Learner.objects.create(pk=2, user=user, level=1)
    with known_by(Graduate):
        assert set(steps(str(user.pk))) == {"programming basics", "drawing", "oil painting"}


def test_what_may_come_next_is_put_in_the_order_of_the_users_taste(school: dict[str, Course]) -> None:
    Course.objects.create(title="drawing algorithms", body="A course on algorithms")
    Course.objects.create(title="knitting", body="Wool")
    build("course")
    did("7", "view", [school["algorithms"]], document="course")  # type: ignore[list-item]
    page = recommendations.recommend("next", document="course", user_key="7")
    assert titles(page)[0] == "drawing algorithms"
    assert "Because you viewed “algorithms”" in page.results[0].reasons


def test_what_leads_on_counts_no_more_than_what_everybody_took_next_and_suits_the_user(
    school: dict[str, Course],
) -> None:
    other = Course.objects.create(title="programming basics again", body="A course on programming basics")
    build("course")
    for number in range(12):
        enrolled(f"u{number}", [school["programming basics"], other])
    model_fit.fit("course")
    enrolled("7", [school["programming basics"]])
    assert steps("7")[:2] == ["programming basics again", "algorithms"]


def test_not_even_an_editor_leads_past_a_prerequisite(school: dict[str, Course]) -> None:
    Rule.objects.create(
        name="ours",
        document="course",
        action="pin",
        items=[str(school["compilers"].pk), str(school["drawing"].pk)],
    )
    assert steps("new") == ["drawing", "programming basics"]


def test_the_next_step_has_a_bounded_number_of_queries(
    school: dict[str, Course], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    enrolled("7", [school["programming basics"]])
    steps("7", limit=2)
    with Queries() as few:
        steps("7", limit=2)
    for number in range(30):
        course = Course.objects.create(title=f"more {number}", level=1)
        course.prerequisites.add(school["programming basics"])
    build("course")
    with django_assert_num_queries(len(few)):
        steps("7", limit=2)


def test_where_nothing_is_declared_there_is_no_next_step(shop: Products) -> None:
    with pytest.raises(InvalidRequest, match="declare progression") as caught:
        recommend("next")
    assert caught.value.parameter == "document"


# settings


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"filters": ["category"]}, r'"filters"\] is .* dict'),
        ({"diversity": 2}, r'"diversity"\] is 2; it must be a number from 0 to 1'),
        ({"diversity": True}, "from 0 to 1"),
        ({"fresh": 0.8}, r'"fresh"\] is 0.8; it must be a number from 0 to 0.5'),
        ({"fallback": "popular"}, r'"fallback"\] is .*; it must be a list of "for-you"'),
        ({"fallback": ["similar"]}, r'"fallback"\] is .*; it must be a list of "for-you"'),
    ],
)
def test_a_wrong_setting_says_what_it_must_be(declared: dict[str, Any], message: str) -> None:
    placed = {**settings.LLMREC, "PLACEMENTS": {"home": {"type": "popular", **declared}}}
    with override_settings(LLMREC=placed), pytest.raises(ConfigurationError, match=message):
        all_placements()


def test_settings_say_filters_in_plain_values() -> None:
    declared = {"type": "popular", "filters": {"in_stock": True, "category": ["a", "b"], "price__lt": 10}}
    with override_settings(LLMREC={**settings.LLMREC, "PLACEMENTS": {"home": declared}}):
        assert get_placement("home").filters == {
            "in_stock": ("true",),
            "category": ("a", "b"),
            "price__lt": ("10",),
        }


def test_an_unknown_placement_names_those_there_are() -> None:
    row("homepage", "latest")
    with pytest.raises(NotFound, match=r"Did you mean .homepage."):
        get_placement("hompage")
