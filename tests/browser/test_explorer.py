"""The query explorer and the previews in a real browser: by keyboard, light and dark, wide and narrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import axe
from tests.browser.conftest import Opener
from tests.browser.visits import ADMIN, first_customer, follow

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

EXPLORER = f"{ADMIN}exploration/"
SHOTS = os.environ.get("LLMREC_SCREENSHOTS", "")
"""A folder: what the tests see is kept there."""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(own_site: str) -> str:
    """They change the configuration that all visitors are served by."""
    return own_site


@pytest.fixture(params=["light", "dark"])
def page(console: Opener, request: pytest.FixtureRequest) -> Page:
    """Before an editor, in either theme."""
    return console(ADMIN, color_scheme=request.param, viewport={"width": 1280, "height": 900})


def keep(page: Page, name: str) -> None:
    if SHOTS:
        scheme = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{scheme}.png"), full_page=True)


def test_a_list_is_explored_by_keyboard(page: Page) -> None:
    page.goto(EXPLORER)
    keep(page, "explorer-empty")
    assert axe.violations(page) == []
    page.select_option("#id_document", "product")
    page.fill("#id_q", "christmas")
    page.press("#id_q", "Enter")
    page.wait_for_url("**q=christmas**")
    first = page.locator(".llmrec-places summary").first
    first.focus()
    page.keyboard.press("Enter")
    table = page.locator(".llmrec-parts").first
    assert table.is_visible()
    assert "words of the query" in table.inner_text()
    keep(page, "explorer-one")
    assert axe.violations(page) == []


def test_two_sides_mark_what_differs_and_fit_a_phone(page: Page) -> None:
    page.goto(f"{EXPLORER}?document=product&list=search&q=christmas")
    choices = page.locator("#id_against option").evaluate_all("all => all.map(one => one.value)")
    model = next(value for value in choices if value.startswith("model:"))
    page.goto(f"{EXPLORER}?document=product&list=trending&against={model}")
    assert page.locator(".llmrec-side").count() == 2
    page.goto(f"{EXPLORER}?document=course&list=search&q=python&user=learner-1&against=stranger")
    keep(page, "explorer-two")
    page.set_viewport_size({"width": 360, "height": 740})
    keep(page, "explorer-phone")
    assert page.evaluate(OVERFLOW) <= 0


def test_past_items_and_words_of_a_result_are_a_click_away(page: Page) -> None:
    page.goto("/")
    customer = first_customer(page)
    page.goto(f"{EXPLORER}?document=product&list=for-you&user={customer}")
    page.locator(".llmrec-places summary").first.click()
    keep(page, "explorer-history")
    assert axe.violations(page) == []
    follow(page.get_by_role("link", name="as if it had not been").first)
    assert page.locator(".llmrec-side").count() == 2
    page.goto(f"{EXPLORER}?document=course&list=search&q=python")
    page.locator(".llmrec-places summary").first.click()
    follow(page.get_by_role("link", name="Which words carry the meaning").first)
    assert page.locator(".llmrec-words sup").count() >= 2
    keep(page, "explorer-words")
    assert axe.violations(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    keep(page, "explorer-words-phone")
    assert page.evaluate(OVERFLOW) <= 0


def test_a_rule_is_previewed_before_it_is_saved(page: Page) -> None:
    page.goto(f"{ADMIN}rule/add/")
    keep(page, "rule-empty")
    assert axe.violations(page) == []
    page.goto("/api/search/?document=product&q=garden")
    found = page.evaluate("() => fetch(location.href).then(r => r.json()).then(d => d.results[4].item_id)")
    page.goto(f"{ADMIN}rule/add/")
    page.fill("#id_name", "Garden first")
    page.select_option("#id_document", "product")
    page.select_option("#id_action", "pin")
    page.fill("#id_items", str(found))
    page.select_option("#id_match", "contains")
    page.fill("#id_phrases", "garden")
    follow(page.locator("[name=_preview]"))
    assert "Nothing is saved yet." in page.locator("#preview").inner_text()
    sides = page.locator("#preview .llmrec-side")
    assert sides.count() == 2
    assert sides.nth(1).locator(".llmrec-differs").count() >= 1
    assert "up 4" in sides.nth(1).locator("li").first.inner_text()
    assert page.input_value("#id_name") == "Garden first"
    keep(page, "rule-preview")
    assert axe.violations(page) == []
    page.goto(f"{ADMIN}rule/")
    assert "Garden first" not in page.content()


def test_the_configuration_is_previewed_and_restored(page: Page) -> None:
    page.goto(f"{ADMIN}configuration/")
    before = page.input_value("#id_text_weight")
    other = "0.9" if before != "0.9" else "0.8"
    page.fill("#id_text_weight", other)
    page.fill("#id_preview-queries", "christmas\ngarden")
    page.select_option("#id_preview-document", "product")
    follow(page.locator("[name=_preview]"))
    assert page.locator("#preview .llmrec-sides").count() == 3
    keep(page, "configuration-preview")
    follow(page.locator("[name=_save]").last)
    page.goto(f"{ADMIN}configurationchange/")
    keep(page, "configuration-history")
    assert f"{before} → {other}" in page.content()
    follow(page.get_by_role("link", name="Look and go back to it").nth(1))
    keep(page, "configuration-restore")
    follow(page.get_by_role("button", name="Go back to these values"))
    page.goto(f"{ADMIN}configuration/")
    assert page.input_value("#id_text_weight") == before


def test_a_placement_is_previewed_as_a_user(page: Page) -> None:
    page.goto(f"{ADMIN}placement/add/")
    assert axe.violations(page) == []
    page.fill("#id_name", "school-home")
    page.select_option("#id_type", "next")
    page.select_option("#id_document", "course")
    page.fill("#id_preview-user", "learner-1")
    follow(page.locator("[name=_preview]"))
    assert page.locator("#preview .llmrec-side").count() == 1  # there is no such placement yet
    keep(page, "placement-preview")
    assert axe.violations(page) == []
