"""Every order in which edits, the site's own late writes, two drains and a sweep can happen to one document.

The site's write replaces the whole document, so what the plugin keeps in it is gone and the sequence number
grows. `explore` hands back the final states in which the plugin's part is not that of the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

STEPS = ("claim", "observe", "row", "write", "settle")
"""The order of services/batch.py for an attached index."""
NOTHING = ""
"""What the document holds of ours after the site wrote it."""
CHANGE, LOOK = "change", "look"
NOBODY = -1


class Drain(NamedTuple):
    """One process between two steps; `step` 0: idle."""

    step: int = 0
    claimed: tuple[int, ...] = ()
    looks_only: bool = False
    seen: tuple[int, str] = (0, NOTHING)
    row: str = ""
    refused: bool = False


class State(NamedTuple):
    edits: int = 0
    """Each is two steps: the row, then its entry."""
    to_write: int = 0
    """Writes of the site that are still to come."""
    row: str = "old"
    document: tuple[int, str] = (0, "old")
    """(sequence number, what it holds of ours)."""
    entries: tuple[tuple[int, str, int], ...] = ()
    """(id, CHANGE or LOOK, drain that holds the lease or NOBODY)."""
    drains: tuple[Drain, ...] = (Drain(), Drain())
    crashes: int = 0


@dataclass(frozen=True)
class World:
    """What happens, and how the drain goes about it."""

    edits: tuple[str, ...]
    steps: tuple[str, ...] = STEPS
    guarded: bool = True
    """A write is refused if the document was written since it was observed, and the drain hears of it."""
    changes_are_written: bool = True
    """Also where the document seems to be right already; only second looks leave it at that."""
    written_by_the_site: bool = True
    """Edits of what the site does not keep in its index are not."""
    swept: bool = True
    """Documents that hold nothing of ours are marked, once nothing else is to come."""
    crashes: int = 1

    def moves(self, state: State) -> Iterator[State]:
        """All states one step further."""
        for number, drain in enumerate(state.drains):
            if self.steps[drain.step] == "row" and state.edits >= 2 * len(self.edits) - 1:
                # the row will not change any more: where among the others it is looked at is all the same
                yield from self._drain(state, number, drain)
                return
        edit, entry_is_due = divmod(state.edits, 2)
        if edit < len(self.edits):
            further = state._replace(edits=state.edits + 1)
            if entry_is_due:
                yield _append(further, CHANGE)
            else:
                to_write = state.to_write + self.written_by_the_site
                yield further._replace(row=self.edits[edit], to_write=to_write)
        if state.to_write:
            document = (state.document[0] + 1, NOTHING)
            yield state._replace(to_write=state.to_write - 1, document=document)
        for number, drain in enumerate(state.drains):
            if drain.step == 0 and not state.entries:
                continue
            yield from self._drain(state, number, drain)
            if drain.step and state.crashes < self.crashes:
                yield _with(state, number, Drain())._replace(crashes=state.crashes + 1)
        if self.swept and self._is_quiet(state) and state.document[1] == NOTHING:
            yield _append(state, LOOK)

    def _is_quiet(self, state: State) -> bool:
        busy = state.entries or state.to_write or any(drain.step for drain in state.drains)
        return not busy and state.edits == 2 * len(self.edits)

    def _drain(self, state: State, number: int, drain: Drain) -> Iterator[State]:
        name = self.steps[drain.step]
        further = drain._replace(step=drain.step + 1)
        if name == "claim":
            yield from _claim(state, number, further)
        elif name == "observe":
            yield _with(state, number, further._replace(seen=state.document))
        elif name == "row":
            yield _with(state, number, further._replace(row=state.row))
        elif name == "write":
            yield self._write(state, number, further)
        else:
            yield _settle(state, number, drain)

    def _write(self, state: State, number: int, drain: Drain) -> State:
        may_skip = drain.looks_only or not self.changes_are_written
        if may_skip and drain.seen[1] == drain.row:
            return _with(state, number, drain)
        if self.guarded and state.document[0] != drain.seen[0]:
            return _with(state, number, drain._replace(refused=True))
        document = (state.document[0] + 1, drain.row)
        return _with(state._replace(document=document), number, drain)


def _claim(state: State, number: int, further: Drain) -> Iterator[State]:
    """What is free, or, after other leases ended, everything."""
    free = tuple(entry for entry in state.entries if entry[2] == NOBODY)
    for taken in {free, state.entries} - {()}:
        claimed = further._replace(
            claimed=tuple(entry for entry, _, _ in taken),
            looks_only=all(kind == LOOK for _, kind, _ in taken),
        )
        entries = tuple((*entry[:2], number) if entry in taken else entry for entry in state.entries)
        yield _with(state._replace(entries=entries), number, claimed)


def _settle(state: State, number: int, drain: Drain) -> State:
    """What was refused counts as a change, since it must be written; a change is looked at again."""
    state = _with(state, number, Drain())
    state = state._replace(entries=tuple(e for e in state.entries if e[0] not in drain.claimed))
    if drain.refused:
        return _append(state, CHANGE)
    return state if drain.looks_only else _append(state, LOOK)


def _append(state: State, kind: str) -> State:
    ids = [entry for entry, _, _ in state.entries]
    ids += [entry for drain in state.drains for entry in drain.claimed]
    return state._replace(entries=(*state.entries, (max(ids, default=0) + 1, kind, NOBODY)))


def _with(state: State, number: int, drain: Drain) -> State:
    drains = list(state.drains)
    drains[number] = drain
    return state._replace(drains=tuple(drains))


def _canonical(state: State) -> State:
    """Only the order of sequence numbers and the identity of entries matter, and the drains are alike."""
    numbers = sorted({state.document[0]} | {drain.seen[0] for drain in state.drains if drain.step} | {0})
    rank = {number: place for place, number in enumerate(numbers)}
    ids = sorted({e[0] for e in state.entries} | {e for drain in state.drains for e in drain.claimed})
    name = {entry: place for place, entry in enumerate(ids, start=1)}
    drains = tuple(
        drain._replace(
            seen=(rank[drain.seen[0]], drain.seen[1]), claimed=tuple(name[e] for e in drain.claimed)
        )
        for drain in state.drains
    )
    place = (0, 1) if drains[0] <= drains[1] else (1, 0)
    return state._replace(
        entries=tuple(
            (name[entry], kind, owner if owner == NOBODY else place[owner])
            for entry, kind, owner in state.entries
        ),
        document=(rank[state.document[0]], state.document[1]),
        drains=drains if place == (0, 1) else drains[::-1],
    )


@dataclass(frozen=True)
class Exploration:
    states: int
    finals: int
    """States in which nothing is left to do."""
    stale: tuple[State, ...]
    """Final states in which the document holds another text's vector."""
    lost: tuple[State, ...]
    """Final states in which it holds none."""


def is_stale(state: State) -> bool:
    return state.document[1] not in (NOTHING, state.row)


def explore(world: World, *, until_stale: bool = False) -> Exploration:
    """Walk every state that can be reached, or up to the first stale one."""
    start = _canonical(State())
    seen = {start}
    waiting = [start]
    finals: list[State] = []
    while waiting and not (until_stale and finals and is_stale(finals[-1])):
        state = waiting.pop()
        ended = True
        for following in map(_canonical, world.moves(state)):
            ended = False
            if following not in seen:
                seen.add(following)
                waiting.append(following)
        if ended:
            finals.append(state)
    lost = tuple(state for state in finals if state.document[1] == NOTHING)
    stale = tuple(filter(is_stale, finals))
    return Exploration(states=len(seen), finals=len(finals), stale=stale, lost=lost)
