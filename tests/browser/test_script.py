"""llmrec.js on a page of a site's own, in a real browser against the real endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

pytestmark = pytest.mark.browser

SCRIPT = (
    '<script src="/static/llmrec/llmrec.js" defer data-interactions="/api/interactions/" '
    'data-impressions="/api/impressions/" data-me="/api/me/" data-consent="/api/me/consent/" '
    'data-mode="{mode}" {view}></script>'
)
FAR = 2
"""Items from this place on stand far below the window."""


@pytest.fixture
def visitor(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """A page of somebody new; `host` gives it the markup of a site with one list."""
    contexts = []

    def opened(init: str = "") -> Page:
        context = browser.new_context(base_url=site, viewport={"width": 800, "height": 600})
        if init:
            context.add_init_script(init)
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


def known(page: Page) -> None:
    """The visitor has done something before, and so has a key."""
    item = page.request.get("/api/recommendations/latest/?document=product").json()["results"][0]["item_id"]
    event = {"document": "product", "item_id": item, "kind": "view"}
    assert page.request.post("/api/interactions/", data=event).json()["stored"] == 1


def host(page: Page, *, mode: str = "opt-out", view: str = "") -> dict[str, Any]:
    """Open a page with a list for this visitor; returns the list."""
    found: dict[str, Any] = page.request.get("/api/search/?document=product&q=christmas&limit=4").json()
    rows = "".join(
        f'<li style="height:40px;margin-top:{2000 if place == FAR else 0}px" '
        f'data-llmrec-list="{found["request_id"]}" data-llmrec-document="product" '
        f'data-llmrec-item="{item["item_id"]}" data-llmrec-position="{place}"><a href="#">{place}</a></li>'
        for place, item in enumerate(found["results"])
    )
    second = found["results"][1]["item_id"]
    marks = f'data-llmrec-event="cart" data-llmrec-document="product" data-llmrec-item="{second}"'
    button = f"<button {marks}>Buy</button>"
    body = f"<!doctype html><title>Host</title>{button}<ol>{rows}</ol>{SCRIPT.format(mode=mode, view=view)}"
    page.route("**/host/", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto("/host/")
    return found


def posted(kind: str) -> Callable[[Response], bool]:
    return lambda answer: answer.url.endswith(f"/api/{kind}/") and answer.request.method == "POST"


def events(page: Page) -> list[dict[str, Any]]:
    """What the server keeps of this visitor, oldest first, without what made them known."""
    found: list[dict[str, Any]] = page.request.get("/api/me/export/").json()["interactions"]
    return found[1:]


def seen(page: Page) -> int:
    """Of the latest list of this visitor."""
    lists = page.request.get("/api/me/export/").json()["impressions"]
    return int(lists[-1]["seen"])


def test_what_came_into_view_is_reported_and_no_more(visitor: Callable[..., Page]) -> None:
    page = visitor()
    known(page)
    with page.expect_response(posted("impressions")):
        host(page)
    assert seen(page) == FAR
    with page.expect_response(posted("impressions")):
        page.mouse.wheel(0, 5000)
    assert seen(page) > FAR


def test_clicks_and_the_sites_own_events_are_tied_to_the_list(visitor: Callable[..., Page]) -> None:
    page = visitor()
    known(page)
    found = host(page)
    with page.expect_response(posted("interactions")):
        page.get_by_role("link", name="1").click()
    with page.expect_response(posted("interactions")):
        page.get_by_role("button", name="Buy").click()
    second = found["results"][1]["item_id"]
    assert [(event["kind"], event["item_id"], event["position"]) for event in events(page)] == [
        ("click", second, 1),
        ("cart", second, 1),
    ]
    assert {event["request_id"] for event in events(page)} == {found["request_id"]}


def test_a_second_click_on_the_same_item_of_a_list_is_no_second_event(visitor: Callable[..., Page]) -> None:
    page = visitor()
    known(page)
    host(page)
    for _ in range(2):
        with page.expect_response(posted("interactions")):
            page.get_by_role("link", name="0").click()
    assert [event["kind"] for event in events(page)] == ["click"]


def test_events_outlive_the_page_that_they_happened_on(visitor: Callable[..., Page]) -> None:
    page = visitor()
    known(page)
    found = host(page)
    key = found["results"][0]["item_id"]
    page.evaluate(f"llmrec.track('cart', {{document: 'product', item_id: {key}}})")
    page.goto("/you/")
    for _ in range(100):
        if events(page):
            break
        page.wait_for_timeout(100)
    assert [event["kind"] for event in events(page)] == ["cart"]


def test_the_page_of_an_item_is_a_visit_with_the_list_it_was_chosen_from(
    visitor: Callable[..., Page],
) -> None:
    page = visitor()
    known(page)
    found = host(page)
    second = found["results"][1]["item_id"]
    with page.expect_response(posted("interactions")):
        page.get_by_role("link", name="1").click()
    page.unroute("**/host/")
    for _ in range(2):
        with page.expect_response(posted("interactions")):
            host(page, view=f'data-view-document="product" data-view-item="{second}"')
        page.unroute("**/host/")
    assert [(event["kind"], event["request_id"]) for event in events(page)] == [
        ("click", found["request_id"]),
        ("view", found["request_id"]),
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})",
        "localStorage.setItem('llmrec.refused', 'true')",
    ],
)
def test_nothing_is_sent_for_who_wants_privacy(visitor: Callable[..., Page], refusal: str) -> None:
    page = visitor(refusal)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/api/" in request.url else None)
    host(page)
    page.get_by_role("link", name="0").click()
    page.evaluate("llmrec.flush()")
    page.wait_for_timeout(300)
    assert sent == []


def test_where_consent_comes_first_nothing_is_sent_before_it(visitor: Callable[..., Page]) -> None:
    page = visitor()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if "/api/" in request.url else None)
    host(page, mode="opt-in")
    page.get_by_role("link", name="0").click()
    page.evaluate("llmrec.flush()")
    page.wait_for_timeout(300)
    assert set(sent) <= {"GET"}  # only the question whether they have agreed
    assert page.evaluate("llmrec.consent(true)") is True
    with page.expect_response(posted("interactions")):
        page.get_by_role("link", name="0").click()
    assert page.request.get("/api/me/").json()["interactions"] == 1
