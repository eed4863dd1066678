"""Items whose order is given, as scores that fall."""

from __future__ import annotations

import pytest

from llmrec_plugin.ranking.items import HALVING_PLACES, best_first, falling


def test_items_keep_their_order_by_scores_that_halve_every_so_many_places() -> None:
    ranked = falling((str(place) for place in range(HALVING_PLACES * 2 + 1)), "freshness")
    assert best_first(reversed(ranked)) == ranked
    scores = [item.score for item in ranked]
    assert scores[:: int(HALVING_PLACES)] == pytest.approx([1.0, 0.5, 0.25])
    assert [item.contributions for item in ranked] == [{"freshness": score} for score in scores]


def test_no_keys_are_no_items() -> None:
    assert falling([], "freshness") == []
