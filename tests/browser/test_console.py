"""The editors' console in a real browser: from the dashboard to an experiment, and grading results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import axe
from tests.browser.conftest import Opener
from tests.browser.visits import ADMIN, PHONE, follow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PAGES = ("dashboard/?document=product", "judgment/judge/?document=product&q=christmas", "status/")


@pytest.fixture(scope="module")
def site(own_site: str) -> str:
    """Its experiment changes what visitors see."""
    return own_site


def main_text(page: Page) -> str:
    return page.locator("#content").inner_text()


def test_an_experiment_is_drafted_started_seen_and_stopped(
    console: Opener, browser: Browser, site: str
) -> None:
    page = console(f"{ADMIN}dashboard/?document=product")
    follow(page.get_by_role("link", name="Compare something with what is live"))
    page.locator("#id_name").fill("Words alone")
    page.locator("#id_document").select_option("product")
    page.locator("#id_arms-1-name").fill("words alone")
    page.locator("#id_arms-1-overrides").fill('{"text_weight": 1.0}')
    follow(page.get_by_role("button", name="Save", exact=True))
    follow(page.get_by_role("link", name="Start …"))
    assert "Visitors needed per arm" in main_text(page)
    assert axe.violations(page) == []
    follow(page.get_by_role("button", name="Start it"))
    assert "is running: visitors see its arms from now on" in page.locator(".messagelist").inner_text()
    visitor = browser.new_context(base_url=site)
    shop = visitor.new_page()
    for _ in range(3):  # the first request of a process may go without an arm
        shop.goto("/search/?q=christmas")
    visitor.close()
    page.reload()
    counts = page.locator("#content tbody td:nth-child(2)").all_inner_texts()
    assert sorted(int(text.split()[0]) for text in counts) == [0, 1]
    assert "too early to say" in main_text(page)
    assert axe.violations(page) == []
    follow(page.get_by_role("link", name="Stop …"))
    follow(page.get_by_role("button", name="Stop it"))
    assert "everybody sees what is live" in page.locator(".messagelist").inner_text()


def test_results_are_graded_by_keyboard_and_measured(console: Opener) -> None:
    page = console(f"{ADMIN}judgment/judge/")
    page.get_by_label("Document").select_option("product")
    page.get_by_label("Query").fill("christmas lights")
    follow(page.get_by_role("button", name="Show results"))
    first = page.locator(".llmrec-judge fieldset").first
    first.get_by_label("not judged").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert first.get_by_label("exactly").is_checked()
    follow(page.get_by_role("button", name="Save judgements"))
    assert "1 judgement changed." in page.locator(".messagelist").inner_text()
    assert page.locator(".llmrec-judge fieldset").first.get_by_label("exactly").is_checked()
    follow(page.get_by_role("button", name="Measure now"))
    assert "NDCG@10 is 1.000 now." in page.locator(".messagelist").inner_text()
    assert page.get_by_role("img", name="NDCG@10 over time").is_visible()
    assert axe.violations(page) == []


def test_pages_fit_a_phone(console: Opener) -> None:
    page = console(ADMIN, viewport=PHONE)
    for path in PAGES:
        page.goto(ADMIN + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
