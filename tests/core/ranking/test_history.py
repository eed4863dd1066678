"""What each past item put into a score: nothing is lost, and without it the list is what was stated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmrec_plugin.ranking.history import by_past_item, folded, shortened
from llmrec_plugin.ranking.personal import PersonalWeights, rank_for_user
from llmrec_plugin.ranking.profile import build_profile
from llmrec_plugin.types import Event, PastItem, RankedItem, Vector

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"view": 1.0, "purchase": 4.0, "dismiss": -2.0}
PAST = [f"p{number}" for number in range(6)]
PERSONAL = ("taste", "neighbours", "text_neighbours", "next")
CANDIDATES = [f"c{number}" for number in range(12)]

pasts = st.lists(
    st.tuples(st.sampled_from(PAST), st.sampled_from(sorted(KINDS)), st.integers(0, 400)),
    min_size=2,
    max_size=12,
)


def drawn(seed: int) -> dict[str, Vector]:
    """A direction for each item, of 8 numbers."""
    rows = np.random.default_rng(seed).normal(size=(len(PAST) + len(CANDIDATES), 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return dict(zip([*PAST, *CANDIDATES], rows, strict=True))


def ranked(
    past: list[tuple[str, str, int]],
    vectors: Mapping[str, Vector],
    *,
    neighbours: Mapping[str, Mapping[str, float]] | None = None,
    named: int | None = None,
    learned: bool = False,
) -> dict[str, RankedItem]:
    """By key, as `rank_for_user` ranks; empty where the past shows no taste."""
    events = [Event(key=k, kind=kind, at=NOW - timedelta(days=days)) for k, kind, days in past]
    profile = build_profile(events, vectors, now=NOW, half_life=timedelta(days=90), kind_weights=KINDS)
    if profile is None:
        return {}
    items = rank_for_user(
        CANDIDATES,
        profile=profile,
        vectors=vectors,
        neighbours=neighbours or {},
        prior={key: place / 10 for place, key in enumerate(CANDIDATES)} if neighbours else {},
        weights=PersonalWeights(taste=0.7, neighbours=0.5, popularity=0.2, learned=learned),
        named=named,
    )
    return {item.key: item for item in items}


def personal(item: RankedItem) -> float:
    return sum(v for name, v in item.contributions.items() if name.partition(":")[0] in PERSONAL)


@given(pasts, st.integers(0, 1000), st.booleans())
def test_the_shares_sum_to_all_that_is_personal_and_with_the_rest_to_the_score(
    past: list[tuple[str, str, int]], seed: int, learned: bool
) -> None:
    neighbours = {"c1": {"p0": 0.4, "p1": 0.1}, "c2": {"p3": -0.2}}
    for item in ranked(past, drawn(seed), neighbours=neighbours, learned=learned).values():
        moved = by_past_item(item.contributions, PERSONAL)
        assert sum(moved.values()) == pytest.approx(personal(item), abs=1e-6)
        rest = item.contributions.get("popularity", 0.0)
        assert sum(moved.values()) + rest == pytest.approx(item.score, abs=1e-6)
        sizes = [abs(value) for value in moved.values()]
        assert sizes == sorted(sizes, reverse=True)


@given(pasts, st.integers(0, 1000))
def test_without_a_past_item_the_list_is_what_its_stated_share_leaves(
    past: list[tuple[str, str, int]], seed: int
) -> None:
    """Faithfulness: taking an item out of the past changes the lengths of all scores alike, so what is left
    of each score after its stated share must be, up to one factor, the score that the shorter past gives."""
    vectors = drawn(seed)
    whole = ranked(past, vectors)
    for gone in {key for key, _, _ in past}:
        without = ranked([event for event in past if event[0] != gone], vectors)
        assume(whole and without)
        left = np.array(
            [
                item.score - by_past_item(item.contributions, PERSONAL).get(gone, 0.0)
                for item in whole.values()
            ]
        )
        now = np.array([without[key].score for key in whole])
        if min(np.linalg.norm(left), np.linalg.norm(now)) > 1e-2:
            assert left / np.linalg.norm(left) == pytest.approx(now / np.linalg.norm(now), abs=5e-3)


@given(pasts, st.integers(0, 1000))
def test_folded_it_is_what_a_visitors_list_names(past: list[tuple[str, str, int]], seed: int) -> None:
    vectors = drawn(seed)
    visitors = ranked(past, vectors, named=3)
    for key, item in ranked(past, vectors).items():
        assert folded(item).score == item.score
        assert dict(folded(item).contributions) == pytest.approx(dict(visitors[key].contributions), abs=1e-6)


def test_folding_leaves_what_is_no_taste_as_it_is() -> None:
    tastes = {"taste:a": 0.5, "taste:b": 0.25, "taste:c": 0.125, "taste:d": 0.0625}
    others = {"neighbours:p": 0.03125, "rule:1": 0.015625}
    item = RankedItem(key="x", score=sum([*tastes.values(), *others.values()]), contributions=tastes | others)
    kept = {name: tastes[name] for name in ("taste:a", "taste:b", "taste:c")}
    assert folded(item).contributions == kept | others | {"taste": 0.0625}


def test_what_leads_on_and_what_is_said_of_oneself_count_too() -> None:
    parts = {
        "taste": 0.2,
        "next:a": 0.1,
        "neighbours:a": 0.3,
        "taste:a": -0.1,
        "popularity": 9.0,
        "rule:1": 1.0,
    }
    assert by_past_item(parts, PERSONAL) == pytest.approx({"a": 0.3, "": 0.2})
    assert list(by_past_item(parts, PERSONAL)) == ["a", ""]
    assert by_past_item({"text": 1.0, "cap": -0.1}, PERSONAL) == {}
    assert list(by_past_item({"taste:b": -0.5, "taste:a": 0.5, "taste:c": 0.5}, PERSONAL)) == ["a", "b", "c"]


def test_to_be_read_the_strongest_are_named_and_the_others_told_together() -> None:
    history = [
        PastItem("a", "A", -0.5),
        PastItem("", "", 0.4),
        PastItem("b", "B", 0.3),
        PastItem("c", "C", 0.1),
    ]
    assert [(past.item_id, past.value) for past in shortened(history, 2)] == [
        ("a", -0.5),
        ("b", 0.3),
        ("", pytest.approx(0.5)),
    ]
    assert shortened(history[:1], 2) == history[:1]
    assert shortened([], 2) == []
