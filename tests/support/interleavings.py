"""Every order in which saves, deletes, a build, two drains and a crash can happen to one item.

A state holds the row, the backlog, the indexes, the stored vector and how far each process is; `explore`
walks all that can be reached and hands back the final ones in which an index or the stored vector is
not what the row is. A lease may end at any moment: a drain may claim what another still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

STEPS = ("claim", "revision", "versions", "row", "store", "write", "verify", "settle")
"""The order of services/drain.py."""
GONE = ""
"""What the row, an index (as a tombstone) or the stored vector holds once the item is deleted."""
LIVE, NEW = 0, 1
EVERY = -1
"""An entry that concerns all indexes."""
NOBODY = -1


class Drain(NamedTuple):
    """One process between two steps; `step` 0: idle."""

    step: int = 0
    claimed: tuple[int, ...] = ()
    targets: tuple[int, ...] = ()
    revision: int = 0
    versions: tuple[int, ...] = ()
    row: str = GONE
    written: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()


class State(NamedTuple):
    edits: int = 0
    """Steps of the editor that are done; each edit is two: the row, then its entry."""
    build: int = 0
    """0: not begun, 1: the version exists, 2: the item is marked for it."""
    row: str = "old"
    entries: tuple[tuple[int, int, int], ...] = ()
    """(id, index or EVERY, drain that holds the lease or NOBODY)."""
    indexes: tuple[tuple[int, str], ...] = ((0, "old"), (0, GONE))
    """(revision, content)."""
    stored: str = "old"
    drains: tuple[Drain, ...] = (Drain(), Drain())
    crashes: int = 0


@dataclass(frozen=True)
class World:
    """What happens, and how the drain goes about it."""

    edits: tuple[str, ...]
    """What the row becomes, edit by edit; GONE: it is deleted."""
    steps: tuple[str, ...] = STEPS
    guarded: bool = True
    """An index refuses a revision that is not newer, and the drain hears of it."""
    tombstones: bool = True
    """An index remembers the revision of what it deleted."""
    fenced: bool = True
    """A drain stores no vector once all its entries are another's or settled."""
    builds: bool = True
    crashes: int = 1

    def moves(self, state: State) -> Iterator[State]:
        """All states one step further."""
        for number, drain in enumerate(state.drains):
            if drain.step and self._alone(state, self.steps[drain.step]):
                yield from self._drain(state, number, drain)
                return
        yield from self._edit(state)
        if self.builds and state.build == 0:
            yield state._replace(build=1)
        elif self.builds and state.build == 1:
            yield _append(state._replace(build=2), NEW)
        for number, drain in enumerate(state.drains):
            if drain.step == 0 and not state.entries:
                continue
            yield from self._drain(state, number, drain)
            if drain.step and state.crashes < self.crashes:
                yield _with(state, number, Drain())._replace(crashes=state.crashes + 1)

    def _alone(self, state: State, name: str) -> bool:
        """What the step reads will not change any more, so that its place among the others is the same."""
        if name == "versions":
            return bool(state.build) or not self.builds
        return name == "row" and state.edits >= 2 * len(self.edits) - 1

    def _edit(self, state: State) -> Iterator[State]:
        edit, entry_is_due = divmod(state.edits, 2)
        if edit < len(self.edits):
            further = state._replace(edits=state.edits + 1)
            yield _append(further, EVERY) if entry_is_due else further._replace(row=self.edits[edit])

    def _drain(self, state: State, number: int, drain: Drain) -> Iterator[State]:
        name = self.steps[drain.step]
        further = drain._replace(step=drain.step + 1)
        if name == "claim":
            yield from _claim(state, number, further)
        elif name == "store":
            yield self._store(state, number, further)
        elif name == "write":
            yield self._write(state, number, drain)
        elif name == "settle":
            yield _settle(state, number, drain)
        else:
            yield _with(state, number, self._look(state, name, further))

    def _look(self, state: State, name: str, drain: Drain) -> Drain:
        """The steps that only read."""
        if name == "revision":
            drawn = [revision for revision, _ in state.indexes] + [other.revision for other in state.drains]
            return drain._replace(revision=max(drawn) + 1)
        if name == "versions":
            return drain._replace(versions=(LIVE, NEW) if state.build else (LIVE,))
        if name == "row":
            return drain._replace(row=state.row)
        return drain if state.stored == drain.row else drain._replace(failed=drain.written)

    def _store(self, state: State, number: int, drain: Drain) -> State:
        held = any(entry in drain.claimed and owner == number for entry, _, owner in state.entries)
        if not held and self.fenced:
            return _with(state, number, Drain())
        return _with(state._replace(stored=drain.row), number, drain)

    def _write(self, state: State, number: int, drain: Drain) -> State:
        """One index per step."""
        wanted = [v for v in drain.versions if EVERY in drain.targets or v in drain.targets]
        version = next((version for version in wanted if version not in drain.written), None)
        if version is None:
            return _with(state, number, drain._replace(step=drain.step + 1))
        further = drain._replace(written=(*drain.written, version))
        if len(further.written) == len(wanted):
            further = further._replace(step=drain.step + 1)
        indexes = list(state.indexes)
        if drain.revision > indexes[version][0] or not self.guarded:
            forgotten = drain.row == GONE and not self.tombstones
            indexes[version] = (0 if forgotten else drain.revision, drain.row)
        else:
            further = further._replace(failed=(*further.failed, version))
        return _with(state._replace(indexes=tuple(indexes)), number, further)


def _claim(state: State, number: int, further: Drain) -> Iterator[State]:
    """What is free, or, after other leases ended, everything."""
    free = tuple(entry for entry in state.entries if entry[2] == NOBODY)
    for taken in {free, state.entries} - {()}:
        claimed = further._replace(
            claimed=tuple(entry for entry, _, _ in taken),
            targets=tuple(sorted({target for _, target, _ in taken})),
        )
        entries = tuple((*entry[:2], number) if entry in taken else entry for entry in state.entries)
        yield _with(state._replace(entries=entries), number, claimed)


def _settle(state: State, number: int, drain: Drain) -> State:
    state = _with(state, number, Drain())
    state = state._replace(entries=tuple(e for e in state.entries if e[0] not in drain.claimed))
    failed = set(drain.failed)
    if EVERY in drain.targets and failed and failed == set(drain.written):
        return _append(state, EVERY)
    for version in sorted(failed):
        state = _append(state, version)
    return state


def _append(state: State, target: int) -> State:
    ids = [entry for entry, _, _ in state.entries]
    ids += [entry for drain in state.drains for entry in drain.claimed]
    return state._replace(entries=(*state.entries, (max(ids, default=0) + 1, target, NOBODY)))


def _with(state: State, number: int, drain: Drain) -> State:
    drains = list(state.drains)
    drains[number] = drain
    return state._replace(drains=tuple(drains))


def _canonical(state: State) -> State:
    """Only the order of revisions and the identity of entries matter, and the drains are alike."""
    revisions = sorted({r for r, _ in state.indexes} | {drain.revision for drain in state.drains} | {0})
    rank = {revision: place for place, revision in enumerate(revisions)}
    ids = sorted({e[0] for e in state.entries} | {e for drain in state.drains for e in drain.claimed})
    name = {entry: place for place, entry in enumerate(ids, start=1)}
    drains = tuple(
        drain._replace(revision=rank[drain.revision], claimed=tuple(name[e] for e in drain.claimed))
        for drain in state.drains
    )
    place = (0, 1) if drains[0] <= drains[1] else (1, 0)
    return state._replace(
        entries=tuple(
            (name[entry], target, owner if owner == NOBODY else place[owner])
            for entry, target, owner in state.entries
        ),
        indexes=tuple((rank[revision], content) for revision, content in state.indexes),
        drains=drains if place == (0, 1) else drains[::-1],
    )


@dataclass(frozen=True)
class Exploration:
    states: int
    finals: int
    """States in which nothing is left to do."""
    stale: tuple[State, ...]
    """Final states in which an index or the stored vector differs from the row."""


def explore(world: World, *, until_stale: bool = False) -> Exploration:
    """Walk every state that can be reached, or up to the first stale one."""
    start = _canonical(State())
    seen = {start}
    waiting = [start]
    finals = 0
    stale: list[State] = []
    while waiting and not (until_stale and stale):
        state = waiting.pop()
        ended = True
        for following in map(_canonical, world.moves(state)):
            ended = False
            if following not in seen:
                seen.add(following)
                waiting.append(following)
        if ended:
            finals += 1
            contents = {content for _, content in state.indexes[: 2 if world.builds else 1]}
            if contents != {state.row} or state.stored != state.row:
                stale.append(state)
    return Exploration(states=len(seen), finals=finals, stale=tuple(stale))
