"""What a query finds is read apart by leg, whatever moves the list by its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from llmrec_plugin.contributions import Contribution, contributions
from llmrec_plugin.documents import SearchDocument, Signal, SignalContext, Signals, register_signal
from llmrec_plugin.documents.signals import ValuesByKey, signals
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.ranking.items import add, best_first
from llmrec_plugin.ranking.stages import Stage
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.services.search_quality.click_evidence import candidates
from llmrec_plugin.types import RankedItem, SearchRequest
from tests.hostapp.models import Product
from tests.support.indexed import declared
from tests.support.serving import stock

pytestmark = pytest.mark.django_db


class Gadgets(SearchDocument[Product]):
    model = Product
    label = "gadget"
    text_fields = ["title"]
    filter_fields = {"price": "price", "in_stock": "in_stock", "brand": "brand"}
    signals = Signals(turns="price", available="in_stock", group="brand")


class EverySecondLast(Signal):
    """Puts every second item of the list behind the others."""

    name = "turns"
    kind = "number"
    contribution = Contribution(name="turns", label="turns")
    reorders = True

    def stage(self, values: ValuesByKey, context: SignalContext) -> Stage:
        def stage(items: Sequence[RankedItem]) -> list[RankedItem]:
            ordered = best_first(items)
            return best_first(
                add(item, {"turns": -9.0}) if place % 2 else item for place, item in enumerate(ordered)
            )

        return stage


@pytest.fixture(autouse=True)
def shop() -> Iterator[None]:
    register_signal(EverySecondLast)
    try:
        with declared(Gadgets):
            stock()
            build("gadget")
            IndexVersion.objects.update(floor=None)
            yield
    finally:
        signals.unregister("turns")
        contributions.unregister("turns")


def test_signals_that_go_by_the_order_count_for_neither_leg_nor_beside_them() -> None:
    plain = candidates("gadget", "wooden lamp", Configuration.current())
    Configuration(signal_weights={"turns": 1.0}, most_per_group=1).save()
    page = search(SearchRequest(document="gadget", text="wooden lamp", limit=100))
    assert {name for item in page.results for name in item.contributions} >= {"turns", "cap"}
    found = candidates("gadget", "wooden lamp", Configuration.current())
    assert found.keys == plain.keys
    np.testing.assert_allclose(found.text, plain.text)
    np.testing.assert_allclose(found.vector, plain.vector)
    np.testing.assert_allclose(found.other, np.zeros(len(plain.keys)), atol=1e-9)


def test_signals_that_add_to_scores_count_beside_the_legs() -> None:
    Configuration(signal_weights={"turns": 1.0}, availability_weight=0.5).save()
    found = candidates("gadget", "wooden lamp", Configuration.current())
    in_stock = {str(pk) for pk in Product.objects.filter(in_stock=True).values_list("pk", flat=True)}
    assert dict(zip(found.keys, found.other.tolist(), strict=True)) == {
        key: 0.5 if key in in_stock else 0.0 for key in found.keys
    }
