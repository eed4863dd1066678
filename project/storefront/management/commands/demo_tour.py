"""`manage.py demo_tour`: a search in either language, a similar list and a personal one, in the terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.services import interactions, recommendations
from llmrec_plugin.services.search import search
from llmrec_plugin.types import ResultPage, SearchRequest
from project.storefront.forms import SCHOOL, SHOP
from project.storefront.people import proposed_people

QUERIES = (
    (SHOP, "warm hands in winter"),
    (SCHOOL, "机器学习入门"),
    (SCHOOL, "learn Chinese"),
)
SHOWN = 4
TITLE_COLUMNS = 46


class Command(BaseCommand):
    help = "Show a search, a similar list and a personal list with their reasons."

    def handle(self, *args: Any, **options: Any) -> None:
        with translation.override("en"):
            try:
                self._tour()
            except LlmrecError as error:
                raise CommandError(str(error)) from error

    def _tour(self) -> None:
        first = ""
        for document, text in QUERIES:
            page = search(SearchRequest(document=document, text=text, limit=SHOWN))
            self._show(f'Search in {document}: "{text}" ({page.total} found)', page)
            if document == SHOP and page.results:
                first = page.results[0].item_id
        if first:
            title = registry.get(SHOP).get_title(registry.get(SHOP).in_bulk([first])[first])
            self._show(f"Similar to {title}", recommendations.similar(SHOP, first, limit=SHOWN))
        for username, user_key, document in self._people():
            page = recommendations.recommend("for-you", user_key=user_key, document=document, limit=SHOWN)
            self._show(f"For {username}{self._past(user_key, document)}", page)

    def _people(self) -> list[tuple[str, str, str]]:
        """(username, user key, document) of one customer and one learner."""
        customers, learners = proposed_people()
        chosen = {
            group[-1].username: label for group, label in ((customers, SHOP), (learners, SCHOOL)) if group
        }
        users = User.objects.filter(username__in=chosen).order_by("username")
        return [(user.username, str(user.pk), chosen[user.username]) for user in users]

    def _past(self, user_key: str, document: str) -> str:
        """The last few items that the user chose, so that one can judge the list."""
        keys = [event.key for event in interactions.latest_events(user_key, document=document, limit=3)]
        items = registry.get(document).in_bulk(keys)
        titles = [registry.get(document).get_title(items[key]) for key in keys if key in items]
        return f", who last chose {'; '.join(titles)}" if titles else ""

    def _show(self, heading: str, page: ResultPage) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(f"\n{heading}"))
        if page.degraded:
            self.stdout.write(self.style.WARNING(f"  without: {', '.join(page.degraded)}"))
        for number, item in enumerate(page.results, start=1):
            reasons = "; ".join(item.reasons[:2])
            self.stdout.write(f"  {number}. {_padded(item.title)}  {reasons}")


def _padded(title: str) -> str:
    """The title cut or filled to a fixed width; Chinese characters take two columns."""
    kept, width = "", 0
    for character in title:
        step = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + step > TITLE_COLUMNS:
            break
        kept, width = kept + character, width + step
    return kept + " " * (TITLE_COLUMNS - width)
