"""The search box completes what is typed: by keyboard, by mouse, in Chinese and for screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Opener

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search")


def type_in(page: Page, text: str) -> Locator:
    """The options after the text was typed key by key."""
    box(page).press_sequentially(text)
    options = page.get_by_role("option").filter(visible=True)
    options.first.wait_for()
    return options


def chosen(page: Page) -> str:
    """What a screen reader is told to read."""
    return str(
        box(page).evaluate(
            "box => document.getElementById(box.getAttribute('aria-activedescendant'))?.textContent ?? ''"
        )
    )


def test_items_are_offered_while_typing_and_opened_by_keyboard(open_page: Opener) -> None:
    page = open_page("/")
    assert box(page).get_attribute("aria-expanded") == "false"
    options = type_in(page, "chri")
    assert box(page).get_attribute("aria-expanded") == "true"
    assert all("chri" in text.lower() for text in options.all_inner_texts())
    assert page.locator("#suggest-status").inner_text().startswith("Suggestions: ")
    page.keyboard.press("ArrowDown")
    first = chosen(page)
    page.keyboard.press("ArrowDown")
    assert chosen(page) not in ("", first)
    page.keyboard.press("ArrowUp")
    assert chosen(page) == first
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator("h1").inner_text().lower() in first.lower()


def test_escape_closes_the_list_and_enter_searches_for_what_was_typed(open_page: Opener) -> None:
    page = open_page("/")
    type_in(page, "chri")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert page.locator("#suggest-list").is_hidden()
    assert box(page).get_attribute("aria-activedescendant") is None
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert parse_qs(urlsplit(page.url).query)["q"] == ["chri"]


def test_a_click_opens_the_item_and_leaving_the_box_closes_the_list(open_page: Opener) -> None:
    page = open_page("/")
    options = type_in(page, "chri")
    page.locator("#header-document").focus()
    page.locator("#suggest-list").wait_for(state="hidden")
    box(page).focus()
    page.keyboard.press("ArrowDown")
    options.first.wait_for()
    with page.expect_navigation():
        options.first.click()
    assert "/shop/" in page.url


def test_courses_are_completed_from_pinyin(open_page: Opener) -> None:
    page = open_page("/search/?document=course")
    options = type_in(page, "jiqixuexi")
    assert "机器学习" in options.first.inner_text()


def test_the_list_fits_a_phone_and_has_no_poor_contrast(open_page: Opener) -> None:
    page = open_page("/", viewport={"width": 360, "height": 740}, color_scheme="dark")
    type_in(page, "chri")
    page.keyboard.press("ArrowDown")
    edges = page.locator("#suggest-list").bounding_box()
    assert edges is not None
    assert edges["x"] >= 0
    assert edges["x"] + edges["width"] <= 360


def test_a_wrong_spelling_is_corrected_and_prices_sort(open_page: Opener) -> None:
    page = open_page("/search/?q=chrstmas")
    link = page.get_by_role("link", name="christmas", exact=True)
    with page.expect_navigation():
        link.click()
    with page.expect_navigation():
        page.get_by_role("link", name="Cheapest first").click()
    assert page.get_by_role("link", name="Cheapest first").get_attribute("aria-current") == "true"
    assert page.locator(".row").count() > 1
