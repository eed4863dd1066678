"""Makes pairs of texts that belong together, from who took what and after what: the examples that an encoder
is tuned on.

Texts are row numbers: items first, in the order of the events, then queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Events, temporal_cases
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.types import Matrix

KNOWN_WINDOW = 20
"""Items of one user that lie so many steps apart count as known to go together."""
NEGATIVE_RANKS = (5, 50)
"""Hard negatives are drawn from these ranks of likeness: the very first are often the same thing again."""
NEGATIVE_MARGIN = 0.95
"""A negative that is liker than this share of the positive's likeness is taken for a missed positive."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Holds what leads to what; all arrays have one entry per pair."""

    left: NDArray[np.int32]
    """Shape (n, h): rows of what came before, oldest first, padded with -1 in front."""
    right: NDArray[np.int32]
    """Row of what followed."""
    value: NDArray[np.float32]
    """How well it went, 0..1; 1 where nothing but the fact is known."""
    negative: NDArray[np.int32]
    """Row of something like `right` that did not follow; -1: none."""

    def __len__(self) -> int:
        return len(self.right)

    def part(self, chosen: NDArray[np.integer] | slice) -> Pairs:
        return Pairs(
            left=self.left[chosen],
            right=self.right[chosen],
            value=self.value[chosen],
            negative=self.negative[chosen],
        )

    def with_negatives(self, negative: NDArray[np.int32]) -> Pairs:
        return Pairs(left=self.left, right=self.right, value=self.value, negative=negative)


def make_pairs(
    left: Sequence[Sequence[int]],
    right: Sequence[int],
    *,
    history: int,
    value: Sequence[float] | None = None,
) -> Pairs:
    """Return pairs from lists of rows; of each `left` the last `history` are kept."""
    rows = np.full((len(right), history), -1, np.int32)
    for place, past in enumerate(left):
        kept = list(past)[-history:]
        rows[place, history - len(kept) :] = kept
    values = np.ones(len(right), np.float32) if value is None else np.asarray(value, np.float32)
    return Pairs(
        left=rows,
        right=np.asarray(right, np.int32).reshape(-1),
        value=values,
        negative=np.full(len(right), -1, np.int32),
    )


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Return all pairs of parts with the same length of history, one after the other."""
    return Pairs(
        left=np.concatenate([part.left for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        negative=np.concatenate([part.negative for part in parts]),
    )


def history_pairs(
    events: Events, window: slice, *, history: int, most: int, rng: np.random.Generator
) -> Pairs:
    """Return pairs from what a user took strictly earlier, their last `history` items, to each item new to
    them within the window; at most `most`, drawn at random, and at most twenty of a user."""
    cases = [case for case in temporal_cases(events, window, rng=rng, most=most) if case.history]
    return make_pairs([case.history for case in cases], [case.target for case in cases], history=history)


def neighbour_pairs(neighbours: Neighbours, *, per_item: int, history: int) -> Pairs:
    """Return pairs from each item to the strongest of what people take with it; the value is the weight, 1
    for the strongest neighbour of each item."""
    top = neighbours.indices[:, :per_item]
    items, places = np.nonzero(top >= 0)
    strongest = neighbours.weights[items, 0]
    return make_pairs(
        items[:, None].tolist(),
        top[items, places].tolist(),
        history=history,
        value=(neighbours.weights[items, places] / strongest).tolist(),
    )


@dataclass(frozen=True, eq=False)
class Known:
    """Holds pairs of rows that are known to go together, in either order, for a look-up of many at once."""

    keys: NDArray[np.int64]
    """Sorted, each once: smaller row * size + larger row."""
    size: int
    """Number of all rows."""

    def contains(self, one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return it elementwise, with the usual rules for shapes; a row of -1 is known to nothing."""
        low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
        if not len(self.keys):
            return np.zeros(low.shape, np.bool_)
        wanted = low * self.size + high
        places = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        found: NDArray[np.bool_] = (self.keys[places] == wanted) & (low >= 0)
        return found


def known_pairs(events: Events, *, size: int, more: Sequence[Pairs] = ()) -> Known:
    """Return what each user took within a few steps, and the pairs given: none of these is a negative."""
    taken: dict[int, list[int]] = defaultdict(list)
    for user, item in zip(events.users.tolist(), events.items.tolist(), strict=True):
        taken[user].append(item)
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for items in taken.values():
        row = np.asarray(items, np.int64)
        for step in range(1, min(KNOWN_WINDOW, len(row) - 1) + 1):
            found.append(_keys(row[:-step], row[step:], size))
    for pairs in more:
        for column in pairs.left.T:
            there = column >= 0
            found.append(_keys(column[there], pairs.right[there], size))
    return Known(np.unique(np.concatenate(found)), size)


def _keys(one: NDArray[np.integer], other: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
    keys: NDArray[np.int64] = low * size + high
    return keys


def hard_negatives(
    pairs: Pairs, vectors: Matrix, known: Known, *, items: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return for each pair an item that its left side looks like and that does not follow, -1 where there is
    none.

    `vectors`: one row per text, by the encoder as it is. Left out are what is known to follow any part of
    the left side or to go with the right one, and what is as like as the right side itself: what a
    catalogue sells twice is no negative of itself.
    """
    chosen = np.full(len(pairs), -1, np.int32)
    first, last = NEGATIVE_RANKS[0], min(NEGATIVE_RANKS[1], items)
    for place in range(len(pairs)):
        left, right = pairs.left[place], pairs.right[place]
        user = vectors[left[left >= 0]].mean(axis=0)
        likeness = vectors[:items] @ user
        rivals = np.argpartition(-likeness, last - 1)[:last] if last < items else np.arange(items)
        rivals = rivals[np.argsort(-likeness[rivals], kind="stable")][first:]
        follows = known.contains(left[:, None], rivals[None, :]).any(axis=0)
        follows |= known.contains(right, rivals) | (rivals == right) | np.isin(rivals, left)
        missed = likeness[rivals] > NEGATIVE_MARGIN * likeness[right]
        open_ones = rivals[~(follows | missed)]
        if len(open_ones):
            chosen[place] = rng.choice(open_ones)
    return chosen
