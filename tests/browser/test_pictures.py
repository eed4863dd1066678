"""The pictures of the admin in a real browser: named, legible in either theme, and within the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Opener
from tests.browser.visits import ADMIN, PHONE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CONTRAST = """() => {
  const number = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (value) => {
    const s = value / 255;
    return s <= .04045 ? s / 12.92 : ((s + .055) / 1.055) ** 2.4;
  };
  const luminance = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const ground = luminance(number(getComputedStyle(document.body).backgroundColor));
  const ratio = (colour) => {
    const ink = luminance(number(colour));
    return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
  };
  const of = (selector) => Math.min(...[...document.querySelectorAll(selector)].map(
    (element) => ratio(getComputedStyle(element).fill)));
  return {text: of("figure svg text"), marks: of("figure svg g > circle, figure svg g > rect")};
}"""


@pytest.fixture(params=["light", "dark"])
def page(console: Opener, request: pytest.FixtureRequest) -> Page:
    """The pictures of the shop, as an editor with that theme and a phone sees them."""
    path = f"{ADMIN}modelversion/pictures/?document=product"
    return console(path, color_scheme=request.param, viewport=PHONE)


def test_pictures_are_named_legible_and_scroll_within_the_page(page: Page) -> None:
    names = page.get_by_role("img").all()
    assert names
    snapshot = page.locator("figure").last.aria_snapshot()
    assert "Map of the items: product" in snapshot
    contrast: dict[str, Any] = page.evaluate(CONTRAST)
    assert contrast["text"] >= 4.5
    assert contrast["marks"] >= 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_text("The numbers").last.click()
    assert page.locator("figure").last.get_by_role("table").is_visible()


def test_the_items_of_the_map_can_be_told_apart_by_a_field(page: Page) -> None:
    page.select_option("#id_colour", index=1)
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**colour=*")
    assert page.locator("#id_colour").input_value() == page.locator("#id_colour option").nth(1).inner_text()
    assert page.locator("figure svg g > title").first.text_content()
