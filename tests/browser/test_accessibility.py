"""WCAG 2.2 at level AA on all pages of storefront and console, and what no rule engine sees: the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import axe
from tests.browser.conftest import Opener
from tests.browser.visits import ADMIN, PHONE, follow

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

STOREFRONT = (
    "/",
    "/search/?q=christmas",
    "/search/?q=zzqqxx",
    "/search/?document=course&q=机器学习",
    "/search/?price_from=9&price_to=1",
    "/shop/3/",
    "/school/ml-intro-zh/",
    "/you/",
)
STOCK = ("/admin/auth/user/?q=a", "/admin/auth/")
"""Pages of Django's own admin."""
CONSOLE = (
    "dashboard/?document=product",
    "exploration/",
    "exploration/?document=product&list=search&q=christmas&against=stranger&user=learner-1",
    "configuration/",
    "configurationchange/",
    "rule/",
    "rule/add/",
    "synonym/",
    "synonym/add/",
    "placement/",
    "placement/add/",
    "judgment/judge/?document=product&q=christmas",
    "experiment/",
    "experiment/add/",
    "indexversion/",
    "modelversion/",
    "modelversion/pictures/?document=product",
    "interaction/",
    "interaction/profile/?user=learner-1",
    "outboxentry/",
    "status/",
    "evaluation/",
    "trainingrun/",
)
CROWDED = (
    CONSOLE[0],
    CONSOLE[2],
    "configuration/",
    "judgment/judge/?document=product&q=christmas",
    "status/",
)
"""What is hard to fit on a phone."""
ROWS = ("indexversion", "modelversion", "evaluation", "trainingrun")
"""Lists whose first row has a page that nothing else above shows."""
LARGE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
NARROW: dict[str, Any] = {"viewport": PHONE, "color_scheme": "dark"}

STOPS = """() => [
  ...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")
].filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true })
    && e.type !== "hidden" && !(e.type === "radio" && e.name && !e.checked)).length"""
STOP = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const places = [.5, .1, .9].map((share) => [box.x + box.width * share, box.y + box.height / 2]);
  const over = places.map(([x, y]) => document.elementFromPoint(x, y));
  return {
    what: element.outerHTML.slice(0, 120),
    ring: style.outlineStyle === "auto"
      || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: over.some((e) => e && (element.contains(e) || e.contains(element) || e.closest("label"))),
    follows: !window.last || element === window.last
      || Boolean(window.last.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING),
    end: element === document.body || (window.last = element, false),
  };
}"""
MOVING = """(scope) => [...document.querySelectorAll(scope)].filter((element) => {
  const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(element);
  return parseFloat(transitionDuration) > 0 || animationName !== "none" || scrollBehavior === "smooth";
}).map((element) => element.outerHTML.slice(0, 120))"""


def failing(page: Page, paths: tuple[str, ...]) -> dict[str, list[str]]:
    """What axe finds, by path."""
    found = {}
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status in (200, 400), path  # 400: with what is wrong beside its field
        found[path] = axe.violations(page)
    return {path: violations for path, violations in found.items() if violations}


@pytest.mark.parametrize("options", [LARGE, NARROW], ids=["large", "narrow and dark"])
def test_the_storefront_passes_axe(open_page: Opener, options: dict[str, Any]) -> None:
    page = open_page("/", **options)
    assert failing(page, STOREFRONT) == {}
    page.get_by_role("combobox", name="Search").press_sequentially("chri")
    page.get_by_role("option").filter(visible=True).first.wait_for()
    page.keyboard.press("ArrowDown")
    assert axe.violations(page) == []


def test_the_chinese_storefront_passes_axe_and_names_the_language_of_foreign_titles(
    open_page: Opener,
) -> None:
    page = open_page("/", **NARROW)
    follow(page.get_by_role("button", name="中文"))
    assert failing(page, STOREFRONT[:4]) == {}
    page.goto("/search/?q=christmas")
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    assert page.locator(".row h2").first.get_attribute("lang") == "en"


def test_the_console_passes_axe(console: Opener) -> None:
    page = console(ADMIN, **LARGE)
    assert failing(page, tuple(ADMIN + path for path in CONSOLE)) == {}


def test_the_console_passes_axe_on_a_dark_phone(console: Opener) -> None:
    page = console(ADMIN, **NARROW)
    assert failing(page, tuple(ADMIN + path for path in CROWDED)) == {}


@pytest.mark.parametrize("model", ROWS)
def test_the_page_of_a_row_passes_axe(console: Opener, model: str) -> None:
    page = console(f"{ADMIN}{model}/", **LARGE)
    follow(page.locator("#result_list tbody th a").first)
    assert axe.violations(page) == []


def test_what_is_excused_as_djangos_own_does_fail_on_its_own_pages(console: Opener) -> None:
    """When Django mends it, this test says so, and the excuse goes."""
    page = console(ADMIN, **LARGE)
    failed = set()
    for path in STOCK:
        page.goto(path)
        assert axe.violations(page) == [], path
        failed |= {text.split(":")[0] for text in axe.violations(page, djangos={})}
    assert failed == set(axe.DJANGOS)


@pytest.mark.parametrize("path", ["/", "/search/?q=christmas"])
def test_tab_reaches_every_control_in_order_and_shows_where_it_is(open_page: Opener, path: str) -> None:
    walk(open_page(path, **LARGE))


@pytest.mark.parametrize("path", [CONSOLE[0], CONSOLE[2], "judgment/judge/?document=product&q=christmas"])
def test_the_console_is_walked_by_keyboard(console: Opener, path: str) -> None:
    walk(console(ADMIN + path, **LARGE))


def walk(page: Page) -> None:
    """From the link that skips to the content through all controls."""
    stops = page.evaluate(STOPS)
    page.keyboard.press("Tab")
    assert "Skip" in page.evaluate("document.activeElement.textContent")
    walked = []
    for _ in range(stops + 5):
        stop = page.evaluate(STOP)
        if stop["end"]:
            break
        walked.append(stop)
        page.keyboard.press("Tab")
    assert [stop for stop in walked if not (stop["ring"] and stop["seen"] and stop["follows"])] == []
    assert len(walked) >= stops


def test_nothing_moves_for_who_wants_it_still(console: Opener) -> None:
    page = console(f"{ADMIN}dashboard/?document=product", reduced_motion="reduce")
    assert page.evaluate(MOVING, "[class^=llmrec-]") == []
    page.goto("/")
    assert page.evaluate(MOVING, "*") == []


def test_each_picture_of_the_dashboard_has_a_name_of_its_own(console: Opener) -> None:
    page = console(f"{ADMIN}dashboard/?document=product")
    names = page.locator("svg[role=img]").evaluate_all("all => all.map((one) => one.textContent.trim())")
    assert names
    assert all(names)
    assert len(names) == len(set(names))
