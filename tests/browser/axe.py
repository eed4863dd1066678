"""axe-core on a page: what of it fails WCAG 2.2 at level A or AA."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

DJANGOS = {
    # The rows of links by which Django's lists are filtered are 20 pixels high.
    "target-size": "#changelist-filter a",
    # Django tells links in its breadcrumbs, and in the line below its search box, by colour alone.
    "link-in-text-block": ".breadcrumbs a, #changelist-search .small a",
}
"""By rule, what of Django's own fails it everywhere; a test asks pages of Django's whether it still does."""

ASK = """async (djangos) => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  const excused = (rule, [target]) => djangos[rule] && document.querySelector(target)?.matches(djangos[rule]);
  return violations.flatMap(({ id, nodes }) => nodes.filter(({ target }) => !excused(id, target))
    .map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""


@functools.cache
def _library() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, *, djangos: dict[str, str] | None = None) -> list[str]:
    """Each element that fails with the rule and why, without the failures of Django's own."""
    page.evaluate(_library())
    found: list[str] = page.evaluate(ASK, DJANGOS if djangos is None else djangos)
    return found
