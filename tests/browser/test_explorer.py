"""The query explorer and the previews in a real browser: by keyboard, light and dark, wide and narrow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.test_storefront import CONTRAST, first_customer, follow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ADMIN = "/admin/llmrec_plugin/"
EXPLORER = f"{ADMIN}exploration/"
SHOTS = os.environ.get("LLMREC_SCREENSHOTS", "")
"""A folder: what the tests see is kept there."""
UNLABELLED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
  .filter((field) => field.checkVisibility() && !field.labels?.length && !field.getAttribute("aria-label")
    && field.type !== "submit")
  .map((field) => field.name)"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(params=["light", "dark"])
def console(browser: Browser, site: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Somebody logged in to the admin, who complains of whatever breaks."""
    context = browser.new_context(
        base_url=site, color_scheme=request.param, viewport={"width": 1280, "height": 900}
    )
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "response",
        lambda response: complaints.append(response.url) if response.status >= 500 else None,
    )
    page.goto("/admin/login/?next=/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.press("#id_password", "Enter")
    page.wait_for_url("**/admin/")
    yield page
    context.close()
    assert complaints == []


def keep(page: Page, name: str) -> None:
    if SHOTS:
        scheme = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{scheme}.png"), full_page=True)


def poor_contrast(page: Page) -> list[str]:
    """Of what this app adds to the admin; the rest is Django's own."""
    return [text for text in page.evaluate(CONTRAST) if text.startswith("llmrec")]


def test_a_list_is_explored_by_keyboard(console: Page) -> None:
    console.goto(EXPLORER)
    keep(console, "explorer-empty")
    assert console.evaluate(UNLABELLED) == []
    console.select_option("#id_document", "product")
    console.fill("#id_q", "christmas")
    console.press("#id_q", "Enter")
    console.wait_for_url("**q=christmas**")
    first = console.locator(".llmrec-places summary").first
    first.focus()
    console.keyboard.press("Enter")
    table = console.locator(".llmrec-parts").first
    assert table.is_visible()
    assert "words of the query" in table.inner_text()
    keep(console, "explorer-one")
    assert poor_contrast(console) == []


def test_two_sides_mark_what_differs_and_fit_a_phone(console: Page) -> None:
    console.goto(f"{EXPLORER}?document=product&list=search&q=christmas")
    choices = console.locator("#id_against option").evaluate_all("all => all.map(one => one.value)")
    model = next(value for value in choices if value.startswith("model:"))
    console.goto(f"{EXPLORER}?document=product&list=trending&against={model}")
    assert console.locator(".llmrec-side").count() == 2
    console.goto(f"{EXPLORER}?document=course&list=search&q=python&user=learner-1&against=stranger")
    keep(console, "explorer-two")
    console.set_viewport_size({"width": 360, "height": 740})
    keep(console, "explorer-phone")
    assert console.evaluate(OVERFLOW) <= 0


def test_past_items_and_words_of_a_result_are_a_click_away(console: Page) -> None:
    console.goto("/")
    customer = first_customer(console)
    console.goto(f"{EXPLORER}?document=product&list=for-you&user={customer}")
    console.locator(".llmrec-places summary").first.click()
    keep(console, "explorer-history")
    follow(console.get_by_role("link", name="as if it had not been").first)
    assert console.locator(".llmrec-side").count() == 2
    console.goto(f"{EXPLORER}?document=course&list=search&q=python")
    console.locator(".llmrec-places summary").first.click()
    follow(console.get_by_role("link", name="Which words carry the meaning").first)
    assert console.locator(".llmrec-words sup").count() >= 2
    keep(console, "explorer-words")
    assert poor_contrast(console) == []
    console.set_viewport_size({"width": 360, "height": 740})
    keep(console, "explorer-words-phone")
    assert console.evaluate(OVERFLOW) <= 0


def test_a_rule_is_previewed_before_it_is_saved(console: Page) -> None:
    console.goto(f"{ADMIN}rule/add/")
    keep(console, "rule-empty")
    assert console.evaluate(UNLABELLED) == []
    console.goto("/api/search/?document=product&q=garden")
    found = console.evaluate("() => fetch(location.href).then(r => r.json()).then(d => d.results[4].id)")
    console.goto(f"{ADMIN}rule/add/")
    console.fill("#id_name", "Garden first")
    console.select_option("#id_document", "product")
    console.select_option("#id_action", "pin")
    console.fill("#id_items", str(found))
    console.select_option("#id_match", "contains")
    console.fill("#id_phrases", "garden")
    follow(console.locator("[name=_preview]"))
    assert "Nothing is saved yet." in console.locator("#preview").inner_text()
    sides = console.locator("#preview .llmrec-side")
    assert sides.count() == 2
    assert sides.nth(1).locator(".llmrec-differs").count() >= 1
    assert "up 4" in sides.nth(1).locator("li").first.inner_text()
    assert console.input_value("#id_name") == "Garden first"
    keep(console, "rule-preview")
    assert poor_contrast(console) == []
    console.goto(f"{ADMIN}rule/")
    assert "Garden first" not in console.content()


def test_the_configuration_is_previewed_and_restored(console: Page) -> None:
    console.goto(f"{ADMIN}configuration/")
    before = console.input_value("#id_text_weight")
    other = "0.9" if before != "0.9" else "0.8"
    console.fill("#id_text_weight", other)
    console.fill("#id_preview-queries", "christmas\ngarden")
    console.select_option("#id_preview-document", "product")
    follow(console.locator("[name=_preview]"))
    assert console.locator("#preview .llmrec-sides").count() == 3
    keep(console, "configuration-preview")
    follow(console.locator("[name=_save]").last)
    console.goto(f"{ADMIN}configurationchange/")
    keep(console, "configuration-history")
    assert f"{before} → {other}" in console.content()
    follow(console.get_by_role("link", name="Look and go back to it").nth(1))
    keep(console, "configuration-restore")
    follow(console.get_by_role("button", name="Go back to these values"))
    console.goto(f"{ADMIN}configuration/")
    assert console.input_value("#id_text_weight") == before


def test_a_placement_is_previewed_as_a_user(console: Page) -> None:
    console.goto(f"{ADMIN}placement/add/")
    assert console.evaluate(UNLABELLED) == []
    console.fill("#id_name", "school-home")
    console.select_option("#id_type", "next")
    console.select_option("#id_document", "course")
    console.fill("#id_preview-user", "learner-1")
    follow(console.locator("[name=_preview]"))
    assert console.locator("#preview .llmrec-side").count() == 1  # there is no such placement yet
    keep(console, "placement-preview")
    assert poor_contrast(console) == []
