"""The storefront in a real browser, as visitors meet it: in both languages, by keyboard and on a phone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Opener
from tests.browser.visits import PHONE, first_customer, follow, press_enter, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAGES = ("/", "/search/?q=christmas", "/search/?document=course&q=机器学习", "/school/ml-intro-zh/", "/you/")


@pytest.fixture(scope="module")
def site(own_site: str) -> str:
    """One of them changes a product in the admin."""
    return own_site


def view_as(page: Page, username: str) -> None:
    page.locator(".view-as summary").click()
    page.get_by_label("View as").select_option(username)
    follow(page.get_by_role("button", name="Show"))


def headings(page: Page) -> list[str]:
    return page.locator("section.list h3, section.list h2").all_inner_texts()


def titles(page: Page) -> list[str]:
    return page.locator(".row h2").all_inner_texts()


def test_home_shows_what_is_popular_trending_and_new_in_shop_and_school(open_page: Opener) -> None:
    page = open_page("/")
    assert page.locator(".half-title").all_inner_texts() == [
        "Shop\nBrowse all products",
        "School\nBrowse all courses",
    ]
    assert headings(page) == ["Popular", "Trending", "New"] * 2
    for card in page.locator(".card").all()[:6]:
        assert card.locator(".reason").inner_text() == "Popular with everybody"


def test_an_english_search_marks_the_words_gives_reasons_and_goes_on(open_page: Opener) -> None:
    page = open_page("/")
    page.get_by_role("search").get_by_label("Search").fill("christmas")
    press_enter(page)
    assert page.get_by_role("heading", level=1).inner_text() == "Results for “christmas”"
    assert page.locator(".row mark").first.inner_text() == "Christmas"
    assert "Matches your words" in page.locator(".row .reason").first.inner_text()
    first = titles(page)
    assert len(first) == 20
    follow(page.get_by_role("link", name="Next page"))
    assert page.locator("ol.rows").get_attribute("start") == "21"
    assert titles(page)
    assert not set(titles(page)) & set(first)


def test_a_chinese_search_finds_the_course_on_a_chinese_page(open_page: Opener) -> None:
    page = open_page("/")
    follow(page.get_by_role("button", name="中文"))
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    page.get_by_role("search").get_by_label("搜索").fill("机器学习入门")
    page.get_by_role("search").get_by_label("范围").select_option("course")
    follow(page.get_by_role("search").get_by_role("button", name="搜索"))
    assert titles(page)[0] == "机器学习入门"
    assert page.locator(".row h2").first.get_attribute("lang") == "zh"
    follow(page.locator(".row h2 a").first)
    assert "先修" in page.locator(".facts").inner_text()


def test_a_chinese_word_finds_english_products_by_their_department(open_page: Opener) -> None:
    page = open_page("/search/?q=圣诞")
    assert any("Christmas" in title for title in titles(page))


def test_where_nothing_is_found_something_else_is_shown(open_page: Opener) -> None:
    page = open_page("/search/?q=red&price_from=9000")
    assert "Nothing was found." in page.locator(".results").inner_text()
    shown = page.get_by_role("region", name="Popular").locator("article")
    assert shown.count() == 6
    follow(shown.first.get_by_role("link"))
    assert page.locator("h1").inner_text()


def test_filters_narrow_the_results(open_page: Opener) -> None:
    page = open_page("/search/?q=red")
    before = page.locator(".count").inner_text()
    follow(page.get_by_role("list", name="Narrow down").get_by_role("link").first)
    assert page.get_by_label("Department").input_value()
    page.get_by_label("Price to (£)").fill("2")
    follow(page.get_by_role("button", name="Apply"))
    prices = [float(text.strip(" £·")) for text in page.locator(".row .price").all_inner_texts()]
    assert prices
    assert max(prices) <= 2
    assert page.locator(".count").inner_text() != before


def test_on_a_phone_filters_are_folded_until_one_is_used(open_page: Opener) -> None:
    page = open_page("/search/?q=red", viewport=PHONE)
    department = page.get_by_label("Department")
    assert not department.is_visible()
    page.locator(".filters summary").press("Enter")
    department.select_option("garden")
    follow(page.get_by_role("button", name="Apply"))
    assert page.get_by_label("Department").is_visible()


def test_a_wrong_filter_is_explained_at_its_field(open_page: Opener) -> None:
    page = open_page("/search/?price_from=9&price_to=1")
    assert "The highest price is below the lowest." in page.locator(".filters").inner_text()


def test_an_item_page_shows_similar_items_and_the_visit_is_remembered(open_page: Opener) -> None:
    page = open_page("/search/?q=christmas")
    title = titles(page)[0]
    follow(page.locator(".row h2 a").first)
    assert page.get_by_role("heading", level=1).inner_text() == title
    assert headings(page)[0] == "Similar"
    follow(page.get_by_role("link", name="Your data").last)
    assert page.locator("tbody tr").all_inner_texts() == [
        page.locator("tbody time").inner_text() + f"\tviewed\t{title}"
    ]
    follow(page.get_by_role("link", name="Shop & School"))
    assert f"Because you viewed “{title}”" in headings(page)


def test_who_refuses_is_not_remembered_and_can_delete_what_is_kept(open_page: Opener) -> None:
    page = open_page("/school/ml-intro-en/")
    page.goto("/you/")
    assert "1 event is kept" in page.locator("main").inner_text()
    follow(page.get_by_role("button", name="Delete all of it"))
    assert "1 event about you is deleted." in page.locator(".messages").inner_text()
    follow(page.get_by_role("button", name="No, thanks"))
    page.goto("/school/ml-intro-zh/")
    page.goto("/you/")
    text = page.locator("main").inner_text()
    assert "Nothing you do here is remembered or used." in text
    assert "0 events are kept" in text
    assert page.locator(".consent").count() == 0


def test_a_user_who_refused_and_deletes_everything_stays_refused(open_page: Opener) -> None:
    page = open_page("/")
    users = page.locator(".view-as option[value]:not([value=''])")
    view_as(page, users.last.get_attribute("value") or "")
    page.goto("/you/")
    follow(page.get_by_role("button", name="No, thanks"))
    follow(page.get_by_role("button", name="Delete all of it"))
    assert "Nothing you do here is remembered or used." in page.locator("main").inner_text()


def test_viewing_as_a_customer_shows_his_own_list_and_ends_again(open_page: Opener) -> None:
    page = open_page("/")
    customer = first_customer(page)
    view_as(page, customer)
    assert customer in page.locator(".view-as summary").inner_text()
    assert headings(page)[0] == "For you"
    page.goto("/admin/")
    assert "/admin/login/" in page.url  # a sample user opens no door
    page.goto("/")
    view_as(page, "")
    assert headings(page)[0] == "Popular"


def test_a_learner_without_history_is_met_by_interests_and_enrols(open_page: Opener) -> None:
    page = open_page("/")
    view_as(page, "learner-012")
    assert page.locator(".half-title").first.inner_text().startswith("School")
    assert headings(page)[0] == "For you"
    follow(page.locator(".card .tile").first)
    title = page.get_by_role("heading", level=1).inner_text()
    follow(page.get_by_role("button", name="Enrol"))
    assert f"You are enrolled in “{title}”." in page.locator(".messages").inner_text()
    page.goto("/you/")
    assert "enrolled" in page.locator("tbody").inner_text()


def test_what_is_not_wanted_is_not_proposed_again(open_page: Opener) -> None:
    page = open_page("/")
    card = page.locator(".card .tile").first
    title = card.inner_text()
    follow(card)
    follow(page.get_by_role("button", name="Not for me"))
    follow(page.get_by_role("link", name="Shop & School"))
    assert title not in page.locator(".card .tile").all_inner_texts()


def test_everything_is_reached_by_keyboard(open_page: Opener) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "browse"
    page.keyboard.press("Tab")
    press_enter(page)
    assert "/shop/" in page.url
    page.locator(".view-as summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_label("View as").is_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_a_phone(open_page: Opener, path: str) -> None:
    page = open_page(path, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_visitors_system_says_whether_pages_are_dark(open_page: Opener, scheme: str) -> None:
    page = open_page("/", color_scheme=scheme)
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
    assert (int(brightness) > 128) == (scheme == "light")


@pytest.mark.parametrize("path", PAGES)
def test_headings_have_an_order_and_ids_are_used_once(open_page: Opener, path: str) -> None:
    page = open_page(path)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/shop/999999/", 404),
        ("/school/no-such-course/", 404),
        ("/search/?q=red&cursor=broken", 410),
        ("/search/?document=nothing", 400),
        (f"/search/?q={'long ' * 400}", 200),
        ("/search/?q=%00", 400),
        ("/shop/2/?list=broken&at=x", 200),
    ],
)
def test_wrong_addresses_are_answered_kindly(open_page: Opener, path: str, status: int) -> None:
    page = open_page("/you/")
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == status


def test_a_product_changed_in_the_admin_is_found_changed(open_page: Opener) -> None:
    page = open_page("/")
    sign_in(page, "/admin/shop/product/3/change/")
    page.get_by_label("Title").fill("Zeppelin Weathervane")
    follow(page.get_by_role("button", name="Save", exact=True))
    page.goto("/search/?q=zeppelin")
    assert titles(page)[0] == "Zeppelin Weathervane"
    page.goto("/admin/shop/product/3/change/")
    page.get_by_label("Visible").uncheck()
    follow(page.get_by_role("button", name="Save", exact=True))
    page.goto("/search/?q=zeppelin")
    assert "Zeppelin Weathervane" not in titles(page)
