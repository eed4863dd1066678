"""Says what is known of a user and an item in the moment before they rate it, as numbers to
foresee the rating by.

Only what was rated strictly earlier counts, by whomever: the state that a site has when it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.types import Matrix, Progress

Values = NDArray[np.float64]

LIKED = 4.0
"""Of five: the least rating that counts as liking."""
ITEM_PRIOR, USER_PRIOR, SHARE_PRIOR = 10.0, 5.0, 5.0
"""As many ratings of the average stand beside the first ones of an item or user."""
LATEST, LATEST_PRIOR = 10, 3.0
GAMMA, GAMMA_PRIOR = 0.8, 1.0
NEIGHBOUR_PENALTY = 60.0
PAIR_PRIOR, NEAR_PRIOR = 30.0, 0.3
MAX_NEIGHBOURS = 4_000
"""Items, the most rated ones, whose ratings are explained by each other."""
TEXT_PRIOR = 0.2

FEATURES = (
    "item mean",
    "item liked",
    "item ratings",
    "user mean",
    "user liked",
    "user ratings",
    "user spread",
    "user latest",
    "user fading",
    "explained",
    "neighbours",
    "like texts",
    "liked texts",
    "disliked texts",
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "constant": (),
    "means": ("item mean", "item liked", "user mean", "user liked"),
    "text-frozen": ("liked texts", "disliked texts"),
    "fused": FEATURES,
}
"""Method -> the features that it uses."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """Holds ratings, sorted by time."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    values: Values
    times: Values

    def __len__(self) -> int:
        return len(self.values)


@dataclass(eq=False)
class _User:
    items: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    surprises: list[float] = field(default_factory=list)
    """How far each rating lay above what the item had."""


class _State:
    """Holds all that was rated so far."""

    def __init__(self, ratings: Ratings, vectors: Matrix, whitened: Matrix, average: float) -> None:
        self.ratings, self.vectors, self.whitened, self.average = ratings, vectors, whitened, average
        self.liked_share = float((ratings.values >= LIKED).mean()) if len(ratings) else 0.5
        self.sums, self.counts, self.liked = np.zeros((3, len(vectors)))
        self.users: dict[int, _User] = defaultdict(_User)
        self.pairs: _Pairs | None = None

    def item_mean(self, item: int) -> float:
        return float(self.sums[item] / (self.counts[item] + ITEM_PRIOR))

    def add(self, places: Sequence[int]) -> None:
        """Add the ratings of one moment: none of them is known before the others."""
        users, items = self.ratings.users[places].tolist(), self.ratings.items[places].tolist()
        values = self.ratings.values[places].tolist()
        for user, item, value in zip(users, items, values, strict=True):
            known = self.users[user]
            known.items.append(item)
            known.values.append(value)
            known.surprises.append(value - self.average - self.item_mean(item))
        for item, value in zip(items, values, strict=True):
            self.sums[item] += value - self.average
            self.counts[item] += 1
            self.liked[item] += value >= LIKED

    def features(self, user: int, item: int) -> list[float]:
        share = self.liked_share * SHARE_PRIOR
        found = [
            self.item_mean(item),
            float((self.liked[item] + share) / (self.counts[item] + SHARE_PRIOR)),
            float(np.log1p(self.counts[item])),
        ]
        known = self.users.get(user)
        if known is None:
            return [*found, 0.0, self.liked_share, 0.0, 1.0, *[0.0] * 7]
        past, values = np.array(known.items), np.array(known.values)
        surprises = np.array(known.surprises)
        count = len(past)
        mean = float(surprises.sum() / (count + USER_PRIOR))
        fading = GAMMA ** np.arange(count - 1, -1, -1)
        return [
            *found,
            mean,
            float(((values >= LIKED).sum() + share) / (count + SHARE_PRIOR)),
            float(np.log1p(count)),
            float(surprises.std()) if count > 2 else 1.0,
            float(surprises[-LATEST:].sum() / (min(count, LATEST) + LATEST_PRIOR)),
            float((fading * surprises).sum() / (fading.sum() + GAMMA_PRIOR)),
            *self._likeness(item, past, values, surprises - mean),
        ]

    def _likeness(self, item: int, past: NDArray[np.int64], values: Values, rest: Values) -> list[float]:
        """Return what the ratings of items like this one say: by what others rated, and by the texts."""
        near = np.clip(self.whitened[past] @ self.whitened[item], 0.0, None) ** 2
        cosines = self.vectors[past] @ self.vectors[item]
        liked = values >= LIKED
        return [
            *((0.0, 0.0) if self.pairs is None else self.pairs.say(item, past, rest)),
            float((near * rest).sum() / (near.sum() + TEXT_PRIOR)),
            float(cosines[liked].mean()) if liked.any() else 0.0,
            float(cosines[~liked].mean()) if not liked.all() else 0.0,
        ]


def rating_features(
    ratings: Ratings,
    vectors: Matrix,
    whitened: Matrix,
    cuts: Sequence[int],
    *,
    progress: Progress | None = None,
) -> Values:
    """Return the features of the ratings from the first cut on, shape (n, len(FEATURES)).

    At each cut the neighbours are learned anew from all before it, so that no rating helps to foresee itself.
    """
    average = float(ratings.values[: cuts[0]].mean()) if cuts[0] else 0.0
    state = _State(ratings, vectors, whitened, average)
    rows: list[list[float]] = []
    moment: list[int] = []
    for place, (user, item) in enumerate(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True)):
        if moment and ratings.times[place] > ratings.times[moment[0]]:
            state.add(moment)
            moment = []
        if place in cuts:
            state.pairs = _pairs(ratings, place, len(vectors), average)
        if place >= cuts[0]:
            rows.append(state.features(user, item))
        moment.append(place)
        if progress is not None and (place + 1 == len(ratings) or not place % 1000):
            progress(place + 1, len(ratings))
    return np.array(rows, np.float64).reshape(len(rows), len(FEATURES))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Holds what ratings of one item say of another, from how far both surprised the same users."""

    explaining: Matrix
    """Shape (items, items): weight of a past item's surprise in a ridge regression of the other's."""
    alike: Matrix
    """Shape (items, items): cosine of the surprises, not below 0, shrunk where few rated both."""

    def say(self, item: int, past: NDArray[np.int64], rest: Values) -> tuple[float, float]:
        near = self.alike[past, item]
        explained = float(self.explaining[past, item] @ rest)
        return explained, float((near * rest).sum() / (near.sum() + NEAR_PRIOR))


def _pairs(ratings: Ratings, stop: int, catalogue: int, average: float) -> _Pairs:
    from scipy import sparse

    users, items = ratings.users[:stop], ratings.items[:stop]
    values = ratings.values[:stop] - average
    counts = np.bincount(items, minlength=catalogue)
    of_item = np.bincount(items, values, catalogue) / (counts + ITEM_PRIOR)
    rest = values - of_item[items]
    size = int(users.max()) + 1 if stop else 0
    of_user = np.bincount(users, rest, size) / (np.bincount(users, minlength=size) + USER_PRIOR)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MAX_NEIGHBOURS])
    shape = (size, catalogue)
    rated = sparse.csr_array((np.ones(stop), (users, items)), shape=shape)[:, chosen]
    surprises = sparse.csr_array((rest - of_user[users], (users, items)), shape=shape)[:, chosen]
    products = (surprises.T @ surprises).toarray()
    both = (rated.T @ rated).toarray()
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-9))
    cosines = products / (lengths[:, None] * lengths[None, :]) * both / (both + PAIR_PRIOR)
    inverse = np.linalg.inv(products + NEIGHBOUR_PENALTY * np.eye(len(chosen)))
    return _Pairs(
        explaining=_spread(-inverse / np.diag(inverse)[None, :], chosen, catalogue),
        alike=_spread(np.clip(cosines, 0.0, None), chosen, catalogue),
    )


def _spread(weights: Values, chosen: NDArray[np.intp], catalogue: int) -> Matrix:
    """Spread it over the whole catalogue; an item says nothing of itself."""
    np.fill_diagonal(weights, 0.0)
    found = np.zeros((catalogue, catalogue), np.float32)
    found[np.ix_(chosen, chosen)] = weights
    return found
