"""What an item may be laid to: nothing but what the user wanted."""

from __future__ import annotations

import pytest

from llmrec_plugin.services.serving.reasons import ReasonContext, causes
from llmrec_plugin.types import RankedItem


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("taste:wanted", True),
        ("taste:unwanted", False),  # what is unlike it is lifted, but nobody wants to read of it
        ("taste", True),  # of past items that are not named one by one
    ],
)
def test_a_taste_is_laid_to_what_the_user_wanted_alone(code: str, told: bool) -> None:
    item = RankedItem(key="hose", score=1.0, contributions={code: 1.0})
    found = causes(item, ReasonContext(sources={"wanted": "view"}))
    assert [str(reason.code) for reason in found] == ([code] if told else [])


def test_one_of_whom_nothing_wanted_is_known_has_no_taste() -> None:
    item = RankedItem(key="hose", score=1.0, contributions={"taste": 1.0})
    assert causes(item, ReasonContext()) == []
