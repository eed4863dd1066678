"""One list out of two, of which either may win: clicks then compare them within a single visitor's page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONTROL, CHALLENGER = 0, 1


def team_draft(
    control: Sequence[str], challenger: Sequence[str], *, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """(key, team) of all keys of both lists, each once, best first.

    Team-draft interleaving (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
    quality?", CIKM 2008): in every round a coin says who picks first, and each picks the best of its own
    list that is not taken yet. A visitor who clicks at random favours no team.
    """
    lists = (control, challenger)
    at = [0, 0]
    taken: dict[str, int] = {}
    while at[CONTROL] < len(control) or at[CHALLENGER] < len(challenger):
        first = int(rng.integers(2))
        for team in (first, 1 - first):
            while at[team] < len(lists[team]) and lists[team][at[team]] in taken:
                at[team] += 1
            if at[team] < len(lists[team]):
                taken[lists[team][at[team]]] = team
                at[team] += 1
    return list(taken.items())
