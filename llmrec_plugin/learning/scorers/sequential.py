"""Learns neighbours from a log of events: who took what, when, and what they took next.

`neighbours` knows only who took what; here old events fade, and the order of what one user takes leads from
an item to what usually comes after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.learning.scorers.neighbour_fit import fit_neighbours
from llmrec_plugin.learning.scorers.neighbours import (
    TOP,
    Method,
    NeighbourConfig,
    Neighbours,
    UserItem,
    blended,
    changes,
    strongest,
    taken,
)
from llmrec_plugin.types import Matrix

STEPS = 8
"""How many earlier items lead to one: the ninth counts less than half a hundredth of the last."""
STEP_GAMMA = 0.5
"""What an earlier item leads to, of what the next younger one does."""
SHRINK = 5.0
USUAL_TARGETS = 20
"""Users with more events weigh no more than one with so many."""


def neighbours_from(
    events: Events,
    *,
    catalogue: int,
    config: NeighbourConfig,
    whitened: Matrix | None = None,
    top: int = TOP,
) -> tuple[Neighbours, Method]:
    """Return neighbours of all items by all that `config` ask for, and by which method those by company are;
    `whitened` as of `fit_neighbours`."""
    matrix = matrix_of(events, config.recency, catalogue)
    company, method = fit_neighbours(matrix, config=config, whitened=whitened, top=top)
    if config.order <= 0:
        return company, method
    return in_order(company, transitions(events, catalogue=catalogue), config.order, top=top), method


def in_order(company: Neighbours, transitions: UserItem, order: float, *, top: int = TOP) -> Neighbours:
    """Return neighbours by company, with those by order counted in."""
    return blended(company, strongest(transitions, top=top), share=order, top=top)


def matrix_of(events: Events, recency: float | None, catalogue: int) -> UserItem:
    """Return a sparse matrix, users x items: the amount of each event, faded by its age as
    `NeighbourConfig.recency` says.

    Roots are stored, so that the product of two events of one age fades as each of them.
    """
    amounts = events.amounts
    if recency is not None and len(events):
        span = float(events.times[-1] - events.times[0])
        ages = (events.times[-1] - events.times) / (recency * span if span > 0 else 1.0)
        faded = np.exp(-0.5 * ages).astype(np.float32)
        amounts = faded if amounts is None else amounts * faded
    return taken(events.users, events.items, amounts, catalogue=catalogue)


def transitions(events: Events, *, catalogue: int) -> UserItem:
    """Return a sparse matrix, items x items: how strongly one item leads to what is taken after it, 0..1.

    A cosine as of item-kNN, but directed: c_ij / (sqrt(c_i. * c_.j) + SHRINK), where c_ij sums up STEP_GAMMA
    to the number of items between over all users that took j for the first time strictly later than i, and
    c_i. and c_.j are its sums. A user counts as the root of the number of their items, but of twenty at most.
    """
    from scipy import sparse

    if not len(events):
        return sparse.csr_array((catalogue, catalogue), dtype=np.float32)
    users, items, amounts, earlier = _walked(events)
    starts, sizes = _runs(users)
    worth = np.sqrt(np.minimum(sizes, USUAL_TARGETS)) / sizes
    place = np.arange(len(users))
    pairs = sparse.csr_array((catalogue, catalogue), dtype=np.float32)
    for step in range(STEPS):  # summed up one by one: all of them at once would take eight times the memory
        source = earlier - 1 - step
        target = place[source >= starts]
        source = source[target]
        counts = (STEP_GAMMA**step * worth[target] * amounts[source] * amounts[target]).astype(np.float32)
        pairs += sparse.coo_array((counts, (items[source], items[target])), shape=pairs.shape).tocsr()
    out, into = (np.asarray(pairs.sum(axis=axis)).ravel() for axis in (1, 0))
    pairs = pairs.tocoo()
    weights = pairs.data / (np.sqrt(out[pairs.row] * into[pairs.col]) + SHRINK)
    return sparse.csr_array((weights.astype(np.float32), (pairs.row, pairs.col)), shape=pairs.shape)


def _walked(
    events: Events,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return users and items of all pairs, user by user in order of their first event; the largest amount of
    each; and the place where those of the same moment begin: what lies before it, down to the user's start,
    came strictly earlier."""
    amounts = np.ones(len(events), np.float32) if events.amounts is None else events.amounts
    order = np.lexsort((events.times, events.items, events.users))
    users, items, times = events.users[order], events.items[order], events.times[order]
    firsts = np.flatnonzero(changes(users, items))
    largest = np.maximum.reduceat(amounts[order], firsts)
    users, items, times = users[firsts], items[firsts], times[firsts]
    order = np.lexsort((times, users))
    users, items, times = users[order], items[order], times[order]
    moments = changes(users, times)
    return users, items, largest[order], np.flatnonzero(moments)[moments.cumsum() - 1]


def _runs(users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the events of each one's user begin, and how many they are."""
    _, begins, numbers, counts = np.unique(users, return_index=True, return_inverse=True, return_counts=True)
    return begins[numbers], counts[numbers]
