"""The console under django-unfold, which draws forms of its own subclasses alone and resets every element."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Opener, served
from tests.browser.visits import ADMIN, follow

pytestmark = pytest.mark.browser

OWN = (
    "dashboard/?document=product",
    "exploration/?document=product&list=search&q=christmas",
    "judgment/judge/?document=product&q=christmas",
    "modelversion/pictures/?document=product",
    "status/",
    "indexversion/",
    "experiment/add/",
    "synonym/add/",
    "configuration/",
)
BARE = """() => [...document.querySelectorAll(
  "#content-main :is(input:not([type=hidden], [type=radio], [type=checkbox]), select, textarea),"
  + " main :is(input:not([type=hidden], [type=radio], [type=checkbox]), select, textarea)"
)].filter((e) => e.checkVisibility() && getComputedStyle(e).borderTopWidth === "0px"
  && getComputedStyle(e.parentElement).borderTopWidth === "0px").map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo site with the theme."""
    with served(
        built, tmp_path_factory.mktemp("themed"), settings="tests.browser.unfold_settings"
    ) as address:
        yield address


def test_every_field_can_be_seen_and_every_page_answers(console: Opener) -> None:
    page = console(ADMIN)
    for path in OWN:
        answer = page.goto(ADMIN + path)
        assert answer is not None
        assert answer.status == 200, path
        assert page.evaluate(BARE) == [], path


def test_a_rule_is_previewed_and_saved(console: Opener) -> None:
    page = console(f"{ADMIN}rule/add/")
    page.fill("#id_name", "Garden first")
    page.select_option("#id_document", "product")
    page.select_option("#id_action", "pin")
    page.fill("#id_items", "3")
    page.select_option("#id_match", "contains")
    page.fill("#id_phrases", "garden")
    follow(page.locator("[name=_preview]"))
    assert page.locator("#preview .llmrec-side").count() == 2
    follow(page.locator("[name=_save]").last)
    assert "Garden first" in page.inner_text("body")
