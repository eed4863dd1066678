"""Each built-in list strategy keeps the contract, and so does the one that the test site registers."""

from __future__ import annotations

from typing import Any

from llmrec_plugin.services.indexing.index_build import build
from tests.contracts.strategy_suite import StrategyContract
from tests.hostapp.models import Course


class TestForYou(StrategyContract):
    name = "for-you"


class TestBecauseYouViewed(StrategyContract):
    name = "because-you-viewed"


class TestBasket(StrategyContract):
    name = "basket"


class TestTrending(StrategyContract):
    name = "trending"


class TestPopular(StrategyContract):
    name = "popular"


class TestLatest(StrategyContract):
    name = "latest"


class TestSimilar(StrategyContract):
    name = "similar"


class TestAlsoBought(StrategyContract):
    name = "also-bought"


class TestCheapestFirst(StrategyContract):
    name = "cheapest"


class TestNextStep(StrategyContract):
    name = "next"
    document = "course"
    some = {"language": ["en"]}

    def make_items(self) -> list[Any]:
        courses = [
            Course.objects.create(title=f"Course {number}", language="en" if number < 4 else "de")
            for number in range(9)
        ]
        build("course")
        return courses

    def passes(self, item: Any) -> bool:
        return bool(item.language == "en")
