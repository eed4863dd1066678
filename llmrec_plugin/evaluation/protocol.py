"""Which events are learned from and which are ranked for: by time, as a site meets them.

Items and users are row numbers; an event is one user taking one item at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.types import Matrix

PER_USER = 20
MAX_CASES = 4_000
MAX_VALID_CASES = 2_000
BATCH = 256
VALID_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3)
ENOUGH_TO_CHOOSE_BY = 1_000


@dataclass(frozen=True, eq=False)
class Events:
    """Sorted by time; events of the same time stay in the order given."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.float64]
    """Any unit that grows; the order within a user is enough where nothing better is known."""
    amounts: NDArray[np.float32] | None = None
    """How much each event says in favour of its item, 1 where it says most; None: all alike."""

    @classmethod
    def of(
        cls, users: ArrayLike, items: ArrayLike, times: ArrayLike, amounts: ArrayLike | None = None
    ) -> Events:
        when = np.asarray(times, dtype=np.float64)
        order = np.argsort(when, kind="stable")
        return cls(
            np.asarray(users, dtype=np.int64)[order],
            np.asarray(items, dtype=np.int64)[order],
            when[order],
            None if amounts is None else np.asarray(amounts, dtype=np.float32)[order],
        )

    def __len__(self) -> int:
        return len(self.times)

    def part(self, window: slice) -> Events:
        amounts = None if self.amounts is None else self.amounts[window]
        return Events(self.users[window], self.items[window], self.times[window], amounts)


class Split(NamedTuple):
    """Three windows of the events, one after the other."""

    train: slice
    valid: slice
    test: slice


def temporal_split(events: Events, *, valid: float = 0.1, test: float = 0.1) -> Split:
    """The latest share for the report, the share before it to choose by, the rest to learn from.

    Events of one moment are never on both sides of a cut: the later window begins after them.
    """
    first = _after_ties(events.times, round(len(events) * (1 - valid - test)))
    second = _after_ties(events.times, max(first, round(len(events) * (1 - test))))
    return Split(slice(0, first), slice(first, second), slice(second, len(events)))


def validation_split(events: Events) -> Split:
    """Without a report: the latest tenth to choose by, or as much more of the latest, up to three tenths, as
    holds `ENOUGH_TO_CHOOSE_BY` events of users with a past."""
    first = np.full(int(events.users.max(initial=-1)) + 1, np.inf)
    np.minimum.at(first, events.users, events.times)
    past = events.times > first[events.users]
    for share in VALID_SHARES:
        split = temporal_split(events, valid=share, test=0.0)
        if past[split.valid].sum() >= ENOUGH_TO_CHOOSE_BY:
            break
    return split


def _after_ties(times: NDArray[np.float64], cut: int) -> int:
    if 0 < cut < len(times):
        return int(np.searchsorted(times, times[cut - 1], side="right"))
    return cut


class Case(NamedTuple):
    """One event to be foreseen."""

    user: int
    target: int
    history: tuple[int, ...]
    """What the user took strictly earlier, oldest first, repeats included."""


def temporal_cases(
    events: Events,
    window: slice,
    *,
    rng: np.random.Generator,
    per_user: int = PER_USER,
    most: int = MAX_CASES,
) -> list[Case]:
    """Events of the window whose item is new to their user, at most `per_user` of a user and `most` in all,
    drawn at random. Events before the window are history, and so are those within it once they are past.
    """
    found: dict[int, list[Case]] = defaultdict(list)
    for place, user, item, past in _walk(events):
        if window.start <= place < window.stop and item not in past:
            found[user].append(Case(user, item, tuple(past)))
    drawn: list[Case] = []
    for cases in found.values():
        drawn += _drawn(cases, per_user, rng)
    return _drawn(drawn, most, rng)


def last_out_cases(events: Events) -> tuple[Events, list[Case]]:
    """What is left to learn from without the last event of each user that has two or more, and those."""
    kept, cases = _last_out(events)
    return Events(events.users[kept], events.items[kept], events.times[kept]), cases


def _last_out(events: Events) -> tuple[NDArray[np.bool_], list[Case]]:
    last: dict[int, tuple[int, Case]] = {}
    count = dict(zip(*np.unique(events.users, return_counts=True), strict=True))
    for place, user, item, past in _walk(events):
        count[user] -= 1
        if not count[user] and past and item not in past:
            last[user] = place, Case(user, item, tuple(past))
    kept = np.ones(len(events), np.bool_)
    kept[[place for place, _ in last.values()]] = False
    return kept, [case for _, case in last.values()]


Protocol: TypeAlias = Literal["temporal", "last-out"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What a method may know and what it is asked, first to choose its settings, then for the report."""

    train: Events
    valid: Sequence[Case]
    known: Events
    """All that is not held back for the test: `train` and the events that settings were chosen by."""
    test: Sequence[Case]
    held: NDArray[np.int64]
    """Places, in the whole log, of the events held back."""


def plan(
    events: Events,
    protocol: Protocol,
    *,
    rng: np.random.Generator,
    most: int = MAX_CASES,
    valid: float = 0.1,
    test: float = 0.1,
) -> Plan:
    """The plan of a protocol, with at most `most` cases to report and `MOST_VALID_CASES` to choose by.

    "temporal": the latest share `test` of the events is foreseen, the share `valid` before it chosen by.
    "last-out": the last event of each user is foreseen, the one before it chosen by.
    """
    if protocol == "last-out":
        kept, cases = _last_out(events)
        known = Events(events.users[kept], events.items[kept], events.times[kept])
        train, before = last_out_cases(known)
        return Plan(
            train=train,
            valid=_drawn(before, MAX_VALID_CASES, rng),
            known=known,
            test=_drawn(cases, most, rng),
            held=np.flatnonzero(~kept),
        )
    split = temporal_split(events, valid=valid, test=test)
    known = events.part(slice(0, split.test.start))
    return Plan(
        train=events.part(split.train),
        valid=temporal_cases(known, split.valid, rng=rng, most=MAX_VALID_CASES),
        known=known,
        test=temporal_cases(events, split.test, rng=rng, most=most),
        held=np.arange(split.test.start, split.test.stop),
    )


def _drawn(cases: list[Case], most: int, rng: np.random.Generator) -> list[Case]:
    """At most so many of them, in their order."""
    if len(cases) <= most:
        return cases
    return [cases[number] for number in sorted(rng.choice(len(cases), size=most, replace=False).tolist())]


def _walk(events: Events) -> Iterator[tuple[int, int, int, list[int]]]:
    """Place, user and item of every event, with what its user had taken strictly earlier: a list that goes
    on growing, so that a long log is not copied at each of its events."""
    past: dict[int, list[int]] = defaultdict(list)
    now: dict[int, tuple[float, list[int]]] = {}
    """Items of the user's latest moment: of one basket no item is known before the others."""
    rows = zip(events.users.tolist(), events.items.tolist(), events.times.tolist(), strict=True)
    for place, (user, item, time) in enumerate(rows):
        moment, basket = now.get(user, (time, []))
        if time > moment:
            past[user] += basket
            basket = []
        yield place, user, item, past[user]
        basket.append(item)
        now[user] = time, basket


def histories(events: Events) -> list[list[int]]:
    """Items by user, oldest first; what learning reads."""
    taken: dict[int, list[int]] = defaultdict(list)
    for user, item in zip(events.users.tolist(), events.items.tolist(), strict=True):
        taken[user].append(item)
    return list(taken.values())


def amounts_by_user(events: Events) -> dict[int, list[float]] | None:
    """How much each event of a user says, oldest first, in the order of `histories`; None: all alike.

    The past of a case is the beginning of its user's events, hence its amounts are that of the list.
    """
    if events.amounts is None:
        return None
    amounts: dict[int, list[float]] = defaultdict(list)
    for user, amount in zip(events.users.tolist(), events.amounts.tolist(), strict=True):
        amounts[user].append(amount)
    return amounts


Scorer: TypeAlias = Callable[[Sequence[Case]], Matrix]
"""Scores of all items for some cases, shape (cases, items); must not look at `target`."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one method ranked the cases."""

    ranks: NDArray[np.float64]
    """Expected rank of each target, 1 is best; ties count half of those they tie with."""
    shown: NDArray[np.int64]
    """Shape (cases, k): the first k items of each list, -1 where it is shorter."""


def rank_cases(
    score: Scorer, cases: Sequence[Case], *, k: int = 10, among: NDArray[np.bool_] | None = None
) -> Outcome:
    """Full ranking of the catalogue for each case; arguments as in `expected_ranks`."""
    ranks: list[NDArray[np.float64]] = []
    shown: list[NDArray[np.int64]] = []
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        scores = _rivals(score(batch), batch, among)
        ranks.append(_ranks(scores, batch))
        shown.append(_first(scores, k))
    return Outcome(
        ranks=np.concatenate(ranks) if ranks else np.empty(0),
        shown=np.concatenate(shown) if shown else np.empty((0, 0), np.int64),
    )


def list_outcome(lists: Sequence[Sequence[int]], cases: Sequence[Case], *, k: int = 10) -> Outcome:
    """How ready lists, best first, ranked the cases; what a user took before is struck from theirs.

    A target that a list does not hold has an infinite rank.
    """
    ranks = np.full(len(cases), np.inf)
    shown = np.full((len(cases), k), -1, np.int64)
    for row, (items, case) in enumerate(zip(lists, cases, strict=True)):
        taken = set(case.history)
        fresh = [item for item in items if item not in taken]
        shown[row, : len(fresh[:k])] = fresh[:k]
        if case.target in fresh:
            ranks[row] = fresh.index(case.target) + 1
    return Outcome(ranks=ranks, shown=shown)


def expected_ranks(
    scores: Matrix, cases: Sequence[Case], *, among: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Rank of each target among all items but those that its user has taken, 1 is best, ties count half.

    `among`: rank these items only (bool per item), such as those that are new; a target outside has NaN.
    Raises InvalidVector for a score that is not a number.
    """
    return _ranks(_rivals(scores, cases, among), cases)


def first_items(scores: Matrix, cases: Sequence[Case], *, k: int = 10) -> NDArray[np.int64]:
    """Rows of the k best items of each case without those that its user has taken, as `Outcome.shown`.

    Raises InvalidVector for a score that is not a number.
    """
    return _first(_rivals(scores, cases, None), k)


def _rivals(scores: Matrix, cases: Sequence[Case], among: NDArray[np.bool_] | None) -> NDArray[np.floating]:
    """The scores with minus infinity for what is not ranked."""
    rivals = np.array(scores, dtype=np.float32)
    if np.isnan(rivals).any():
        raise InvalidVector("A method gave a score that is not a number.")
    rows = np.repeat(np.arange(len(cases)), [len(case.history) for case in cases])
    rivals[rows, [item for case in cases for item in case.history]] = -np.inf
    if among is not None:
        rivals[:, ~among] = -np.inf
    return rivals


def _ranks(rivals: NDArray[np.floating], cases: Sequence[Case]) -> NDArray[np.float64]:
    targets = rivals[np.arange(len(cases)), [case.target for case in cases]][:, None]
    better = (rivals > targets).sum(axis=1)
    equal = (rivals == targets).sum(axis=1)
    ranks: NDArray[np.float64] = np.where(np.isneginf(targets[:, 0]), np.nan, better + (equal + 1) / 2)
    return ranks


def _first(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Rows of the k best items, best first, equal ones by row number except where the cut falls; -1 for what
    is not ranked."""
    if scores.shape[1] > k:
        best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    else:
        best = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    values = np.take_along_axis(scores, best, axis=1)
    best = np.where(np.isneginf(values), -1, best)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1).astype(np.int64)
