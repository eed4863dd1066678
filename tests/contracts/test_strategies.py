"""Each built-in list strategy keeps the contract, and so does the one that the test site registers."""

from __future__ import annotations

from llmrec_plugin.contracts.strategies import StrategyContract
from tests.hostapp.models import Course, Product
from tests.support.serving import stock


class InTheShop(StrategyContract):
    document = "product"
    some = {"category": ["garden"]}

    def make_items(self) -> list[Product]:
        return sorted(stock(copies=1).values(), key=lambda product: "garden" not in product.title)

    def passes(self, item: Product) -> bool:
        return item.categories.filter(name="garden").exists()


class TestForYou(InTheShop):
    name = "for-you"


class TestBecauseYouViewed(InTheShop):
    name = "because-you-viewed"


class TestBasket(InTheShop):
    name = "basket"


class TestTrending(InTheShop):
    name = "trending"


class TestPopular(InTheShop):
    name = "popular"


class TestLatest(InTheShop):
    name = "latest"


class TestSimilar(InTheShop):
    name = "similar"


class TestAlsoBought(InTheShop):
    name = "also-bought"


class TestCheapestFirst(InTheShop):
    name = "cheapest"


class TestNextStep(StrategyContract):
    name = "next"
    document = "course"
    some = {"language": ["en"]}

    def make_items(self) -> list[Course]:
        return [
            Course.objects.create(title=f"Course {number}", language="en" if number < 4 else "de")
            for number in range(9)
        ]

    def passes(self, item: Course) -> bool:
        return item.language == "en"
