"""Which of several to take: what is proven counts, then speed."""

from __future__ import annotations

import math

import pytest

from llmrec_plugin.evaluation.choice import choose
from llmrec_plugin.evaluation.comparison import Contrast

SPEED = {"small": 100.0, "large": 10.0, "other": 50.0}


def difference(method: str, baseline: str, low: float, high: float) -> Contrast:
    return Contrast(
        metric="NDCG@10",
        method=method,
        baseline=baseline,
        difference=(low + high) / 2,
        low=low,
        high=high,
        ratio=1.0,
        cases=100,
    )


def chosen(*differences: Contrast, quality: dict[str, float] | None = None) -> tuple[str, str]:
    return choose(quality or dict.fromkeys(SPEED, 0.5), SPEED, differences)


def test_where_nothing_is_proven_the_fastest_is_taken() -> None:
    name, why = chosen(
        difference("large", "small", -0.01, 0.04), difference("large", "other", math.nan, math.nan)
    )
    assert name == "small"
    assert "more than chance" in why


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.05), (-0.05, 0.0)])
def test_an_interval_that_ends_at_no_difference_proves_nothing(low: float, high: float) -> None:
    name, why = chosen(difference("large", "small", low, high), difference("small", "large", low, high))
    assert name == "small"
    assert "more than chance" in why


@pytest.mark.parametrize(
    "proof", [difference("large", "small", 0.01, 0.04), difference("small", "large", -0.04, -0.01)]
)
def test_what_is_proven_worse_is_out_whichever_way_it_was_compared(proof: Contrast) -> None:
    name, why = chosen(proof)
    assert name == "other"
    assert why == "Proven worse on some metric: small; of the others, which are not, the fastest."


def test_the_only_one_that_is_worse_on_nothing_is_taken_however_slow() -> None:
    name, why = chosen(difference("large", "small", 0.01, 0.04), difference("large", "other", 0.01, 0.04))
    assert name == "large"
    assert why == "Proven worse on some metric: small, other; this one on none."


def test_where_each_is_worse_somewhere_the_mean_decides() -> None:
    against = [("small", "large"), ("large", "other"), ("other", "small")]
    name, why = chosen(
        *(difference(one, other, 0.01, 0.02) for one, other in against),
        quality={"small": 0.4, "large": 0.6, "other": 0.5},
    )
    assert name == "large"
    assert "highest mean" in why
