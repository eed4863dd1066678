"""The taste of a user: weights by time and kind, likes and dislikes, exact attribution."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.exceptions import ConfigurationError, InvalidVector
from llmrec_plugin.ranking.profile import Profile, build_profile, declared_profile, item_weights
from llmrec_plugin.ranking.vectors import stack, unit
from llmrec_plugin.types import Event, Vector

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
KIND_WEIGHTS = {"view": 1.0, "purchase": 4.0, "rating": 2.0, "dismiss": -2.0}
EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
VECTORS = {"east": EAST, "north": NORTH}


def event(key: str, kind: str = "view", *, days: float = 0, value: float | None = None) -> Event:
    return Event(key=key, kind=kind, at=NOW - timedelta(days=days), value=value)


def weights(*events: Event, half_life: timedelta = MONTH) -> dict[str, float]:
    return item_weights(events, now=NOW, half_life=half_life, kind_weights=KIND_WEIGHTS)


def profile(*events: Event, vectors: Mapping[str, Vector] = VECTORS) -> Profile | None:
    return build_profile(events, vectors, now=NOW, half_life=MONTH, kind_weights=KIND_WEIGHTS)


def known(*events: Event, vectors: Mapping[str, Vector] = VECTORS) -> Profile:
    result = profile(*events, vectors=vectors)
    assert result is not None
    return result


events_of_any_kind = st.lists(
    st.builds(
        event,
        st.sampled_from([str(number) for number in range(8)]),
        st.sampled_from(sorted(KIND_WEIGHTS)),
        days=st.floats(-10, 400),
        value=st.none() | st.floats(-1, 7),
    ),
    max_size=20,
)


def test_after_one_half_life_an_event_counts_half() -> None:
    assert weights(event("a"), event("b", days=30), event("c", days=60)) == pytest.approx(
        {"a": 1.0, "b": 0.5, "c": 0.25}
    )


def test_with_recency_each_older_event_counts_less_whatever_the_time_between() -> None:
    events = [event("a", days=0.003), event("b", days=0.002), event("a", days=0.001)]
    given_weights = item_weights(
        reversed(events), now=NOW, half_life=1000 * MONTH, kind_weights=KIND_WEIGHTS, recency=0.5
    )
    assert given_weights == pytest.approx({"a": 1.0 + 0.25, "b": 0.5}, rel=1e-4)


def test_with_recency_only_what_speaks_for_an_item_makes_older_events_count_less() -> None:
    events = [
        event("old"),
        event("gone", "dismiss", days=-1),
        event("nothing", "cart", days=-2),
        event("young", days=-3),
    ]
    given_weights = item_weights(events, now=NOW, half_life=None, kind_weights=KIND_WEIGHTS, recency=0.5)
    assert given_weights == {"young": 1.0, "gone": -1.0, "old": 0.5}


def test_what_a_site_learned_turns_the_taste_and_the_parts_still_sum_to_it() -> None:
    """Whoever took what lies east wants what lies north."""
    quarter = np.array([[0, 1], [-1, 0]], np.float32)
    turned = build_profile(
        [event("east", "purchase"), event("north")],
        VECTORS,
        now=NOW,
        half_life=MONTH,
        kind_weights=KIND_WEIGHTS,
        turn=lambda rows: rows @ quarter,
    )
    assert turned is not None
    assert turned.vector == pytest.approx(np.array([-1, 4]) / 17**0.5, abs=1e-6)
    assert turned.keys == ("east", "north")
    assert turned.attribute(NORTH[None, :]) == pytest.approx(np.array([[4, 0]]) / 17**0.5, abs=1e-6)


def test_an_event_dated_in_the_future_counts_as_now() -> None:
    assert weights(event("a", days=-5)) == weights(event("a"))


def test_events_on_one_item_add_up_by_kind() -> None:
    assert weights(event("a"), event("a", "purchase")) == {"a": 5.0}


def test_a_kind_without_a_weight_says_nothing() -> None:
    assert weights(event("a", "cart")) == {}


@pytest.mark.parametrize(
    ("value", "weight"), [(5, 2.0), (4, 1.0), (2, -1.0), (1, -2.0), (9, 2.0), (0, -2.0), (None, 2.0)]
)
def test_a_rating_counts_by_its_distance_from_indifference(value: float | None, weight: float) -> None:
    assert weights(event("a", "rating", value=value)) == {"a": weight}


def test_a_rating_of_three_says_nothing() -> None:
    assert weights(event("a", "rating", value=3)) == {}


def test_the_value_of_other_kinds_is_no_rating() -> None:
    assert weights(event("a", "purchase", value=1)) == {"a": 4.0}


@pytest.mark.parametrize("half_life", [timedelta(0), timedelta(days=-1)])
def test_a_half_life_that_is_not_positive_is_refused(half_life: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="half-life"):
        weights(event("a"), half_life=half_life)


def test_a_half_life_may_be_shorter_than_a_day() -> None:
    assert weights(event("a", days=0.5), half_life=timedelta(hours=6)) == pytest.approx({"a": 0.25})


def test_an_event_of_long_ago_fades_to_nothing() -> None:
    assert weights(event("a", days=700_000)) == {}


def test_the_profile_leans_towards_what_weighs_more() -> None:
    # purchase 4 : view 1 gives (1, 4) / sqrt(17)
    taste = known(event("north", "purchase"), event("east"))
    assert taste.keys == ("north", "east")
    assert taste.vector == pytest.approx(np.array([1, 4]) / math.sqrt(17))
    assert taste.seed == pytest.approx(taste.vector)


def test_a_dismissal_pushes_away() -> None:
    diagonal = unit(EAST + NORTH)
    taste = known(event("east", "purchase"), event("north", "dismiss"))
    # (4, -2) / sqrt(20); without the dismissal the cosine with the diagonal would be 1 / sqrt(2)
    assert taste.vector @ diagonal == pytest.approx(2 / math.sqrt(40))
    assert taste.vector @ NORTH < 0
    assert taste.disliked == {"north"}


def test_candidates_are_sought_by_the_liked_items_alone() -> None:
    assert known(event("east"), event("north", "dismiss")).seed == pytest.approx(EAST)


def test_dismissals_alone_give_a_profile_that_points_away_and_seeks_nothing() -> None:
    taste = known(event("north", "dismiss"))
    assert taste.vector == pytest.approx(-NORTH)
    assert taste.seed is None


def test_likes_and_dislikes_that_cancel_out_are_no_taste() -> None:
    twins = {"east": EAST, "twin": EAST}
    assert (
        profile(event("east", "purchase"), event("twin", "dismiss"), event("twin", "dismiss"), vectors=twins)
        is None
    )


def test_likes_and_dislikes_of_nearly_the_same_are_no_taste_however_much_they_weigh() -> None:
    # Half of what went in points 5e-4 away from the other half: within the rounding of stored vectors.
    nearly = {"east": EAST, "twin": np.array([1, 5e-4], np.float32)}
    events = [event("east", "purchase"), event("twin", "dismiss"), event("twin", "dismiss")]
    assert profile(*events * 10, vectors=nearly) is None


def test_a_faint_taste_is_one() -> None:
    taste = known(event("east", days=360))  # twelve half-lives ago
    assert taste.vector == pytest.approx(EAST)
    assert taste.seed == pytest.approx(EAST)


@pytest.mark.parametrize("events", [(), (event("unknown"),), (event("east", "cart"),)])
def test_a_history_that_says_nothing_gives_no_profile(events: tuple[Event, ...]) -> None:
    assert profile(*events) is None


def test_items_without_a_vector_are_left_out() -> None:
    assert known(event("east"), event("unknown", "purchase")).keys == ("east",)


def test_what_a_user_says_about_himself_is_a_profile_without_past_items() -> None:
    taste = declared_profile(np.array([0, 2], np.float32))
    assert taste.keys == ("",)
    assert taste.vector == pytest.approx(NORTH)
    assert taste.seed == pytest.approx(NORTH)


@pytest.mark.parametrize("bad", [[math.nan, 1], [math.inf, 1], [0, 0], [1e30, 1e30]])
def test_a_vector_without_a_direction_is_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidVector, match="Vector 1 of 2"):
        profile(event("a"), event("b"), vectors={"a": EAST, "b": np.array(bad, np.float32)})


@pytest.mark.parametrize("bad", [np.ones(3, np.float32), np.ones((2, 1), np.float32)])
def test_vectors_of_another_shape_are_refused(bad: Vector) -> None:
    with pytest.raises(InvalidVector, match="one size"):
        profile(event("a"), event("b"), vectors={"a": EAST, "b": bad})


def test_without_any_vector_there_are_no_rows() -> None:
    positions, rows = stack(["a", "b"], {})
    assert (positions, rows.shape) == ([], (0, 0))


def test_a_matrix_is_no_vector() -> None:
    with pytest.raises(InvalidVector, match="one-dimensional"):
        unit(np.ones((2, 2), np.float32))


def test_candidates_of_another_encoder_are_refused() -> None:
    with pytest.raises(InvalidVector, match="two encoders"):
        known(event("east")).attribute(np.ones((1, 3), np.float32))


def test_attribution_holds_for_more_candidates_than_one_piece() -> None:
    rng = np.random.default_rng(1)
    taste = Profile(keys=("a", "b"), parts=rng.normal(size=(2, 700)).astype(np.float32))
    candidates = rng.normal(size=(900, 700)).astype(np.float32)
    assert taste.attribute(candidates) == pytest.approx(candidates @ taste.parts.T, abs=1e-3)


@given(events=events_of_any_kind, seed=st.integers(0, 100))
def test_attributions_sum_to_the_cosines_and_the_vector_has_unit_length(
    events: list[Event], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = {str(number): rng.normal(size=16).astype(np.float32) for number in range(8)}
    taste = profile(*events, vectors=vectors)
    if taste is not None:
        assert np.linalg.norm(taste.vector) == pytest.approx(1, abs=1e-4)
        _, candidates = stack(vectors, vectors)
        cosines = candidates @ taste.vector
        assert taste.attribute(candidates).sum(axis=1) == pytest.approx(cosines, abs=1e-4)


@given(events=events_of_any_kind, seed=st.integers(0, 100))
def test_the_order_of_events_does_not_matter(events: list[Event], seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = {str(number): rng.normal(size=16).astype(np.float32) for number in range(8)}
    one = profile(*events, vectors=vectors)
    other = profile(*random.Random(seed).sample(events, len(events)), vectors=vectors)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.keys == other.keys
        assert (one.parts == other.parts).all()
