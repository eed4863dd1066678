"""The contract of every list strategy: inherit StrategyContract, name it, and give it items to list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.core.cache import cache
from django.db.models import Model
from django.utils import timezone, translation

from llmrec_plugin.contracts.site import SiteContract, silent_engine
from llmrec_plugin.exceptions import InvalidRequest, NotFound
from llmrec_plugin.models import Deployment, IndexVersion, Interaction, Placement, Rule
from llmrec_plugin.services.curation.list_types import list_types
from llmrec_plugin.services.curation.placements import get_placement
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.recommendations import recommend
from llmrec_plugin.types import ResultPage

__all__ = ["StrategyContract"]

PLACE = "of-the-contract"
LEAST = 6
"""Items without which a list has no beginning, and nothing to leave out."""


class StrategyContract(SiteContract):
    """Holds a list strategy to what each must do; `name`, `document`, `make_items` and, with a filter,
    `some` and `passes` say which, and on what."""

    name: ClassVar[str]
    """Of the strategy."""
    document: ClassVar[str]
    """Label of the document whose items it lists."""
    some: ClassVar[Mapping[str, list[Any]]] = {}
    """A filter of that document, such as {"colour": ["red"]}, that a part of the items passes, the first of
    them among it; empty: the document has no filter fields."""

    def make_items(self) -> Sequence[Model]:
        """Store and return at least six items that the strategy lists all, one of them what a page is about:
        the first."""
        raise NotImplementedError("Give make_items(): store six items of the document, and return them.")

    def passes(self, item: Any) -> bool:
        """Return whether the item passes the filter `some`."""
        raise NotImplementedError("Give passes(item): whether the item passes the filter `some`.")

    @pytest.fixture
    def items(self, _usual_settings: None) -> Sequence[Model]:
        items = self.make_items()
        assert len(items) >= LEAST, f"make_items() gave {len(items)} items; the contract needs {LEAST}."
        build(self.document)
        # Among so few items the floor of similarity would leave out most.
        IndexVersion.objects.update(floor=None)
        return items

    @property
    def needs_item(self) -> bool:
        return list_types.get(self.name).needs_item

    def page(self, items: Sequence[Model], placement: str = "", **values: Any) -> ResultPage:
        """Return all that the list has, or the first `limit`."""
        about = {"item_id": str(items[0].pk)} if self.needs_item else {}
        return recommend(
            placement or self.name, **{"document": self.document, "limit": 100, **about, **values}
        )

    def expected(self, items: Sequence[Model]) -> set[str]:
        """Return the keys of all that the list may show to a stranger."""
        return {str(item.pk) for item in items[1 if self.needs_item else 0 :]}

    def did(self, user: str, kind: str, item: Model, *, minutes: int = 60) -> None:
        at = timezone.now() - timedelta(minutes=minutes)
        Interaction.objects.create(
            user_key=user, document=self.document, item_id=str(item.pk), kind=kind, at=at
        )

    def test_it_is_a_placement_of_its_own_name_and_says_what_it_is(self) -> None:
        known = list_types.get(self.name)
        assert (get_placement(self.name).type, get_placement(self.name).hide) == (
            self.name,
            known.hidden_kinds(),
        )
        with translation.override("en"):
            assert str(known.label)
            assert str(known.help_text).endswith(".")

    def test_each_item_is_there_once_and_in_the_order_of_its_score(self, items: Sequence[Model]) -> None:
        page = self.page(items)
        keys = [item.item_id for item in page.results]
        assert len(keys) == len(set(keys))
        assert set(keys) == self.expected(items)
        scores = [item.score for item in page.results]
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-9)
        for item in page.results:
            assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)

    def test_it_answers_alike_each_time_and_shorter_lists_are_its_beginning(
        self, items: Sequence[Model]
    ) -> None:
        whole = [item.item_id for item in self.page(items).results]
        for limit in (1, 3):
            cache.clear()
            assert [item.item_id for item in self.page(items, limit=limit).results] == whole[:limit]

    def test_what_is_hidden_never_shows(self, items: Sequence[Model]) -> None:
        dismissed, ruled_out, viewed = items[-1], items[-2], items[-3]
        self.did("7", "dismiss", dismissed)
        self.did("7", "view", viewed)
        Rule.objects.create(name="not this", document=self.document, action="hide", items=[str(ruled_out.pk)])
        Placement.objects.create(name=PLACE, type=self.name, document=self.document, hide=["view"])
        keys = {item.item_id for item in self.page(items, PLACE, user_key="7").results}
        gone = {str(item.pk) for item in (dismissed, ruled_out, viewed)}
        assert keys == self.expected(items) - gone

    def test_it_stays_within_its_filters(self, items: Sequence[Model]) -> None:
        if not self.some:
            pytest.skip("`some` names no filter")
        Placement.objects.create(name=PLACE, type=self.name, document=self.document, filters=dict(self.some))
        passing = {str(item.pk) for item in items if self.passes(item)}
        assert 0 < len(passing) < len(items)
        page = self.page(items, PLACE)
        assert {item.item_id for item in page.results} == passing & self.expected(items)

    def test_a_stranger_and_an_unknown_user_see_all_there_is(self, items: Sequence[Model]) -> None:
        for user_key in (None, "nobody knows them"):
            page = self.page(items, user_key=user_key)
            assert {item.item_id for item in page.results} == self.expected(items)

    def test_without_an_index_or_an_engine_the_list_is_as_long(self, items: Sequence[Model]) -> None:
        self.did("7", "view", items[-1])
        before = {item.item_id for item in self.page(items, user_key="7").results}
        cache.clear()
        with silent_engine():
            assert {item.item_id for item in self.page(items, user_key="7").results} == before
        Deployment.objects.all().delete()
        cache.clear()
        assert {item.item_id for item in self.page(items, user_key="7").results} == before

    def test_without_items_there_is_an_empty_list(self) -> None:
        build(self.document)
        if self.needs_item:
            with pytest.raises(NotFound, match="has no item"):
                recommend(self.name, document=self.document, item_id="1")
            with pytest.raises(InvalidRequest, match="needs the item"):
                recommend(self.name, document=self.document)
        else:
            page = recommend(self.name, document=self.document, user_key="7")
            assert (page.results, page.total) == ((), 0)
