"""The lists of a page, each asked for by itself: one that cannot be had does not take the others down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from llmrec_plugin.exceptions import LlmrecError, NotBuilt
from llmrec_plugin.types import ResultPage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Section:
    slug: str
    """Anchor on the page."""
    title: str | Promise
    page: ResultPage

    @property
    def common_reason(self) -> str:
        """What every item of the list says of itself first; it is then told once, above the list."""
        first = {item.reasons[0] if item.reasons else "" for item in self.page.results}
        return first.pop() if len(first) == 1 else ""


class Sections:
    """Collects the sections of one page; remembers that an index is missing."""

    def __init__(self) -> None:
        self.found: list[Section] = []
        self.not_built = False

    def add(self, slug: str, title: str | Promise, ask: Callable[[], ResultPage]) -> None:
        """Append the list unless it is empty or cannot be had."""
        try:
            page = ask()
        except NotBuilt:
            self.not_built = True
        except LlmrecError as error:
            logger.warning("section=%s left out: %s", slug, error)
        else:
            if page.results:
                self.found.append(Section(slug, title, page))
