"""The one "did you mean": which known name is offered, and when none is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.suggest import hint, nearest

KNOWN = ["placement", "size", "Document"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("placemnet", "placement"), ("SIZE", "size"), ("documents", "Document"), ("colour", None), ("", None)],
)
def test_a_misspelt_name_finds_the_known_one_whatever_its_case(written: str, meant: str | None) -> None:
    assert nearest(written, KNOWN) == meant


def test_a_hint_asks_only_where_a_name_is_alike() -> None:
    assert hint("sizes", KNOWN) == 'Did you mean "size"? Known: placement, size, Document.'
    assert hint("colour", KNOWN) == "Known: placement, size, Document."
    assert hint("sizes", KNOWN, listed=["size"]) == 'Did you mean "size"? Known: size.'
    assert hint("size", []) == "Known: none."


def test_names_of_any_length_and_type_are_compared_at_their_beginning() -> None:
    assert nearest("placement" + "x" * 1_000_000, KNOWN) is None
    assert nearest(7, ["7th"]) == "7th"


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=10))
def test_what_is_offered_is_known(written: str, known: list[str]) -> None:
    assert nearest(written, known) in {None, *known}
    if written and written in known:
        assert nearest(written, [written]) == written
