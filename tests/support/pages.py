"""Lists that hold something unless a test says otherwise: what is true of every item is true of none, too."""

from __future__ import annotations

from llmrec_plugin.types import ResultPage


def some(page: ResultPage, *, results: bool | None = True) -> ResultPage:
    """Return the page; fails where it is empty, with `results=False` where it is not. None: either."""
    if results is not None:
        assert bool(page.results) == results, page
    return page


def titles(page: ResultPage) -> list[str]:
    """What visitors read, in order."""
    return [item.title for item in page.results]
