"""The contract of every ranking signal: inherit SignalContract and say which, and of what values."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

import pytest
from django.utils import timezone

from llmrec_plugin.contributions import contributions
from llmrec_plugin.documents import Signal, SignalContext, ValueSignal, register_signal
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.models import Configuration
from llmrec_plugin.types import FilterKind, RankedItem, Scalar

__all__ = ["SignalContract"]

NOW = timezone.now()
LEFT_OUT = "without"


class SignalContract:
    """Holds a ranking signal to what each must do; `name` and `values` say which, and on what."""

    name: ClassVar[str]
    """Of the signal."""
    weighed: ClassVar[Mapping[str, Any]] = {}
    """Fields of the configuration with which it counts; empty: half the weight that editors may give it."""
    values: ClassVar[Sequence[tuple[Scalar, ...]]]
    """What the filter field of each of some items holds, those that the signal likes best first: two items at
    least, such as [(500.0,), (0.0,)]."""

    @property
    def signal(self) -> Signal:
        return signals.get(self.name)

    @property
    def context(self) -> SignalContext:
        weighed = self.weighed or {"signal_weights": {self.name: 0.5}}
        return SignalContext(configuration=Configuration(**weighed), now=NOW)

    @property
    def items(self) -> list[RankedItem]:
        """Return one per value, and one without any; all as good as each other but for a hair."""
        keys = [LEFT_OUT, *(f"k{number}" for number in range(len(self.values)))]
        scores = [1.0 - 1e-9 * place for place, _ in enumerate(keys)]
        return [RankedItem(key, score, {"text": score}) for key, score in zip(keys, scores, strict=True)]

    def staged(self, items: Sequence[RankedItem]) -> dict[str, RankedItem]:
        found = {f"k{number}": values for number, values in enumerate(self.values)}
        return {item.key: item for item in self.signal.stage(found, self.context)(items)}

    def added(self) -> dict[str, float]:
        code = self.signal.contribution.name
        return {key: item.contributions.get(code, 0.0) for key, item in self.staged(self.items).items()}

    def test_its_declaration_is_whole(self) -> None:
        signal = self.signal
        assert signal.kind in get_args(FilterKind)
        assert contributions.get(signal.contribution.name) is signal.contribution
        assert str(signal.contribution.label)

    def test_a_second_of_its_name_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=f'ranking signal "{self.name}" already'):
            register_signal(type(self.signal))
        assert isinstance(self.signal, Signal)

    def test_what_it_adds_is_finite_and_part_of_the_score(self) -> None:
        staged = self.staged(self.items)
        assert staged.keys() == {item.key for item in self.items}
        for item in staged.values():
            assert item.contributions.keys() <= {"text", self.signal.contribution.name}
            assert all(map(math.isfinite, item.contributions.values()))
            assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-12)

    def test_it_likes_one_item_better_than_another(self) -> None:
        added = self.added()
        best, worst = added["k0"], added[f"k{len(self.values) - 1}"]
        assert best > worst

    def test_an_item_without_a_value_is_as_good_as_the_average_or_left_alone(self) -> None:
        added = self.added()
        alone = added.pop(LEFT_OUT)
        assert alone == 0.0 or alone == pytest.approx(sum(added.values()) / len(added))

    def test_where_no_item_has_a_value_nothing_is_added(self) -> None:
        items = self.items
        assert self.signal.stage({}, self.context)(items) == items
        assert self.signal.stage({}, self.context)([]) == []

    def test_unweighed_it_counts_nothing(self) -> None:
        assert self.signal.weight(Configuration()) == 0
        assert self.signal.weight(self.context.configuration) > 0

    @pytest.mark.parametrize("seed", range(5))
    def test_the_order_in_which_items_come_makes_no_difference(self, seed: int) -> None:
        shuffled = random.Random(seed).sample(self.items, len(self.items))
        staged, usual = self.staged(shuffled), self.staged(self.items)
        assert staged.keys() == usual.keys()
        for key, item in usual.items():
            assert staged[key].score == pytest.approx(item.score, abs=1e-12)

    def test_a_value_lies_between_0_and_1(self) -> None:
        signal = self.signal
        if isinstance(signal, ValueSignal):
            found = [signal.value(values, self.context) for values in self.values]
            assert found == sorted(found, reverse=True)
            assert all(0.0 <= value <= 1.0 for value in found)
