"""How much a higher place is clicked for being higher: a planted exponent is found, none is made up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec_plugin.learning.click_models.position_bias import CLIP, MOST, PositionBias, fit_position_bias

Shown = tuple[list[int], list[int], list[bool]]


def shown(exponent: float, *, lists: int, queries: int = 40, items: int = 10, seed: int = 1) -> Shown:
    """Each list shuffles the items of its query; each item has a relevance of its own."""
    rng = np.random.default_rng(seed)
    relevance = rng.beta(1, 4, (queries, items))
    found: Shown = ([], [], [])
    for _ in range(lists):
        query = int(rng.integers(queries))
        for place, item in enumerate(rng.permutation(items).tolist(), start=1):
            found[0].append(query * items + item)
            found[1].append(place)
            found[2].append(bool(rng.random() < relevance[query, item] * place**-exponent))
    return found


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.3])
def test_a_planted_bias_is_found_within_its_error(exponent: float) -> None:
    bias = fit_position_bias(*shown(exponent, lists=4000))
    assert bias.error < 0.1
    assert abs(bias.exponent - exponent) < 2.5 * bias.error + 0.05  # few clicks are no Poisson clicks
    assert bias.clicks > 500


def test_results_that_always_stood_at_one_place_tell_nothing() -> None:
    still = fit_position_bias([1, 1, 2, 2], [1, 1, 2, 2], [True, True, True, False])
    assert (still.exponent, still.error, still.clicks) == (0.0, math.inf, 0)
    nothing = fit_position_bias([], [], [])
    assert (nothing.exponent, nothing.error, nothing.clicks) == (0.0, math.inf, 0)


def test_what_is_clicked_lower_down_more_often_counts_as_no_bias_and_too_much_as_the_most() -> None:
    assert fit_position_bias([1, 1, 1], [1, 2, 2], [False, True, True]).exponent < 1e-9
    assert fit_position_bias([1] * 99 + [1], [1] * 99 + [2], [True] * 99 + [False]).exponent == pytest.approx(
        MOST
    )


def test_a_click_counts_what_its_place_was_missed_for_within_bounds() -> None:
    bias = PositionBias(exponent=1.0, error=0.5, clicks=100)
    assert bias.weights([1, 2, 4]).tolist() == [1, 2, 4]
    assert bias.weights([4, 100], errors=2.0).tolist() == [16, CLIP]
    assert bias.weights([4, 100], errors=-2.0).tolist() == [1, 1]
