"""What visitors and editors do in a browser, and how large a phone is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ADMIN = "/admin/llmrec_plugin/"
PHONE = {"width": 360, "height": 740}
EDITOR = "admin"
"""Name and password of the one who may do everything in the admin of the demo site."""


def follow(target: Locator) -> None:
    """Click and wait until the page that it leads to is there."""
    with target.page.expect_navigation():
        target.click()


def press_enter(page: Page) -> None:
    with page.expect_navigation():
        page.keyboard.press("Enter")


def sign_in(page: Page, path: str = ADMIN) -> None:
    """Log in as the editor and open `path`."""
    page.goto("/admin/login/?next=/admin/password_change/done/")  # a small page
    page.fill("#id_username", EDITOR)
    page.fill("#id_password", EDITOR)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/password_change/done/")
    page.goto(path)


def first_customer(page: Page) -> str:
    value = page.locator("#view-as optgroup option").first.get_attribute("value")
    assert value is not None
    return value
