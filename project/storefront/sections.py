"""The lists of a page, each asked for by itself: one that cannot be had does not take the others down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from django.utils.translation import gettext

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError, NotBuilt
from llmrec_plugin.services import interactions
from llmrec_plugin.types import ContributionCode, ResultItem, ResultPage

logger = logging.getLogger(__name__)

VIEWED = ("view", "click")
HISTORY = 50


Title: TypeAlias = Callable[[ResultPage], str]
"""What stands above a list, told from the list; empty: it is not worth showing."""


@dataclass(frozen=True, slots=True)
class Section:
    slug: str
    """Anchor on the page."""
    title: str
    page: ResultPage


class Sections:
    """Collects the sections of one page; remembers that an index is missing."""

    def __init__(self) -> None:
        self.found: list[Section] = []
        self.not_built = False

    def add(self, slug: str, title: str | Title, ask: Callable[[], ResultPage]) -> None:
        """Append the list unless it is empty or cannot be had."""
        try:
            page = ask()
        except NotBuilt:
            self.not_built = True
            return
        except LlmrecError as error:
            logger.warning("section=%s left out: %s", slug, error)
            return
        heading = title(page) if callable(title) else title
        if page.results and heading:
            self.found.append(Section(slug, heading, page))


def names_of(items: Iterable[ResultItem]) -> set[str]:
    """Return the names of all contributions to the scores of these items."""
    return {ContributionCode.parse(text).name for item in items for text in item.contributions}


def personal_title(page: ResultPage) -> str:
    """Return what a list is called; one in which nothing is the visitor's own is not called theirs."""
    is_personal = not names_of(page.results).isdisjoint(("taste", "neighbours"))
    return gettext("For you") if is_personal else gettext("Popular")


def next_title(page: ResultPage) -> str:
    """Return a title only for what leads on from something that the learner has taken."""
    return gettext("Your next step") if "next" in names_of(page.results) else ""


def viewed_title(document: str, user_key: str | None) -> str:
    """Names the item that the visitor viewed last; empty: there is none, or it is gone."""
    if user_key is None:
        return ""
    past = interactions.latest_events(user_key, document=document, limit=HISTORY)
    keys = [event.key for event in past if event.kind in VIEWED]
    items = registry.get(document).in_bulk(keys[:1])
    titles = [registry.get(document).get_title(item) for item in items.values()]
    return gettext("Because you viewed “%(title)s”") % {"title": titles[0]} if titles else ""
